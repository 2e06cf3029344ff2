"""inference_speed_test.py and benchmark/: counts by hand, a baseline that really mattes, the command line."""

import json
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

import inference_speed_test
from benchmark.end_to_end import convert, convert_plainly, write_clip
from benchmark.engines import time_in_turns
from benchmark.machine import EnergyMeter, mean_power
from benchmark.network import count_multiply_adds, network_step, time_step
from cli.memory import peak_memory_mb
from inference_speed_test import main
from inference_utils import Matter, VideoReader
from model import VARIANTS, MattingNetwork
from model.reparameterize import is_merged
from model.weights import save_network

CPU = torch.device('cpu')
SMALL = ['--resolution', '64', '48', '--iterations', '2', '--warm-up', '0', '--device', 'cpu']


@pytest.fixture(scope='module')
def network():
    """Random weights, and a matte that is neither 0 nor 1."""
    torch.manual_seed(0)
    model = MattingNetwork('mobilenetv3', 'fast_guided_filter').eval()
    nn.init.constant_(model.project_mat.conv.bias[3:], 0.5)
    return model


class Recorder(nn.Module):
    """Answers like a network and notes how it was called."""

    calls: list = []

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1, groups=1)

    def forward(self, src, r1, r2, r3, r4, ratio):
        Recorder.calls.append((tuple(src.shape), r1, ratio))
        state = torch.zeros(1) if r1 is None else r1 + 1
        return [src, self.conv(src), state, state, state, state]


def test_time_step_leaves_the_warm_up_out():
    calls = []

    def step():
        calls.append(None)
        time.sleep(0.2 if len(calls) <= 2 else 0.01)
    timing = time_step('sleep', step, CPU, iterations=5, warm_up=2)
    assert len(calls) == 7 and timing.iterations == 5
    assert 10 <= timing.latency_median_ms <= timing.latency_p95_ms and timing.latency_median_ms < 100
    assert timing.fps == pytest.approx(1000 / timing.latency_median_ms, rel=0.9)


def test_multiply_adds_by_hand():
    assert count_multiply_adds(Recorder(), width=10, height=8) == 4 * 3 * 3 * 3 * 10 * 8


def test_network_step_carries_states():
    Recorder.calls.clear()
    measured, step = network_step(Recorder(), np.zeros((40, 60, 3), np.uint8), 0.5, CPU, torch.float32)
    step(), step(), step()
    assert measured == 'forward' and [call[0] for call in Recorder.calls] == [(1, 3, 40, 60)] * 3
    assert [call[2] for call in Recorder.calls] == [0.5] * 3
    assert Recorder.calls[0][1] is None and Recorder.calls[2][1] == 1


def test_network_step_without_refiner_stays_small():
    Recorder.calls.clear()
    measured, step = network_step(Recorder(), np.zeros((41, 60, 3), np.uint8), 0.5, CPU, torch.float32, refine=False)
    step()
    assert measured == 'forward without refiner' and Recorder.calls == [((1, 3, 20, 30), None, 1.0)]


def test_energy_from_counters(tmp_path):
    for name, value in (('intel-rapl:0', 900), ('intel-rapl:1', 50), ('intel-rapl:0:0', 1)):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'energy_uj').write_text(f'{value}\n')
        (tmp_path / name / 'max_energy_range_uj').write_text('1000\n')
    with EnergyMeter(CPU, tmp_path) as meter:
        (tmp_path / 'intel-rapl:0' / 'energy_uj').write_text('100\n')      # full in between: 200 uJ
        (tmp_path / 'intel-rapl:1' / 'energy_uj').write_text('80\n')       # 30 uJ
        (tmp_path / 'intel-rapl:0:0' / 'energy_uj').write_text('999\n')    # a part of package 0
    assert meter.joules == pytest.approx(230e-6) and meter.source == 'RAPL, processor packages'


def test_energy_where_nothing_tells(tmp_path):
    with EnergyMeter(CPU, tmp_path) as meter:
        pass
    assert meter.joules is None and 'no readable RAPL counter' in meter.source


def test_mean_power():
    assert mean_power('60.5\n[N/A]\n61.5\n6') == 61          # the last line was cut off
    assert mean_power('[N/A]\n[N/A]\n') is None and mean_power('') is None


def test_peak_memory_is_what_the_system_says():
    status = Path('/proc/self/status')
    if not status.is_file():
        pytest.skip('needs /proc')
    kilobytes, = [int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith('VmHWM')]
    assert peak_memory_mb(CPU) == pytest.approx(kilobytes * 1024 / 1e6, rel=0.02)


