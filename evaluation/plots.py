"""Figures of a benchmark report: PNG files, drawn without a screen."""

from pathlib import Path

import cv2
import numpy as np

from files import whole_file

from .entry import Entry
from .results import INSTALL, mean
from .tree import Clip, read_alpha, read_rgb, write_image

COLUMNS = ('source', 'truth', 'prediction', 'error')
PALETTE = ('#1f6fb4', '#d9541e', '#2e8b57', '#8a4fbf', '#b8860b', '#444444')


def _figure(width: float, height: float, panels: int = 1):
    try:
        import matplotlib
    except ImportError as error:
        raise RuntimeError(f'the report needs matplotlib: {INSTALL}') from error
    matplotlib.use('Agg')
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(1, panels, figsize=(width, height), squeeze=False, layout='constrained')
    for axis in axes[0]:
        axis.grid(alpha=.3)
        axis.spines[['top', 'right']].set_visible(False)
    return figure, axes[0]


def _save(figure, path: Path) -> Path:
    from matplotlib import pyplot
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=100, metadata={'Software': None})           # the same file from the same numbers
    pyplot.close(figure)
    return path


def error_over_time(entries: list[Entry], path: Path) -> Path:
    """MAD and dtSSD (strict) by frame index, mean over clips: how states settle, and drift."""
    figure, axes = _figure(9, 3.4, 2)
    for axis, metric, title in zip(axes, ('pha_mad', 'pha_dtssd'), ('MAD x 1e3', 'dtSSD x 1e2')):
        for entry, colour in zip(entries, PALETTE * len(entries)):
            rows = [result.values['strict'][metric] for result in entry.results
                    if metric in result.values.get('strict', {})]
            length = max(map(len, rows), default=0)
            axis.plot([mean([row[t] for row in rows if t < len(row)]) for t in range(length)], 'o-', ms=3,
                      color=colour, label=entry.name)
        axis.set(xlabel='frame', ylabel=title, title=f'{title.split()[0]} over time',
                 ylim=(0, 1.1 * axis.get_ylim()[1]))
    axes[0].legend(fontsize=7)
    return _save(figure, path)


def iou_by_clip(clips: list[str], lines: dict[str, list[float]], path: Path) -> Path:
    """One line per network over the clips, for `evaluation.real_clips`."""
    figure, (axis,) = _figure(1.6 + 0.55 * len(clips), 3.8)
    for (name, values), colour in zip(lines.items(), PALETTE * len(lines)):
        axis.plot(values, 'o-', ms=4, color=colour, label=name)
    axis.set(ylabel='IoU with the reference', ylim=(0, 1.02))
    axis.set_xticks(range(len(clips)), clips, rotation=40, ha='right', fontsize=7)
    axis.legend(fontsize=7)
    return _save(figure, path)


def error_against_speed(entries: list[Entry], path: Path) -> Path:
    """One point per entry: frames per second of the network alone against MAD."""
    figure, (axis,) = _figure(5.5, 3.6)
    for entry, colour in zip(entries, PALETTE * len(entries)):
        axis.plot(entry.fps(), entry.summary().get('strict', {}).get('pha_mad', np.nan), 'o', ms=8, color=colour,
                  label=entry.name)
    axis.set(xlabel='frames per second (network alone)', ylabel='MAD x 1e3', title='error against speed',
             ylim=(0, 1.15 * axis.get_ylim()[1]), xlim=(0, 1.1 * axis.get_xlim()[1]))
    axis.legend(fontsize=7)
    return _save(figure, path)


def error_by_clip(entries: list[Entry], path: Path) -> Path:
    """MAD of every clip, in the order of the first entry's error: is it a few clips or all of them?"""
    figure, (axis,) = _figure(9, 3.4)
    measured = [{str(result): mean(result.values.get('strict', {}).get('pha_mad', [])) for result in entry.results}
                for entry in entries]
    order = sorted(measured[0], key=lambda clip: -np.nan_to_num(measured[0][clip], nan=np.inf))
    for entry, errors, colour in zip(entries, measured, PALETTE * len(entries)):
        axis.plot(range(len(order)), [errors.get(clip, np.nan) for clip in order], 'o', ms=4, color=colour,
                  label=entry.name)
    axis.set_xticks(range(len(order)), order, rotation=90, fontsize=6)
    top = 1.5 * axis.get_ylim()[1]
    axis.set_yscale('symlog', linthresh=1)                      # linear below 1, so that a perfect clip has its place
    ticks = [tick for tick in (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if tick <= top]
    axis.set_yticks(ticks, ticks)
    axis.set(ylabel='MAD x 1e3', title='error by clip', ylim=(0, top))
    axis.legend(fontsize=7)
    return _save(figure, path)


def worst_frames(entry: Entry, test_dir: Path, path: Path, rows: int = 6) -> Path | None:
    """The worst frame of each of the worst clips, as rows of source, truth, prediction, error; None without any."""
    worst = []
    for result in entry.results:
        errors = np.array(result.values.get('strict', {}).get('pha_mad', []), dtype=float)
        if np.isfinite(errors).any():
            t = int(np.nanargmax(errors))
            worst.append((errors[t], result, result.frames[t]))
    worst = sorted(worst, key=lambda item: -item[0])[:rows]
    strips = [_strip(entry, test_dir, *item) for item in worst]
    if not strips:
        return None
    width = max(strip.shape[1] for strip in strips)
    strips = [cv2.copyMakeBorder(strip, 0, 4, 0, width - strip.shape[1], cv2.BORDER_CONSTANT) for strip in strips]
    with whole_file(path) as partial:
        write_image(partial, np.vstack(strips))
    return path


def _strip(entry: Entry, test_dir: Path, error: float, result, frame: str, height: int = 180) -> np.ndarray:
    true = Clip(result.set_name, result.clip, test_dir / str(result))
    pred = Clip(result.set_name, result.clip, entry.folder / str(result))
    true_pha, pred_pha = read_alpha(true.frames('pha')[frame]), read_alpha(pred.frames('pha')[frame])
    source = true.frames('com').get(frame)
    error_map = cv2.cvtColor(cv2.applyColorMap(cv2.absdiff(true_pha, pred_pha), cv2.COLORMAP_INFERNO),
                             cv2.COLOR_BGR2RGB)
    pictures = [read_rgb(source) if source else np.zeros((*true_pha.shape, 3), np.uint8),
                *(cv2.cvtColor(pha, cv2.COLOR_GRAY2RGB) for pha in (true_pha, pred_pha)), error_map]
    width = round(height * true_pha.shape[1] / true_pha.shape[0])
    pictures = [cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA) for picture in pictures]
    labels = (f'{result} {frame}', *COLUMNS[1:3], f'error, MAD {error:.1f}')
    return np.hstack([label(picture, text) for picture, text in zip(pictures, labels)])


def label(image: np.ndarray, text: str) -> np.ndarray:
    """Text on a dark bar in the upper left corner; the image is a new one."""
    image = image.copy()
    scale = max(image.shape[0] / 500, .35)
    (w, h), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    cv2.rectangle(image, (0, 0), (w + 8, h + base + 6), (20, 20, 20), -1)
    cv2.putText(image, text, (4, h + 4), cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return image
