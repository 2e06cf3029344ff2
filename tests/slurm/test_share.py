"""Work shared by array jobs, without Slurm: job files run under its variables with a recording python."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLIPS = ['a.mp4', 'b c.mov', 'd.mp4', 'e.mkv', 'f.mp4']


@pytest.fixture
def job(tmp_path):
    """Runs one job of an array; calls of python are lines of calls.txt, and those that contain fail do."""
    bin_folder = tmp_path / 'venv/bin'
    bin_folder.mkdir(parents=True)
    python = bin_folder / 'python'
    python.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls.txt\ncase "$*" in *fail*) exit 1;; esac\n')
    python.chmod(0o755)

    def run(name, index, count, *arguments):
        environment = os.environ | {
            'REPOSITORY': str(ROOT), 'VENV': str(tmp_path / 'venv'), 'GPUS_PER_NODE': '0', 'SLURM_ARRAY_TASK_MIN': '3',
            'SLURM_ARRAY_TASK_ID': str(3 + index), 'SLURM_ARRAY_TASK_COUNT': str(count)}
        result = subprocess.run(['bash', str(ROOT / 'slurm' / name), *map(str, arguments)], env=environment,
                                cwd=tmp_path, capture_output=True, text=True, timeout=60)
        calls = tmp_path / 'calls.txt'
        lines = calls.read_text().splitlines() if calls.exists() else []
        calls.unlink(missing_ok=True)
        return result, lines
    return run


def clips_in(folder: Path, names=CLIPS) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_array_converts_every_clip_once(job, tmp_path):
    clips, calls = clips_in(tmp_path / 'clips'), []
    for index in range(3):
        result, lines = job('inference.sbatch', index, 3, clips, tmp_path / 'out', '.mov', '--checkpoint', 'x')
        assert result.returncode == 0, result.stderr
        assert 1 <= len(lines) <= 2
        calls += lines
    assert sorted(calls) == [f'inference.py {clips}/{name} -o {tmp_path}/out/{name.split(".")[0]}.mov --checkpoint x'
                             for name in CLIPS]


def test_clips_that_differ_in_the_suffix_alone_are_both_converted(job, tmp_path):
    clips = clips_in(tmp_path / 'clips', ['a.mov', 'a.mp4', 'a.b.mp4', 'c.partial-0123abcd.mp4'])
    result, lines = job('inference.sbatch', 0, 1, clips, tmp_path / 'out', '.mkv')
    assert result.returncode == 0, result.stderr
    assert sorted(line.split()[-1].rpartition('/')[2] for line in lines) == ['a.b.mkv', 'a.mov.mkv', 'a.mp4.mkv']


def test_finished_clips_are_skipped_and_failures_counted(job, tmp_path):
    clips = clips_in(tmp_path / 'clips', ['a.mp4', 'fail.mp4', 'z.mp4'])
    clips_in(tmp_path / 'out', ['a.mov', 'z.mov'])
    (tmp_path / 'out' / 'a.mov').write_text('done')             # the other one is empty: not done
    result, lines = job('inference.sbatch', 0, 1, clips, tmp_path / 'out', '.mov')
    assert len(lines) == 2 and 'done before' in result.stdout           # the one after the failure was tried too
    assert result.returncode == 1 and '1 clips failed' in result.stderr


def test_an_empty_folder_is_not_done(job, tmp_path):
    clips = clips_in(tmp_path / 'clips', ['a.mp4', 'b.mp4'])
    clips_in(tmp_path / 'out/a_frames', ['0000.png'])
    (tmp_path / 'out/b_frames').mkdir()
    result, lines = job('inference.sbatch', 0, 1, clips, tmp_path / 'out', '_frames')
    assert result.returncode == 0 and [line.split()[1] for line in lines] == [f'{clips}/b.mp4']


def test_array_of_evaluations(job, tmp_path):
    models = clips_in(tmp_path / 'predictions', ['m1', 'm2'])
    result, lines = job('evaluation.sbatch', 1, 2, 'evaluation.evaluate_lr', models, '--true-dir', 'truth')
    assert result.returncode == 0
    assert lines == [f'-m evaluation.evaluate_lr --pred-dir {models}/m2 --true-dir truth']


def test_array_of_a_data_set_sees_its_own_sequences(job, tmp_path):
    data = tmp_path / 'data/NAME'
    for sequence in 'abcde':
        (data / sequence / 'fgr').mkdir(parents=True)
    result, lines = job('custom_inference.sbatch', 0, 2, '--dataset', 'NAME', '--data-dir', data.parent, '--data-out',
                        'out')
    assert result.returncode == 0, result.stderr
    words = lines[0].split()
    assert words[:5] == ['custom_inference.py', '--dataset', 'NAME', '--data-dir', str(data.parent)]
    assert words[-2] == '--data-dir' and not Path(words[-1]).exists()   # links of its share, removed afterwards


def test_every_job_file_is_valid_shell():
    for path in [*(ROOT / 'slurm').glob('*.s[hb]*'), *Path(__file__).parent.glob('*.sh')]:
        subprocess.run(['bash', '-n', str(path)], check=True)