@pytest.mark.parametrize('size', [(64, 48), (63, 47)])
def test_generated_clip(tmp_path, size):
    write_clip(tmp_path / 'clip.mp4', *size, frames=5)
    frames = [frame.pixels.astype(int) for frame in VideoReader(tmp_path / 'clip.mp4')]
    assert len(frames) == 5 and frames[0].shape == (48, 64, 3)
    assert np.abs(frames[0] - frames[4]).mean() > 3          # it moves


def test_baseline_and_converter_make_the_same_film(tmp_path, network):
    write_clip(tmp_path / 'clip.mp4', 64, 48, frames=6)
    convert_plainly(network, tmp_path / 'clip.mp4', tmp_path / 'plain.mp4', ratio=0.5)
    seconds, report = convert(Matter(network, 0.5), tmp_path / 'clip.mp4', tmp_path / 'ours.mp4')
    plain, ours, source = ([frame.pixels.astype(int) for frame in VideoReader(tmp_path / name)]
                           for name in ('plain.mp4', 'ours.mp4', 'clip.mp4'))
    assert report.frames == len(plain) == len(ours) == 6 and seconds >= report.seconds > 0
    assert max(np.abs(a - b).mean() for a, b in zip(plain, ours, strict=True)) < 4
    assert np.abs(ours[0] - source[0]).mean() > 10           # something was composed


def test_network_alone(tmp_path, capsys):
    assert main([*SMALL, '--precision', 'float32', '--output-json', str(tmp_path / 'out.json')]) == 0
    out = capsys.readouterr().out
    assert 'mobilenetv3' in out and '64x48, inside the network 64x48' in out and 'p95 ms' in out and 'energy: ' in out
    document = json.loads((tmp_path / 'out.json').read_text())
    result, = document['results']
    parameters = sum(parameter.numel() for parameter in MattingNetwork('mobilenetv3').parameters())
    assert result['parameters'] == parameters and result['iterations'] == 2 and result['precision'] == 'float32'
    assert result['fps'] > 0 and result['multiply_adds'] > 1e6 and result['peak_memory_mb'] > 50
    assert document['settings']['precision'] == 'fp32' and document['machine']['torch'] == torch.__version__


def test_checkpoint_frame_script_and_small_size(tmp_path, network, capsys):
    save_network(network, tmp_path / 'random.safetensors')
    cv2.imwrite(str(tmp_path / 'frame.png'), np.zeros((40, 60, 3), np.uint8))
    assert main([*SMALL[3:], '--checkpoint', str(tmp_path / 'random.safetensors'), '--script', '--disable-refiner',
                 '--sequence', str(tmp_path / 'frame.png'), '--downsample-ratio', '0.5']) == 0
    assert ('60x40, inside the network 30x20 (ratio 0.5), cpu, ' in (out := capsys.readouterr().out)
            and 'forward without refiner, frozen TorchScript' in out)


@pytest.mark.slow
def test_openvino(capsys):
    pytest.importorskip('openvino')
    assert main([*SMALL, '--engine', 'openvino', '--downsample-ratio', '0.5']) == 0
    assert 'Matter.step, openvino' in capsys.readouterr().out


def test_end_to_end_with_baseline(tmp_path, capsys):
    assert main([*SMALL, '--end-to-end', '--baseline', '--repeats', '3',
                 '--output-json', str(tmp_path / 'o.json')]) == 0
    out = capsys.readouterr().out
    assert 'end to end, 2 frames, median of 3' in out and 'busy seconds of each stage: decode ' in out
    result, = json.loads((tmp_path / 'o.json').read_text())['results']
    assert set(result['stage_seconds']) == {'decode', 'network', 'render', 'encode'}
    assert result['fps'] == sorted(result['fps_of_runs'])[1] and len(result['baseline_fps_of_runs']) == 3
    assert result['speed_up'] == pytest.approx(result['fps'] / result['baseline_fps'])


def test_all_variants_in_one_table(monkeypatch, capsys):
    monkeypatch.setattr(inference_speed_test, '_in_own_process', inference_speed_test.measure)
    assert main([*SMALL, '--all']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[3:3 + len(VARIANTS)]] == list(VARIANTS)


def test_a_variant_that_fails_does_not_stop_the_table(monkeypatch, capsys):
    once = []

    def measure(args, variant):
        if variant == 'resnet50':
            raise RuntimeError('out of\nmemory')
        once[:] = once or [inference_speed_test.measure(args, 'mobilenetv3')]
        return once[0] | {'variant': variant}
    monkeypatch.setattr(inference_speed_test, '_in_own_process', measure)
    assert main([*SMALL, '--all']) == 1
    captured = capsys.readouterr()
    assert 'error: resnet50: out of memory' in captured.err and 'mobilenetv3' in captured.out


