"""Bring a published test set into our layout <set>/<clip>/{com,pha,fgr,bgr}: links to its files, and a manifest.

python -m evaluation.import_testset --layout youtubematte --source youtubematte_512x288 --out-dir testsets/youtubematte

A layout is a pattern per kind of picture, with {clip} and {frame} and, where a release has several sets, {set}.
Releases change: --com, --pha, --fgr and --bgr (the plate) replace a pattern; where nothing fits the message shows what
was found.
"""

import argparse
import json
import os
import re
import shutil
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from cli.command import run_command
from files import check_apart, is_image_path, whole_file

from .synthesis import sha256

KINDS = ('com', 'pha', 'fgr', 'bgr')
Frames = dict[tuple[str, str, str], Path]                                         # set, clip, frame name -> file


@dataclass(frozen=True)
class Layout:
    """Patterns of file names without suffix, relative to the folder of the set; None for what a release has not.

    Args:
        sparse: only some source frames have a truth; without it a source frame without truth is an error.
    """

    com: str
    pha: str
    fgr: str | None = None
    bgr: str | None = None
    sparse: bool = False


# Written from memory of the releases, which could not be opened when this was written: check the first import.
LAYOUTS = {
    # YouTubeMatte (MatAnyone, arXiv 2501.14677): folders as the synthetic sets of RVM, one tree per resolution
    'youtubematte': Layout('{set}/{clip}/com/{frame}', '{set}/{clip}/pha/{frame}', '{set}/{clip}/fgr/{frame}'),
    # CRGNN-R (Wang et al., Video Matting via Consistency-Regularized Graph Neural Networks, ICCV 2021): real clips,
    # alpha drawn by hand for a part of the frames, no foregrounds
    'crgnn_r': Layout('{clip}/image/{frame}', '{clip}/alpha/{frame}', sparse=True),
    # any set that this repository generated or that follows RVM
    'rvm': Layout('{set}/{clip}/com/{frame}', '{set}/{clip}/pha/{frame}', '{set}/{clip}/fgr/{frame}',
                  '{set}/{clip}/bgr/{frame}'),
}


def find(source: Path, pattern: str) -> Frames:
    """Picture files under `source` that fit a pattern."""
    for field in ('{clip}', '{frame}'):
        if field not in pattern:
            raise ValueError(f'a pattern needs {{clip}} and {{frame}}, got {pattern!r}')
    fits = re.compile(re.sub(r'\\\{(set|clip|frame)\\\}', r'(?P<\1>[^/]+)', re.escape(pattern)))
    found: Frames = {}
    for path in sorted(source.rglob('*')):
        if is_image_path(path):
            match = fits.fullmatch(path.relative_to(source).with_suffix('').as_posix())
            if match:
                parts = match.groupdict()
                found[parts.get('set', source.name), parts['clip'], parts['frame']] = path
    return found


def collect(source: Path, layout: Layout) -> dict[str, Frames]:
    """Kind -> files, checked against each other.

    Raises:
        FileNotFoundError: no folder, or no file fits; ValueError: truth without a source frame, or the reverse.
    """
    if not source.is_dir():
        raise FileNotFoundError(f'{source}: no such folder')
    files = {kind: find(source, getattr(layout, kind)) for kind in KINDS if getattr(layout, kind)}
    for kind in ('com', 'pha'):
        if not files[kind]:
            seen = [path.relative_to(source).as_posix() for path in sorted(source.rglob('*.*'))[:3]]
            raise FileNotFoundError(f'no {kind} picture fits {getattr(layout, kind)!r} in {source}, which holds '
                                    f'{", ".join(seen) or "no files"}: give the pattern with --{kind}')
    without_source = sorted(set(files['pha']) - set(files['com']))
    without_truth = sorted(set(files['com']) - set(files['pha']))
    if without_source or (without_truth and not layout.sparse):
        kind, lost = ('source frame', without_source) if without_source else ('alpha', without_truth)
        raise ValueError(f'{len(lost)} frames have no {kind}, first {"/".join(lost[0])}')
    return files


def place(files: dict[str, Frames], out: Path, copy: bool) -> dict[str, dict]:
    """Link or copy all files -> clip -> manifest entry.

    Raises:
        ValueError: a file would replace one of the source.
    """
    goals = [out / set_name / clip / kind / f'{frame}{path.suffix}' for kind, frames in files.items()
             for (set_name, clip, frame), path in frames.items()]
    check_apart({'--out-dir': [goal for goal in goals if not goal.is_symlink()]},
                {'--source': [path for frames in files.values() for path in frames.values()]})
    clips: dict[str, dict] = defaultdict(lambda: {'sources': {}, 'sha256': {}})
    total = sum(map(len, files.values()))
    with tqdm(total=total, desc=out.name, unit='file') as bar:
        for kind, frames in files.items():
            for (set_name, clip, frame), path in frames.items():
                target = out / set_name / clip / kind / f'{frame}{path.suffix}'
                target.parent.mkdir(parents=True, exist_ok=True)
                with whole_file(target) as partial:
                    if copy:
                        shutil.copyfile(path, partial)
                    else:
                        partial.unlink()
                        partial.symlink_to(os.path.relpath(path.resolve(), target.parent.resolve()))
                clips[f'{set_name}/{clip}']['sha256'][target.relative_to(out).as_posix()] = sha256(path)
                bar.update()
    return dict(sorted(clips.items()))


def main(argv: list[str] | None = None) -> None:
    """Exit status: 0 done, 2 bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--layout', choices=sorted(LAYOUTS), required=True)
    parser.add_argument('--source', type=Path, required=True)
    parser.add_argument('--output', '--out-dir', dest='out_dir', type=Path, required=True, metavar='DIR')
    for kind in KINDS:
        parser.add_argument(f'--{kind}', metavar='PATTERN', help=f'instead of the pattern of the layout for {kind}')
    parser.add_argument('--copy', action='store_true', help='copy instead of linking')
    args = parser.parse_args(argv)
    layout = LAYOUTS[args.layout]
    layout = Layout(*(getattr(args, kind) or getattr(layout, kind) for kind in KINDS), sparse=layout.sparse)
    files = collect(args.source, layout)
    args.out_dir.mkdir(parents=True, exist_ok=True)
    manifest = {'generator': 'import_testset', 'settings': {'layout': args.layout, **vars(layout)},
                'clips': place(files, args.out_dir, args.copy)}
    with whole_file(args.out_dir / 'manifest.json') as partial:
        partial.write_text(json.dumps(manifest, indent=1) + '\n')


if __name__ == '__main__':
    sys.exit(run_command(main))
