"""Printing decides nothing, and names command no terminal."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from files.terminal import Patient, plain

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
from files.terminal import be_patient
be_patient()
for _ in range(3):
    print('film \\U0001f3ac caf\\udce9', flush=True)
    print('warning', file=sys.stderr, flush=True)
sys.exit(7)
"""


def run(**settings) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, '-c', PROGRAM], cwd=ROOT, timeout=60, **settings)


def test_every_letter_in_every_encoding():
    done = run(capture_output=True, env=os.environ | {'PYTHONIOENCODING': 'cp1252'})
    assert done.returncode == 7 and done.stdout.splitlines()[0] == rb'film \U0001f3ac caf\udce9'


@pytest.mark.parametrize('closed', [0, 1, 2])
def test_closed_streams(closed):
    """Started with a stream closed, as some services do."""
    assert run(preexec_fn=lambda: os.close(closed)).returncode == 7


def test_a_reader_that_is_gone():
    reading, writing = os.pipe()
    os.close(reading)
    assert run(stdout=writing, stderr=writing).returncode == 7
    os.close(writing)


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='needs /dev/full')
def test_a_full_disk_under_the_log():
    with open('/dev/full', 'w') as full:
        assert run(stdout=full, stderr=full).returncode == 7


def test_names_command_no_terminal():
    assert plain('a\x1b]0;owned\x07b\r\nc\u202e\x9b31m') == r'a\x1b]0;owned\x07b  c\u202e\x9b31m'
    stream = io.StringIO()
    print('\x1b[2J clip.mp4 ü 🎬\r', file=Patient(stream))
    assert stream.getvalue() == '\\x1b[2J clip.mp4 ü 🎬\r\n'
