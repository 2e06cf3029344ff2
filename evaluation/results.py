"""Averages of clip results, and the files they are written to: xlsx as released, CSV and JSON."""

import csv
import json
import math
from pathlib import Path

import numpy as np

from files import whole_file
from files.documents import text_cell
from metrics import protocol_named

from .clip_result import ClipResult, without_nan

INSTALL = 'pip install -r requirements/evaluation.txt'


def average(results: list[ClipResult], protocol: str, metric: str) -> float:
    """The headline number; NaN if no frame has a value. Frames without a value do not count."""
    rows = [result.values[protocol][metric] for result in results if metric in result.values.get(protocol, {})]
    if protocol_named(protocol).average == 'frames':
        return mean([value for row in rows for value in row])
    length = max(map(len, rows), default=0)
    return mean([mean([row[t] for row in rows if t < len(row)]) for t in range(length)])


def mean(values: list[float]) -> float:
    """NaN left out; NaN of nothing."""
    values = [value for value in values if not math.isnan(value)]
    return float(np.mean(values)) if values else math.nan


def tables(results: list[ClipResult]) -> dict[str, list[str]]:
    """protocol -> its metrics, of what was measured."""
    found: dict[str, dict[str, None]] = {}
    for result in results:
        for protocol, values in result.values.items():
            found.setdefault(protocol, {}).update(dict.fromkeys(values))
    return {protocol: list(metrics) for protocol, metrics in found.items()}


def print_summary(results: list[ClipResult]) -> None:
    """Protocols side by side, then everything that was wrong."""
    measured = tables(results)
    print(f'{"":14}' + ''.join(f'{protocol:>12}' for protocol in measured))
    for metric in dict.fromkeys(metric for metrics in measured.values() for metric in metrics):
        print(f'{metric:14}' + ''.join(f'{average(results, protocol, metric):12.4f}' for protocol in measured))
    for result in results:
        for kind, lines in (('problem', result.problems), ('note', result.notes)):
            for line in lines:
                print(f'{kind}: {result}: {line}')


def summary(results: list[ClipResult]) -> dict[str, dict[str, float]]:
    """protocol -> metric -> headline number."""
    return {protocol: {metric: average(results, protocol, metric) for metric in metrics}
            for protocol, metrics in tables(results).items()}


def write_all(results: list[ClipResult], base: Path) -> list[Path]:
    """Write BASE.json, BASE.csv and BASE.xlsx, the one without extra packages first.

    Raises:
        RuntimeError: XlsxWriter is missing; JSON and CSV are written then.
    """
    paths = [base.with_name(f'{base.name}.{suffix}') for suffix in ('json', 'csv', 'xlsx')]
    for path, write in zip(paths, (write_json, write_csv, write_xlsx)):
        with whole_file(path) as partial:
            write(results, partial)
    return paths


def write_json(results: list[ClipResult], path: Path) -> None:
    """Everything, with NaN as null."""
    clips = [{'set': result.set_name, 'clip': result.clip, 'frames': result.frames, 'values': result.values,
              'problems': result.problems, 'notes': result.notes} for result in results]
    path.write_text(json.dumps(without_nan({'summary': summary(results), 'clips': clips}), indent=1) + '\n')


def write_csv(results: list[ClipResult], path: Path) -> None:
    """One row per clip with the mean over its frames, both protocols side by side; the last row is the headline."""
    columns = [(protocol, metric) for protocol, metrics in tables(results).items() for metric in metrics]
    with path.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['set', 'clip', 'frames', 'problems', *(f'{p}.{m}' for p, m in columns)])
        for result in results:
            means = [mean(result.values.get(p, {}).get(m, [])) for p, m in columns]
            names = map(text_cell, (result.set_name, result.clip))
            writer.writerow([*names, len(result.frames), len(result.problems), *map(_cell, means)])
        headline = [average(results, p, m) for p, m in columns]
        writer.writerow(['Average', '', '', sum(len(result.problems) for result in results), *map(_cell, headline)])


def _cell(value: float) -> str:
    return '' if math.isnan(value) else repr(value)


def write_xlsx(results: list[ClipResult], path: Path) -> None:
    """The released workbook: `summary`, then a sheet per metric of the first protocol; after them what it had not.

    Formula cells carry their value as well, so programs that do not calculate read the numbers too. The release
    averages 700 frames at most (columns up to ZZ); longer clips get the columns they need.
    """
    try:
        import xlsxwriter
    except ImportError as error:
        raise RuntimeError(f'writing .xlsx needs XlsxWriter: {INSTALL} (.csv and .json are written)') from error
    from xlsxwriter.utility import xl_col_to_name
    measured = tables(results)
    with xlsxwriter.Workbook(str(path), {'strings_to_formulas': False, 'strings_to_urls': False}) as book:
        sheet = book.add_worksheet('summary')
        released = next(iter(measured), None)
        for row, metric in enumerate(measured.get(released, [])):
            sheet.write(row, 0, metric)
            sheet.write_formula(row, 1, f'={metric}!B2', None, _shown(average(results, released, metric)))
        for metric in measured.get(released, []):
            rows = [(result, result.values[released][metric]) for result in results if released in result.values]
            length = max((len(row) for _, row in rows), default=0)
            sheet = book.add_worksheet(metric)
            sheet.write_row(0, 2, range(length))
            sheet.write(1, 0, 'Average')
            last = xl_col_to_name(max(length + 1, 701))                                    # 701 is column ZZ
            sheet.write_formula(1, 1, f'=AVERAGE(C2:{last}2)', None, _shown(average(results, released, metric)))
            for t in range(length):
                value = mean([row[t] for _, row in rows if t < len(row)])
                if not math.isnan(value):                                      # AVERAGE of nothing is an error
                    name = xl_col_to_name(t + 2)
                    sheet.write_formula(1, t + 2, f'=AVERAGE({name}3:{name}9999)', None, value)
            for i, (result, row) in enumerate(rows):
                sheet.write_row(i + 2, 0, [result.set_name, result.clip])
                for t, value in enumerate(row):
                    if not math.isnan(value):
                        sheet.write_number(i + 2, t + 2, value)
        for protocol in list(measured)[1:]:
            sheet = book.add_worksheet(protocol)
            for row, metric in enumerate(measured[protocol]):
                sheet.write(row, 0, metric)
                sheet.write(row, 1, _shown(average(results, protocol, metric)))
        sheet = book.add_worksheet('problems')
        lines = [(str(result), kind, line) for result in results
                 for kind, texts in (('problem', result.problems), ('note', result.notes)) for line in texts]
        for row, line in enumerate(lines):
            sheet.write_row(row, 0, line)


def _shown(value: float) -> float | str:
    return '' if math.isnan(value) else value
