"""Collects pictures named in a list from unpacked packages into one folder.

python -m dataset.gather_pictures dataset/default_backgrounds.csv packages more_backgrounds

The list is a CSV file with the columns `picture`, a path below the folder of packages; `bytes`, empty or START+LENGTH
where the picture stands inside another file, as in Qt's resource files; and `copies`, how often training shall draw it:
pictures that a network took for people count several times, in weights.csv beside the pictures
(dataset.photo_bank.read_weights).
"""

import argparse
import io
import re
import sys
from itertools import zip_longest
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from cli.command import command
from files import whole_folder
from files.documents import read_rows

from .photo_bank import WEIGHTS

COLUMNS = ['picture', 'bytes', 'copies']
SUFFIXES = {'JPEG': '.jpg', 'PNG': '.png', 'WEBP': '.webp'}


def read_list(path: Path) -> list[dict[str, str]]:
    """The rows of a list.

    Raises:
        ValueError: other columns, or an entry that is none; names the line.
    """
    head, *lines = read_rows(path, 'list') or [[]]
    if head != COLUMNS:
        raise ValueError(f'{path} must have the columns {",".join(COLUMNS)}, has {",".join(head)[:80]!r}')
    rows = [dict(zip_longest(COLUMNS, line[:len(COLUMNS)])) for line in lines if line]
    for number, row in enumerate(rows, 2):
        parts = Path(row['picture'] or '').parts
        if not parts or parts[0] == '/' or '..' in parts:
            raise ValueError(f'{path} line {number}: picture must be a path below the packages, got {row["picture"]!r}')
        if not re.fullmatch(r'(\d+\+\d+)?', row['bytes'] or ''):
            raise ValueError(f'{path} line {number}: bytes must be START+LENGTH or empty, got {row["bytes"]!r}')
        if not re.fullmatch(r'[1-9]', row['copies'] or ''):
            raise ValueError(f'{path} line {number}: copies must be 1 to 9, got {row["copies"]!r}')
    return rows


def read_bytes(path: Path, part: str) -> tuple[bytes, str]:
    """The picture's bytes and its suffix.

    Raises:
        OSError: the file is missing, or there is no JPEG, PNG or WebP there.
    """
    start, length = (int(number) for number in part.split('+')) if part else (0, -1)
    with open(path, 'rb') as file:
        file.seek(start)
        data = file.read(length)
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()                           # decodes: another version of the package has other bytes there
            kind = image.format
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise OSError(f'{path} {part}: {error}') from error
    if kind not in SUFFIXES:
        raise OSError(f'{path} {part} is {kind}, expected {", ".join(SUFFIXES)}')
    return data, SUFFIXES[kind]


def gather(rows: list[dict[str, str]], packages: Path, out: Path) -> None:
    """Fill `out`, which is empty."""
    for number, row in enumerate(tqdm(rows, desc='pictures', unit='picture')):
        data, suffix = read_bytes(packages / row['picture'], row['bytes'])
        (out / f'{number:04d}{suffix}').write_bytes(data)
    (out / WEIGHTS).write_text(''.join(f'{number:04d},{row["copies"]}\n' for number, row in enumerate(rows)))


@command
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 2 bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('list', type=Path)
    parser.add_argument('packages', type=Path, help='folder of unpacked packages')
    parser.add_argument('out', type=Path, help='new folder')
    args = parser.parse_args(argv)
    if args.out.exists():
        raise ValueError(f'{args.out} exists: name a new folder')
    rows = read_list(args.list)
    with whole_folder(args.out, overwrite=False) as partial:
        gather(rows, args.packages, partial)
    print(f'{args.out}: {len(rows)} pictures')
    return 0


if __name__ == '__main__':
    sys.exit(main())
