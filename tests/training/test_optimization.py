
import pytest
import torch
from torch import nn

from passes.matting import learning_rates
from training.optimization import Optimization, build_optimizer

from .toys import ToyNetwork, step, toy_config, toy_trainer


def test_groups_hold_every_parameter_at_its_rate(tmp_path):
    config = toy_config(tmp_path, optimizer='adamw', weight_decay=0.1, adam_eps=1e-5)
    network = ToyNetwork()
    optimizer = build_optimizer(network, Optimization.of(config, learning_rates(config)))
    assert type(optimizer) is torch.optim.AdamW
    rates = {group['name']: group['lr'] for group in optimizer.param_groups}
    assert rates == {'backbone': 1e-3, 'aspp': 2e-4, 'decoder': 2e-4, 'project_mat': 2e-4, 'project_seg': 2e-4,
                     'refiner': 1e-3}
    assert {id(p) for group in optimizer.param_groups for p in group['params']} == set(map(id, network.parameters()))
    assert all(group['eps'] == 1e-5 and group['weight_decay'] == 0.1 for group in optimizer.param_groups)


def test_a_part_without_learning_rate_is_refused(tmp_path):
    network = ToyNetwork()
    network.extra = nn.Linear(1, 1)
    with pytest.raises(ValueError, match="network part 'extra' has no learning rate, known parts: backbone"):
        build_optimizer(network, Optimization({'backbone': 1e-3, 'aspp': 1e-3, 'decoder': 1e-3, 'project_mat': 1e-3,
                                               'project_seg': 1e-3, 'refiner': 1e-3}))


def test_schedule_and_warm_up(tmp_path):
    trainer = toy_trainer(toy_config(tmp_path, schedule='cosine', epoch_start=2, epoch_end=6, warmup_steps=4))
    factor, found = trainer.updater.settings.factor, []
    for _ in range(4):
        found.append(round(factor(trainer.clock.progress, 100), 4))
        trainer.clock.go_on()
    assert found == [1, 0.8536, 0.5, 0.1464]
    assert [factor(0., step) for step in (0, 1, 3, 4)] == [0.25, 0.5, 1, 1]
    assert toy_trainer(toy_config(tmp_path)).updater.settings.factor(0.5, 0) == 1


def gradients(trainer, clips):
    """Of one low-resolution update, before the step."""
    trainer.updater._step = lambda finite: finite
    step(trainer, 'matting_lr', clips)
    return {name: p.grad for name, p in trainer.network.named_parameters() if p.grad is not None}


def test_accumulated_gradient_is_that_of_the_larger_batch(tmp_path):
    def evaluated():
        trainer = toy_trainer(toy_config(tmp_path), crop=lambda *clips, generator: list(clips))
        trainer.network.eval()              # batch statistics would differ
        return trainer
    clips = evaluated().passes['matting_lr'].stream.take(3)
    small = gradients(evaluated(), clips)
    large = gradients(evaluated(), [[torch.cat(x) for x in zip(*clips)]])
    assert small.keys() == large.keys() and len(small) > 5
    for name in small:
        torch.testing.assert_close(small[name], large[name])


def test_gradient_is_clipped(tmp_path):
    norms = {}
    for limit in (0., 1e-3):
        trainer = toy_trainer(toy_config(tmp_path, clip_gradient=limit))
        inner = trainer.updater.optimizer.step

        def measured(trainer=trainer, inner=inner, limit=limit):
            norms[limit] = nn.utils.get_total_norm([p.grad for p in trainer.network.parameters()
                                                    if p.grad is not None]).item()
            inner()
        trainer.updater.scaler.step = lambda optimizer, measured=measured: measured()
        step(trainer, 'matting_lr')
        assert trainer.updater.gradient_norm > 1e-2
    assert norms[0.] > 1e-2 and norms[1e-3] == pytest.approx(1e-3, rel=1e-2)


def test_fp16_scales_the_loss_and_lowers_the_scale_on_overflow(tmp_path):
    trainer = toy_trainer(toy_config(tmp_path, precision='fp16'))
    assert trainer.updater.scaler.is_enabled()
    trainer.updater.scaler = torch.amp.GradScaler('cpu', init_scale=2.**120)
    before = trainer.network.aspp.weight.clone()
    step(trainer, 'matting_lr')
    assert trainer.updater.scaler.get_scale() < 2.**120 and torch.equal(before, trainer.network.aspp.weight)
    assert trainer.updater.skipped == 0         # an infinite scaled gradient is the scaler's business
    assert not toy_trainer(toy_config(tmp_path, precision='bf16')).updater.scaler.is_enabled()
