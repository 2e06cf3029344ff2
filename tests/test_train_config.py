from argparse import ArgumentParser
from dataclasses import fields

import pytest

from train_config import PRESETS, STAGES, StageConfig, resolve
from training.settings import add_flags


def parse(text, preset='train', stage=None):
    parser = ArgumentParser()
    add_flags(parser, StageConfig)
    return resolve(PRESETS[preset], stage, vars(parser.parse_args(text.split())))


def test_published_stages():
    configs = [parse('', stage=stage) for stage in sorted(STAGES)]
    assert [(c.dataset, c.train_hr, c.seq_length_lr, c.seq_length_hr, c.epoch_start, c.epoch_end) for c in configs] == [
        ('videomatte', False, 15, 6, 0, 20), ('videomatte', False, 50, 6, 20, 22),
        ('videomatteHD', True, 40, 6, 22, 23), ('imagematte', True, 40, 6, 23, 28)]
    assert [(c.learning_rate_backbone, c.learning_rate_aspp, c.learning_rate_decoder, c.learning_rate_refiner)
            for c in configs] == [(1e-4, 2e-4, 2e-4, 0), (5e-5, 1e-4, 1e-4, 0), (1e-5, 1e-5, 1e-5, 2e-4),
                                  (1e-5, 1e-5, 5e-5, 2e-4)]
    assert all(c.resolution_lr == 512 and c.resolution_hr == 2048 and c.downsample_ratio == 0.25 for c in configs)


@pytest.mark.parametrize('preset', PRESETS)
def test_each_stage_starts_from_the_last_epoch_of_the_one_before(preset):
    configs = [parse('', preset, stage) for stage in sorted(STAGES)]
    assert configs[0].checkpoint == '' and configs[0].epoch_start == 0
    for before, after in zip(configs, configs[1:]):
        assert after.checkpoint == f'{before.checkpoint_dir}/epoch-{before.epoch_end - 1}.pth'
        assert after.epoch_start == before.epoch_end


def test_scripts_of_the_derivatives_need_no_flag():
    one, mamba, large = (parse('', name) for name in ('mobileone_train', 'mamba_train', 'unireplknet_train'))
    assert (one.model_variant, one.optimizer, one.weight_decay, one.adam_eps, one.seed, one.epoch_end,
            one.seq_length_lr) == ('mobileone', 'adam', 1e-4, 1e-5, 42, 20, 15)
    assert one.checkpoint_dir == 'Experiments/MobileOne/exp_00/checkpoint/stage1'
    assert (mamba.model_variant, mamba.optimizer, mamba.weight_decay, mamba.adam_eps, mamba.schedule,
            mamba.crop_height) == ('mamba', 'adamw', 1e-4, 1e-5, 'cosine', 0.5)
    assert (large.seq_length_lr, large.epoch_end) == (15, 15)
    third = parse('', 'unireplknet_train', 3)
    assert (third.seq_length_lr, third.seq_length_hr, third.epoch_start, third.epoch_end) == (20, 3, 17, 19)


LARGE_KERNEL_COMMANDS = (
    '--dataset videomatte --resolution-lr 512 --seq-length-lr 15 --learning-rate-backbone 0.0001 --learning-rate-aspp '
    '0.0002 --learning-rate-decoder 0.0002 --learning-rate-refiner 0 --epoch-start 0 --epoch-end 15',
    '--dataset videomatte --resolution-lr 512 --seq-length-lr 20 --learning-rate-backbone 0.00005 --learning-rate-aspp '
    '0.0001 --learning-rate-decoder 0.0001 --learning-rate-refiner 0 --checkpoint a.pth --epoch-start 15 '
    '--epoch-end 17',
    '--dataset videomatte --train-hr --resolution-lr 512 --resolution-hr 2048 --seq-length-lr 20 --seq-length-hr 3 '
    '--learning-rate-backbone 0.00001 --learning-rate-aspp 0.00001 --learning-rate-decoder 0.00001 '
    '--learning-rate-refiner 0.0002 --checkpoint b.pth --epoch-start 17 --epoch-end 19',
    '--dataset imagematte --train-hr --resolution-lr 512 --resolution-hr 2048 --seq-length-lr 20 --seq-length-hr 3 '
    '--learning-rate-backbone 0.00001 --learning-rate-aspp 0.00001 --learning-rate-decoder 0.00005 '
    '--learning-rate-refiner 0.0002 --checkpoint c.pth --epoch-start 19 --epoch-end 24')


@pytest.mark.parametrize('stage', [1, 2, 3, 4])
def test_large_kernel_commands_say_what_our_preset_says(stage):
    command = parse(LARGE_KERNEL_COMMANDS[stage - 1] + ' --model-variant unireplknet_large_kernel --checkpoint-dir c '
                    '--log-dir l')
    preset = parse('', 'unireplknet_train', stage)
    differing = {item.name for item in fields(StageConfig)
                 if getattr(command, item.name) != getattr(preset, item.name)}
    assert differing <= {'checkpoint', 'checkpoint_dir', 'log_dir', 'dataset'}
    assert command.dataset == preset.dataset.removesuffix('HD')


def test_flags_override_the_preset():
    config = parse('--seq-length-lr 3 --no-train-hr --model-variant resnet50', stage=4)
    assert (config.seq_length_lr, config.train_hr, config.epoch_end) == (3, False, 28)
    assert config.checkpoint == 'runs/resnet50/checkpoint/stage3/epoch-22.pth'


@pytest.mark.parametrize('text, message', [
    ('--seq-length-lr 0', '--seq-length-lr must be at least 1, got 0'),
    ('--downsample-ratio 1.5', r'--downsample-ratio must be in \(0, 1\], got 1.5'),
    ('--train-hr --downsample-ratio 1', '--downsample-ratio must be below 1 with --train-hr'),
    ('--epoch-end 0', '--epoch-end must be larger than --epoch-start 0, got 0'),
    ('--learning-rate-aspp -1', '--learning-rate-aspp must be at least 0, got -1.0'),
    ('--learning-rate-aspp nan', '--learning-rate-aspp must be at least 0, got nan'),
    ('--ema 1', r'--ema must be in \[0, 1\), got 1.0'),
    ('--finetune', '--finetune needs --checkpoint'),
])
def test_settings_check_themselves(text, message):
    with pytest.raises(ValueError, match=message):
        parse(text, stage=1)


def test_without_a_stage_the_needed_flags_are_named():
    with pytest.raises(ValueError, match='without --stage these flags are needed: --dataset, --seq-length-lr, '
                                         '--learning-rate-backbone.*or start from --stage 1..4'):
        parse('--model-variant mobilenetv3')


def test_choices_are_checked_without_the_command_line_too():
    with pytest.raises(ValueError, match="--optimizer must be one of adam, adamw, got 'sgd'"):
        resolve(PRESETS['train'], 1, {'optimizer': 'sgd'})