def test_parallel_branches_are_merged():
    args = inference_speed_test.build_parser().parse_args([])
    assert is_merged(inference_speed_test.build_network(args, 'mobileone'))


def test_engines_take_turns():
    order = []

    class Named:
        def __init__(self, name):
            self.name = name

        def step(self, pixels):
            order.append(self.name)
            time.sleep(0.02 if self.name == 'slow' else 0.005)
    results = time_in_turns([('slow', Named('slow')), ('fast', Named('fast'))], np.zeros((4, 4, 3), np.uint8), 3, 1, 2)
    assert order == (['slow'] * 4 + ['fast'] * 4) * 2
    assert [result['variant'] for result in results] == ['slow', 'fast']
    assert results[0]['speed_up'] == 1 and 1.5 < results[1]['speed_up'] < 6


@pytest.mark.slow
def test_compare_engines(tmp_path):
    for package in ('onnxruntime', 'onnx', 'openvino'):
        pytest.importorskip(package)
    assert main([*SMALL, '--compare-engines', '--output-json', str(tmp_path / 'out.json')]) == 0
    names = [result['variant'] for result in json.loads((tmp_path / 'out.json').read_text())['results']]
    assert {'torch', 'onnx dynamic fp32', 'onnx static int8', 'openvino static fp32', '--engine openvino'} <= set(names)


@pytest.mark.slow
def test_compare_engines_by_whole_conversions(tmp_path, capsys):
    for package in ('onnxruntime', 'onnx', 'openvino'):
        pytest.importorskip(package)
    flags = ['--compare-engines', '--end-to-end', '--repeats', '2', '--output-json', str(tmp_path / 'out.json')]
    assert main([*SMALL, *flags]) == 0
    results = json.loads((tmp_path / 'out.json').read_text())['results']
    assert {'torch', 'onnx dynamic fp32', '--engine openvino'} <= {result['variant'] for result in results}
    assert all(result['fps'] > 0 and len(result['fps_of_runs']) == 2 for result in results)
    assert results[0]['speed_up'] == 1 and 'end to end' in capsys.readouterr().out


@pytest.mark.parametrize(('arguments', 'message'), [
    (['--compare-engines', '--end-to-end', '--baseline'], '--baseline cannot be combined with --compare-engines'),
    (['--iterations', '0'], '--iterations must be at least 1, got 0'),
    (['--warm-up', '-1'], '--warm-up must be at least 0, got -1'),
    (['--resolution', '0', '5'], '--resolution must be two positive numbers'),
    (['--resolution', '4', '4', '--downsample-ratio', '0.1'], 'leaves no pixel of a 4x4 frame'),
    (['--downsample-ratio', '2'], '--downsample-ratio must be auto or a number in (0, 1], got 2'),
    (['--all', '--model-variant', 'resnet50'], '--all measures every variant'),
    (['--baseline'], '--baseline compares conversions: add --end-to-end'),
    (['--compare-engines', '--all'], '--all cannot be combined with --compare-engines'),
    (['--compare-engines', '--engine', 'openvino'], '--compare-engines chooses engines and precisions itself'),
    (['--end-to-end', '--script'], '--script cannot be combined with --end-to-end'),
    (['--engine', 'openvino', '--disable-refiner'], '--disable-refiner cannot be combined with --engine openvino'),
    (['--precision', 'float16', '--device', 'cpu'], 'precision fp16 is slower than fp32 on a CPU'),
    (['--checkpoint', 'missing.pth', '--iterations', '1'], "checkpoint 'missing.pth': no such file"),
    (['--sequence', 'missing.png'], 'missing.png: no such file'),
    (['--output-json', 'missing/out.json'], '--output-json missing/out.json: the folder does not exist'),
])
def test_bad_input_ends_with_one_line(capsys, arguments, message):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count('\n') == 1


def test_as_a_command(tmp_path):
    script = Path(__file__).parents[1] / 'inference_speed_test.py'
    done = subprocess.run([sys.executable, script, *SMALL, '--output-json', 'out.json'], cwd=tmp_path,
                          capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == '', done.stderr
    assert json.loads((tmp_path / 'out.json').read_text())['results'][0]['iterations'] == 2


@pytest.mark.slow
def test_every_variant_has_a_process_of_its_own(tmp_path):
    assert main([*SMALL, '--all', '--output-json', str(tmp_path / 'out.json')]) == 0
    results = json.loads((tmp_path / 'out.json').read_text())['results']
    assert [result['variant'] for result in results] == list(VARIANTS)
    # resnet50 has 27 M parameters, mobilenetv3 4 M; measured in one process, neither could be below the other's peak
    memory = {result['variant']: result['peak_memory_mb'] for result in results}
    assert memory['mobilenetv3'] < memory['resnet50']
