"""The report of a benchmark: one HTML file that opens offline, the same as JSON, and the figures as PNG."""

import base64
import html
import json
from dataclasses import asdict
from pathlib import Path

from files import whole_file
from metrics import METRICS

from . import plots
from .clip_result import without_nan
from .entry import Entry
from .results import mean

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 90rem; padding: 0 1rem; color: #222 }
h1, h2 { font-weight: 600 } table { border-collapse: collapse; margin: 1rem 0; font-size: 13px }
th, td { padding: .25rem .5rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap }
th { background: #f3f3f3 } th:first-child, td:first-child { text-align: left } .best { font-weight: 700 }
img { max-width: 100%; margin: .5rem 0 } .wrong { color: #b00020 } .note { color: #666 } div.wide { overflow-x: auto }
"""


def write_report(entries: list[Entry], settings: dict[str, object], test_dir: Path, out: Path) -> Path:
    """Write OUT/report.html, OUT/report.json and OUT/*.png; returns the HTML file."""
    out.mkdir(parents=True, exist_ok=True)
    figures = [('Error over time', plots.error_over_time(entries, out / 'error_over_time.png')),
               ('Error against speed', plots.error_against_speed(entries, out / 'error_against_speed.png')),
               ('Error by clip', plots.error_by_clip(entries, out / 'error_by_clip.png'))]
    for entry in entries:
        sheet = plots.worst_frames(entry, test_dir, out / f'worst_frames_{entry.name}.png')
        if sheet:
            figures.append((f'Worst frames of {entry.name}', sheet))
    content = {'settings': settings, 'entries': [
        {'name': entry.name, 'checkpoint': entry.checkpoint, 'downsample_ratio': entry.ratio, 'fps': entry.fps(),
         'peak_mb': entry.peak_mb(), 'summary': entry.summary(), 'clips': [asdict(result) for result in entry.results],
         'runs': {key: asdict(run) for key, run in entry.runs.items()}} for entry in entries]}
    with whole_file(out / 'report.json') as partial:
        partial.write_text(json.dumps(without_nan(content), indent=1) + '\n')
    page = [f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Matting benchmark</title><style>{STYLE}'
            '</style><h1>Matting benchmark</h1>', _settings(settings), '<h2>Results</h2>', _summary_table(entries)]
    for title, path in figures:
        data = base64.b64encode(path.read_bytes()).decode()
        page.append(f'<h2>{html.escape(title)}</h2><img alt="{html.escape(title)}" src="data:image/png;base64,{data}">')
    page += ['<h2>By clip (strict)</h2>', *map(_clip_table, entries), _wrong(entries), '</html>']
    with whole_file(out / 'report.html') as partial:
        partial.write_text('\n'.join(page) + '\n', encoding='utf-8')
    return out / 'report.html'


def _settings(settings: dict[str, object]) -> str:
    return '<p>' + ' · '.join(f'{html.escape(key)}: {html.escape(str(value))}' for key, value in settings.items()) + \
        '</p><p class="note">Less is better, except for IoU. <b>strict</b>: mean over all frames. <b>rvm_lr</b>, ' \
        '<b>rvm_hr</b>: as the released scripts count, for comparison with published tables. Speed and memory are of ' \
        'the network alone, without files.</p>'


def _summary_table(entries: list[Entry]) -> str:
    """A row per entry and protocol; the best of each column and protocol in bold."""
    summaries = {entry.name: entry.summary() for entry in entries}
    protocols = list(dict.fromkeys(protocol for table in summaries.values() for protocol in table))
    metrics = list(dict.fromkeys(metric for table in summaries.values() for row in table.values() for metric in row))
    rows = [['network', 'ratio', 'protocol', *metrics, 'fps', 'peak MB']]
    for protocol in protocols:
        for entry in entries:
            values = summaries[entry.name].get(protocol, {})
            cells = []
            for metric in metrics:
                column = [table.get(protocol, {}).get(metric, float('nan')) for table in summaries.values()]
                column = [value for value in column if value == value]
                value = values.get(metric, float('nan'))
                best = len(entries) > 1 and column and value == METRICS[metric].better(column)
                cells.append(f'<span class="best">{_number(value)}</span>' if best else _number(value))
            rows.append([html.escape(entry.name), entry.ratio, protocol, *cells, _number(entry.fps()),
                         _number(entry.peak_mb())])
    return _table(rows)


def _clip_table(entry: Entry) -> str:
    metrics = list(dict.fromkeys(metric for result in entry.results for metric in result.values.get('strict', {})))
    rows = [['clip', 'size', 'frames', *metrics, 'fps']]
    for result in entry.results:
        run = entry.runs.get(str(result))
        values = [_number(mean(result.values.get('strict', {}).get(metric, []))) for metric in metrics]
        rows.append([html.escape(str(result)), f'{run.width}x{run.height}' if run else '', str(len(result.frames)),
                     *values, _number(run.fps if run else float('nan'))])
    return f'<h3>{html.escape(entry.name)}</h3>' + _table(rows)


def _wrong(entries: list[Entry]) -> str:
    lines = [(css, f'{entry.name}: {result}: {line}') for entry in entries for result in entry.results
             for css, texts in (('wrong', result.problems), ('note', result.notes)) for line in texts]
    if not lines:
        return '<p class="note">No problems.</p>'
    return '<h2>Problems and notes</h2><ul>' + ''.join(f'<li class="{css}">{html.escape(line)}</li>'
                                                      for css, line in lines) + '</ul>'


def _table(rows: list[list[str]]) -> str:
    """First row is the head; cells are HTML already."""
    head, *body = rows
    return '<div class="wide"><table><tr>' + ''.join(f'<th>{cell}</th>' for cell in head) + '</tr>' + \
        ''.join('<tr>' + ''.join(f'<td>{cell}</td>' for cell in row) + '</tr>' for row in body) + '</table></div>'


def _number(value: float) -> str:
    return '' if value != value else f'{value:.4g}' if abs(value) < 100 else f'{value:.0f}'
