"""Draw the two figures of model.md (optional extra: pip install -r requirements/docs.txt).

    python -m documentation.figures.draw_model_figures

The speed figure reads the table in model.md, so the two cannot disagree.
"""

import re
from pathlib import Path

import matplotlib

matplotlib.use('Agg')
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

PAGES = Path(__file__).resolve().parents[1]
COLOURS = {'mobilenetv3': '#4c72b0', 'resnet50': '#8c8c8c', 'mobileone': '#dd8452', 'mamba': '#55a868',
           'unireplknet': '#c44e52'}
ROW = re.compile(r'\| `(?P<variant>\w+)` \| [\d.]+ / (?P<parameters>[\d.]+) \| [\d.]+ \| [\d.]+ \| \d+ '
                 r'\| (?P<ratio>[\d.]+) \|')


def box(ax: Axes, x: float, y: float, text: str, colour: str, width: float = 1.5, height: float = 0.55) -> None:
    """A labelled part of the network."""
    ax.add_patch(FancyBboxPatch((x - width / 2, y - height / 2), width, height, boxstyle='round,pad=0.02,'
                                'rounding_size=0.08', facecolor=colour, edgecolor='#333333', linewidth=0.8))
    ax.text(x, y, text, ha='center', va='center', fontsize=8)


def arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], colour: str = '#333333',
          bend: float = 0.) -> None:
    """Between two parts."""
    ax.annotate('', end, start, arrowprops={'arrowstyle': '-|>', 'color': colour, 'linewidth': 0.9, 'shrinkA': 0,
                                            'shrinkB': 0, 'connectionstyle': f'arc3,rad={bend}'})


def draw_architecture(path: Path) -> None:
    """Encoder on the left going down, decoder on the right coming up; one row per stride."""
    blue, green, red, grey = '#dbe5f3', '#dcefe0', '#f6dcdc', '#eeeeee'
    fig, ax = plt.subplots(figsize=(10.2, 5.2))
    rows = {1: 5.0, 2: 4.0, 4: 3.0, 8: 2.0, 16: 1.0}
    left, right, refiner = 2.2, 7.0, 10.9
    for stride, y in rows.items():
        ax.text(-0.75, y, f'stride {stride}', ha='left', va='center', fontsize=8, color='#666666')
    box(ax, left, rows[1], 'src, small', grey)
    for level, y in enumerate(list(rows.values())[1:], start=1):
        box(ax, left, y, f'encoder  f{level}', blue)
        arrow(ax, (left, y + 0.72), (left, y + 0.3))
    box(ax, (left + right) / 2, rows[16], 'LR-ASPP', blue)
    arrow(ax, (left + 0.77, rows[16]), ((left + right) / 2 - 0.77, rows[16]))
    arrow(ax, ((left + right) / 2 + 0.77, rows[16]), (right - 1.27, rows[16]))
    for state, (stride, y) in enumerate(list(rows.items())[1:], start=1):
        box(ax, right, y, 'ConvGRU' if stride == 16 else 'upsample, conv, GRU', green, 2.5)
        arrow(ax, (right, y + 0.3), (right, y + 0.7))
        ax.annotate('', (right + 1.27, y - 0.16), (right + 1.27, y + 0.16), arrowprops={
            'arrowstyle': '-|>', 'color': '#c44e52', 'linewidth': 1.1, 'connectionstyle': 'arc3,rad=-1.6'})
        ax.text(right + 1.68, y, f'r{state}', ha='left', va='center', fontsize=8, color='#c44e52')
        if stride < 16:
            arrow(ax, (left + 0.77, y), (right - 1.27, y))
            ax.text((left + right) / 2, y + 0.08, f'f{state}, source at stride {stride}', ha='center',
                    va='bottom', fontsize=7, color='#666666')
    box(ax, right, rows[1], 'upsample, conv  (hid)', green, 2.5)
    arrow(ax, (left + 0.77, rows[1]), (right - 1.27, rows[1]))
    box(ax, right, 5.95, 'heads: fgr residual, pha | seg', red, 3.1)
    arrow(ax, (right, rows[1] + 0.3), (right, 5.65))
    box(ax, refiner, 5.95, 'guided-filter refiner', red, 2.4)
    arrow(ax, (right + 1.57, 5.95), (refiner - 1.22, 5.95))
    box(ax, left, 6.85, 'src', grey)
    arrow(ax, (left, 6.55), (left, rows[1] + 0.3))
    ax.text(left + 0.1, 5.95, 'x downsample_ratio', ha='left', va='center', fontsize=7, color='#666666')
    ax.plot([left + 0.77, refiner], [6.85, 6.85], color='#333333', linewidth=0.9)
    arrow(ax, (refiner, 6.85), (refiner, 6.25))
    box(ax, refiner, rows[1], 'fgr, pha', grey)
    arrow(ax, (refiner, 5.65), (refiner, rows[1] + 0.3))
    ax.set(xlim=(-0.9, 12.3), ylim=(0.5, 7.3))
    ax.axis('off')
    fig.savefig(path, dpi=150, bbox_inches='tight')
    plt.close(fig)


def draw_speed_against_size(table: str, path: Path) -> None:
    """One dot for each encoder of the table."""
    rows = [match.groupdict() for match in ROW.finditer(table)]
    if not rows:
        raise ValueError('model.md has no table of encoders: paste the output of documentation/measure_encoders.py')
    fig, ax = plt.subplots(figsize=(7.2, 4.4))
    for family, colour in COLOURS.items():
        own = [(float(r['parameters']), float(r['ratio']), r['variant']) for r in rows
               if r['variant'].split('_')[0] == family]
        ax.scatter([p for p, _, _ in own], [ratio for _, ratio, _ in own], color=colour, s=36, zorder=3)
        for parameters, ratio, variant in own:
            left = family == 'unireplknet' and not variant.endswith('large_kernel')  # others lie to their right
            ax.annotate(variant, (parameters, ratio), textcoords='offset points', xytext=(-6 if left else 6, 4),
                        ha='right' if left else 'left', fontsize=7.5, color=colour)
    ax.set(xscale='log', yscale='log', xlabel='parameters of the network, merged (M)',
           ylabel='encoder time on one CPU thread, mobilenetv3 = 1', xlim=(1.2, 60))
    for axis, ticks in (ax.xaxis, [2, 5, 10, 20, 50]), (ax.yaxis, [0.5, 1, 2, 5, 10, 20]):
        axis.set_major_locator(matplotlib.ticker.FixedLocator(ticks))
        axis.set_major_formatter('{x:g}')
        axis.set_minor_locator(matplotlib.ticker.NullLocator())
    ax.grid(color='#e5e5e5', linewidth=0.6)
    ax.spines[['top', 'right']].set_visible(False)
    fig.savefig(path, dpi=150, bbox_inches='tight')
    plt.close(fig)


if __name__ == '__main__':
    draw_architecture(PAGES / 'img' / 'architecture.png')
    draw_speed_against_size((PAGES / 'model.md').read_text(), PAGES / 'img' / 'speed_against_size.png')
