"""The job files on a real Slurm of one machine: signal, requeue, resume to the end; arrays.

    apt-get install slurm-wlm munge
    python -m pytest -m slow tests/slurm      # as root; 5 minutes, a requeued job waits for two
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dataset.synthetic import write_tree
from training.checkpoint import Checkpoints
from training.log import read_scalars

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which('slurmctld'), reason='needs root and slurm-wlm, munge'),
]
TRAIN = shlex.split('--stage 1 --model-variant mobilenetv3 --no-pretrained-backbone --resolution-lr 32 '
                    '--seq-length-lr 2 --num-workers 1 --epoch-start 0 --checkpoint-save-interval 1000 '
                    '--disable-validation')


@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
    folder = tmp_path_factory.mktemp('cluster')
    script = str(Path(__file__).with_name('cluster.sh'))
    subprocess.run(['bash', script, 'start', str(folder)], check=True, timeout=120)
    os.environ['SLURM_CONF'] = str(folder / 'slurm.conf')
    yield folder
    del os.environ['SLURM_CONF']
    subprocess.run(['bash', script, 'stop', str(folder)], check=True, timeout=120)


def submit(job, *arguments, **settings):
    environment = os.environ | {'GPUS_PER_NODE': '0', 'CPUS_PER_NODE': '1', 'REPOSITORY': str(ROOT),
                                'VENV': str(Path(sys.executable).parents[1])} | settings
    result = subprocess.run(['bash', str(ROOT / 'slurm/submit.sh'), job, *map(str, arguments)], env=environment,
                            check=True, capture_output=True, text=True, timeout=60)
    return re.search(r'Submitted batch job (\d+)', result.stdout)[1]


def job_state(job):
    text = subprocess.run(['scontrol', 'show', 'job', job], capture_output=True, text=True, timeout=60).stdout
    found = re.search(r'JobState=(\w+).*Restarts=(\d+)', text, re.DOTALL)
    return (found[1], int(found[2])) if found else ('GONE', 0)


def wait_until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f'not after {seconds} s: {what()}'
        time.sleep(1)


def test_signal_requeue_resume_to_the_end(cluster, tmp_path):
    tree, logs, rows = write_tree(tmp_path / 'tree', frames=2, size=(48, 48)), tmp_path / 'slurm', tmp_path / 'log'
    epochs = 12
    arguments = [*TRAIN, '--epoch-end', epochs, '--checkpoint-dir', tmp_path / 'checkpoint', '--log-dir', rows,
                 '--log-train-loss-interval', 1]
    job = submit('train.sbatch', *arguments, MATTING_DATA=str(tree), LOGS=str(logs), PROCESSES_PER_NODE='2',
                 TIME_LIMIT='00:30:00', SIGNAL_BEFORE='60')

    def output():
        return '\n'.join(path.read_text() for path in sorted(logs.glob('*.out')))
    wait_until(lambda: (rows / 'scalars.csv').is_file() and len(read_scalars(rows / 'scalars.csv')) > 100, 240, output)
    subprocess.run(['scancel', '--signal=USR1', '--batch', job], check=True, timeout=60)
    wait_until(lambda: job_state(job)[1] == 1, 120, output)
    assert 'USR1 at' in output() and re.search(r'SIGTERM: saved after step \d+', output())
    stopped = Checkpoints(tmp_path / 'checkpoint').load_newest()
    assert stopped['epoch'] < epochs - 1
    wait_until(lambda: job_state(job)[0] in ('COMPLETED', 'FAILED', 'GONE'), 500, output)
    text = output()
    assert job_state(job)[0] == 'COMPLETED', text
    assert 'restart 1, nodes localhost, 2 processes each' in text and f'resumed at epoch {stopped["epoch"]}' in text
    assert Checkpoints(tmp_path / 'checkpoint').load_newest()['epoch'] == epochs
    assert (tmp_path / 'checkpoint' / f'epoch-{epochs - 1}.pth').is_file()
    steps = [int(row['step']) for row in read_scalars(rows / 'scalars.csv') if row['name'] == 'train_lr_total']
    assert steps == list(range(max(steps) + 1)), 'every step once'
