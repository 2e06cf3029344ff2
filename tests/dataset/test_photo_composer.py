"""Batches composed from photos on the device."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torchvision.transforms import functional as TF

from dataset import colour
from dataset.composing import ComposerConfig, Draw, cut_gap, frame_grid, gaussian_blur, lay_before, sample
from dataset.photo_bank import Backgrounds, PhotoBank, load_backgrounds, read_weights
from dataset.photo_composer import PhotoComposer
from dataset.synthetic import figure

QUIET = ComposerConfig(size=32, seq_length=4, people=(1.,), empty=0, smallest=0.6, largest=1.5, by_head=1., turned=0,
                       gaps=0, compressed=0, objects=0, in_front=0, desk=0, tone=0, aspect=0, person_motion=0, bend=0,
                       camera_motion=0, background_motion=0, generated=0, color_jitter=0, dyed=0, defocus=0, blur=0,
                       noise=0, grayscale=0, pause=0)
BUSY = ComposerConfig(size=24, seq_length=3, people=(0.3, 0.4, 0.3), empty=0, compressed=0.5, desk=0.5, tone=0.5,
                      objects=0.5, generated=0.5, defocus=1, blur=0.5, noise=1, grayscale=0.3, pause=0.5)
SIZES = {'smallest': ComposerConfig.smallest, 'largest': ComposerConfig.largest, 'by_head': ComposerConfig.by_head}


def plain_weights(pictures):
    return Backgrounds(pictures, torch.ones(len(pictures)))


def pictures(count=3, w=120, h=160):
    for number in range(count):
        yield figure(number, 0, w, h)


@pytest.fixture(scope='module')
def bank():
    return PhotoBank.from_pictures(pictures(), canvas=(64, 48))


@pytest.fixture(scope='module')
def backgrounds():
    return plain_weights(torch.randint(0, 255, (4, 3, 64, 64), dtype=torch.uint8,
                                       generator=torch.Generator().manual_seed(0)))


def test_bank(bank):
    assert len(bank) == 3 and [list(level.shape) for level in bank.levels] == [[3, 4, 64, 48], [3, 4, 32, 24],
                                                                               [3, 4, 16, 12]]
    assert all(level.dtype == torch.uint8 for level in bank.levels) and bank.cut.all()  # the figure has no legs
    for (left, top, right, bottom), level in zip(bank.boxes.tolist(), bank.levels[0]):
        rows, columns = (torch.nonzero(level[3].amax(dim) > 40).squeeze(1) for dim in (1, 0))
        assert abs(rows[0] - top) <= 2 and abs(columns[0] - left) <= 2 and abs(columns[-1] + 1 - right) <= 2
        assert bottom <= 64.01


def test_bank_from_folders(paths, tmp_path):
    roles = paths['imagematte']['train']
    assert len(PhotoBank.from_folders(roles['fgr'], roles['pha'])) == 2
    assert len(PhotoBank.from_folders(paths['photomatte85']['valid']['rgba'])) == 2
    assert load_backgrounds(paths['background_images']['train']['dir'], 16).pictures.shape == (2, 3, 16, 16)
    (tmp_path / 'broken.jpg').write_text('')
    with pytest.raises(FileNotFoundError, match='no readable pictures in'):
        load_backgrounds(tmp_path)
    Image.new('RGBA', (9, 9)).save(tmp_path / 'empty.png')
    (tmp_path / 'broken.jpg').unlink()
    with pytest.raises(ValueError, match='no picture shows anything'):
        PhotoBank.from_folders(tmp_path)


def test_pictures_are_drawn_as_often_as_their_weights_say(tmp_path):
    for kind in ('fgr', 'pha', 'scenes'):
        (tmp_path / kind).mkdir()
    for number, grey in enumerate((40, 120, 200)):
        for kind, value in (('fgr', grey), ('pha', 255), ('scenes', grey)):
            Image.fromarray(np.full((8, 8, 3 if kind != 'pha' else 1), value, np.uint8).squeeze()).save(
                tmp_path / f'{kind}/{number}.png')
    for kind in ('fgr', 'scenes'):
        (tmp_path / kind / 'weights.csv').write_text('2,0\n1,3\n')      # the others count once
    bank = PhotoBank.from_folders(tmp_path / 'fgr', tmp_path / 'pha', (8, 8))
    assert bank.weights.tolist() == [1, 3, 0] and load_backgrounds(tmp_path / 'scenes', 8).weights.tolist() == [1, 3, 0]
    composer = PhotoComposer(bank, load_backgrounds(tmp_path / 'scenes', 8), QUIET)
    bgr = torch.cat([composer.batch(index, 64)[2][:, 0, 0, 0, 0] for index in range(4)]) * 255
    assert 0.65 < (bgr.round() == 120).float().mean() < 0.85 and not (bgr.round() == 200).any()


@pytest.mark.parametrize('row', ['a', 'a,b', 'a,-1', 'a,1,2', 'a,inf'])
def test_weights_name_the_line(tmp_path, row):
    (tmp_path / 'weights.csv').write_text(f'ok,1\n{row}\n')
    with pytest.raises(ValueError, match=r'weights.csv, line 2: expected name,weight'):
        read_weights(tmp_path)


def test_people_are_of_every_size(bank, backgrounds):
    """From far away to a face that is larger than the frame."""
    pha = torch.cat([PhotoComposer(bank, backgrounds, replace(QUIET, size=64, **SIZES)).batch(index, 64)[1][:, 0, 0]
                     for index in range(3)])
    share = pha.mean((1, 2))
    assert share.min() < 0.08 and share.max() > 0.7 and 0.15 < (share > 0.4).float().mean() < 0.7
    assert 0.2 < (pha[:, 0].amax(-1) > 0.5).float().mean() < 0.9       # heads are cut by the upper edge, and are not


def test_a_thing_before_a_person_is_composed_and_not_part_of_alpha():
    torch.manual_seed(0)
    thing, fgr, bgr = torch.rand(3, 2, 2, 3, 5, 5)
    alpha, pha = torch.rand(2, 2, 2, 1, 5, 5)
    new_pha, new_bgr = lay_before(thing, alpha, fgr, pha, bgr)
    expected = thing * alpha + (1 - alpha) * (fgr * pha + bgr * (1 - pha))
    torch.testing.assert_close(fgr * new_pha + new_bgr * (1 - new_pha), expected)
    torch.testing.assert_close(new_pha, pha * (1 - alpha))
    whole = torch.ones_like(pha)
    assert torch.equal(lay_before(thing, 0 * alpha, fgr, whole, bgr)[1], bgr)    # nothing to be seen of it: it stays


def test_things_and_desks_in_front_take_alpha_away(bank, green_things):
    grey = plain_weights(torch.full((1, 3, 64, 64), 128, dtype=torch.uint8))
    plain = PhotoComposer(bank, grey, QUIET).batch(0, 48)[1]
    for changes in ({'in_front': 1.}, {'desk': 1.}):
        pha = PhotoComposer(bank, grey, replace(QUIET, **changes), objects=green_things).batch(0, 48)[1]
        assert (pha <= plain + 1e-6).all() and ((plain - pha).mean((1, 2, 3, 4)) > 0.005).float().mean() > 0.3


def test_tone_changes_the_whole_picture_and_not_alpha(bank, backgrounds):
    plain, toned = (PhotoComposer(bank, backgrounds, replace(QUIET, tone=chance)).batch(0, 16) for chance in (0., 1.))
    assert torch.equal(plain[1], toned[1])
    ratio = toned[2].mean((1, 2, 3, 4)) / plain[2].mean((1, 2, 3, 4))
    assert ratio.min() < 0.7 and ratio.max() > 1.1


def test_some_batches_are_not_square(bank, backgrounds):
    composer = PhotoComposer(bank, backgrounds, replace(QUIET, size=128, aspect=1.))
    shapes = {tuple(composer.compositions(index, 1)[0].shape[-2:]) for index in range(24)}
    assert shapes == {(64, 128), (96, 128), (128, 96), (128, 64)}
    for clip, C in zip(composer.compositions(0, 2), (3, 3, 1)):
        assert clip.shape[:3] == (2, 4, C)


@pytest.mark.parametrize('config', [QUIET, BUSY, replace(BUSY, seq_length=1), replace(BUSY, size=7)])
def test_shapes_and_ranges(bank, backgrounds, config):
    T, S = config.seq_length, config.size
    composer = PhotoComposer(bank, backgrounds, config)
    for index in range(3):
        for clip, C in zip(composer.batch(index, 5), (3, 1, 3)):
            assert clip.shape == (5, T, C, S, S) and clip.dtype == torch.float32
            assert clip.min() >= 0 and clip.max() <= 1 and torch.isfinite(clip).all()
    assert PhotoComposer(bank, None, config).batch(0, 2)[2].std() > 0  # every background generated


def test_batches_depend_on_seed_epoch_and_index_alone(bank, backgrounds):
    composer, other = (PhotoComposer(bank, backgrounds, BUSY, seed=5) for _ in range(2))
    whole = list(composer.batches(epoch=1, steps=3, batch_size=2))
    resumed = list(other.batches(epoch=1, steps=3, batch_size=2, start=2))
    assert all(torch.equal(a, b) for a, b in zip(whole[2], resumed[0]))
    for changed in (composer.batch(1, 2, 1), composer.batch(2, 2, 0),
                    PhotoComposer(bank, backgrounds, BUSY, seed=6).batch(2, 2, 1)):
        assert not torch.equal(changed[1], whole[2][1])


def test_still_person_fills_the_frame(bank, backgrounds):
    fgr, pha, bgr = PhotoComposer(bank, backgrounds, QUIET).batch(0, 8)
    assert torch.equal(pha[:, 0], pha[:, 3]) and torch.equal(bgr[:, 0], bgr[:, 3])
    assert (pha.amax((1, 2, 3, 4)) > 0.9).all() and (pha.mean((1, 2, 3, 4)) > 0.1).all()
    assert (pha[:, 0, 0, -1].amax(-1) > 0.5).all()  # cut by the photo's edge: goes on to the edge of the frame


def test_motion_moves(bank, backgrounds):
    _, pha, bgr = PhotoComposer(bank, backgrounds, replace(QUIET, person_motion=1)).batch(0, 6)
    assert not torch.equal(pha[:, 0], pha[:, 3]) and torch.equal(bgr[:, 0], bgr[:, 3])
    _, pha, bgr = PhotoComposer(bank, backgrounds, replace(QUIET, camera_motion=1)).batch(0, 6)
    assert not torch.equal(pha[:, 0], pha[:, 3]) and not torch.equal(bgr[:, 0], bgr[:, 3])
    _, pha, bgr = PhotoComposer(bank, backgrounds, replace(QUIET, bend=1)).batch(0, 6)
    assert not torch.equal(pha[:, 0], pha[:, 3]) and torch.equal(bgr[:, 0], bgr[:, 3])


def test_bending_those_that_bend_equals_bending_all(bank):
    """The fields of nobody else are made large; with every field it would be the same to the bit."""
    composer, there = PhotoComposer(bank, None, replace(QUIET, bend=0.5)), torch.tensor([0, 2, 3, 5])
    draw = Draw(torch.Generator().manual_seed(3), torch.Generator().manual_seed(4), torch.device('cpu'))
    coarse, swing = bend = composer._bend(draw, 6)
    S, T = composer.config.size, swing.size(1)
    fields = F.interpolate(coarse, (S, S), mode='bicubic', align_corners=True).permute(0, 2, 3, 1)
    grid = torch.rand(4, T, S, S, 2)
    true = grid + swing[there][..., None, None, None] * fields[there][:, None]
    composer._add_bend(draw, grid, bend, there)
    assert torch.equal(grid, true) and 0 < (swing[there] != 0).any(1).sum() < 4


def test_people_are_laid_one_behind_the_other(backgrounds):
    """Composited whole equals composited one by one, for people of plain colour."""
    pha = np.zeros((40, 40), np.uint8)
    pha[5:35, 10:30] = 128
    plain = PhotoBank.from_pictures([(np.full((40, 40, 3), value, np.uint8), pha) for value in (60, 200)], (32, 32))
    config = replace(QUIET, people=(0., 0., 1.))
    fgr, pha, _ = PhotoComposer(plain, backgrounds, config).batch(0, 6)
    inside = pha > 0.2      # at the canvas edge colours fade with alpha
    assert fgr[inside.expand_as(fgr)].min() > 50 / 255 and fgr[inside.expand_as(fgr)].max() < 201 / 255
    levels = {round(1 - 0.5 ** n, 2) for n in (1, 2, 3)}
    assert any(abs(pha.max().item() - level) < 0.03 for level in levels) and pha.max() > 0.6


def test_sampling_at_identity_is_exact():
    picture = torch.randint(0, 255, (2, 4, 8, 8), dtype=torch.uint8)
    grid = frame_grid(torch.eye(3).expand(2, 3, 3, 3), 8, torch.device('cpu'))
    clip = sample(picture, grid, 'zeros')
    torch.testing.assert_close(clip, (picture.float() / 255)[:, None].expand(2, 3, 4, 8, 8), atol=1e-5, rtol=0)


def test_blur_equals_torchvision():
    clip = torch.rand(3, 2, 3, 20, 20)
    sigma = torch.tensor([1.5, 0.8, 0.3])
    blurred = gaussian_blur(clip, sigma)
    for i in range(3):
        size = 2 * math.ceil(2.5 * 1.5) + 1
        torch.testing.assert_close(blurred[i], TF.gaussian_blur(clip[i], size, float(sigma[i])), atol=1e-5, rtol=0)
    assert torch.equal(gaussian_blur(clip, torch.zeros(3)), clip)


def test_config_checks_itself():
    with pytest.raises(ValueError, match='size and seq_length must be at least 1, got 0 and 8'):
        ComposerConfig(size=0)
    with pytest.raises(ValueError, match='people must be probabilities that sum to 1'):
        ComposerConfig(people=(0.5, 0.2))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
def test_parameters_are_the_same_on_the_gpu(bank, backgrounds):
    quiet = replace(QUIET, person_motion=1, camera_motion=1)
    for a, b in zip(PhotoComposer(bank, backgrounds, quiet).batch(0, 4),
                    PhotoComposer(bank, backgrounds, quiet, device='cuda').batch(0, 4)):
        torch.testing.assert_close(a, b.cpu(), atol=1e-2, rtol=0)


def test_empty_scenes(bank, backgrounds):
    composer = PhotoComposer(bank, backgrounds, replace(QUIET, empty=0.3))
    shown = torch.cat([composer.batch(index, 32)[1].amax((1, 2, 3, 4)) for index in range(4)])
    assert 0.15 < (shown == 0).float().mean() < 0.45


def test_compositions(bank, backgrounds):
    fgr, pha, bgr = PhotoComposer(bank, backgrounds, QUIET).batch(0, 8)
    exact = fgr * pha + bgr * (1 - pha)
    src, same_fgr, same_pha = PhotoComposer(bank, backgrounds, QUIET).compositions(0, 8)
    assert torch.allclose(src, exact, atol=1e-6) and torch.equal(fgr, same_fgr) and torch.equal(pha, same_pha)
    composer = PhotoComposer(bank, backgrounds, replace(QUIET, compressed=0.5))
    src = composer.compositions(0, 8)[0]
    changed = (src - exact).abs().amax((1, 2, 3, 4)) > 1e-3   # of whole clips, not of single frames
    assert 0 < changed.sum() < 8 and (src - exact).abs().mean() < 0.1
    assert torch.equal(src, composer.compositions(0, 8)[0])


def test_objects_are_not_people(bank, backgrounds):
    plain = PhotoComposer(bank, backgrounds, QUIET).batch(0, 16)
    fgr, pha, bgr = PhotoComposer(bank, backgrounds, replace(QUIET, objects=0.5)).batch(0, 16)
    assert torch.equal(fgr, plain[0]) and torch.equal(pha, plain[1])   # people are drawn before
    share = PhotoComposer(bank, backgrounds, replace(QUIET, objects=1.)).batch(0, 16)[2]
    without = PhotoComposer(bank, backgrounds, replace(QUIET, objects=0.)).batch(0, 16)[2]
    covered = ((share - without).abs().amax(2) > 0.02).float().mean((1, 2, 3))
    assert (covered > 0.01).float().mean() > 0.7 and covered.mean() < 0.6   # parts of most backgrounds, never all


@pytest.fixture(scope='module')
def green_things():
    """Bright green discs, which neither people nor backgrounds are."""
    y, x = np.mgrid[:60, :80]
    disc = (((x - 40) ** 2 + (y - 30) ** 2) < 25 ** 2).astype(np.uint8) * 255
    colours = np.zeros((60, 80, 3), np.uint8)
    colours[..., 1] = 255
    return PhotoBank.from_pictures([(colours, disc)] * 2, canvas=(64, 64))


def test_cut_outs_lie_behind_people_and_are_not_part_of_alpha(bank, green_things):
    grey = plain_weights(torch.full((1, 3, 64, 64), 128, dtype=torch.uint8))
    config = replace(QUIET, objects=1., cut_outs=1., another=0.)
    plain = PhotoComposer(bank, grey, QUIET).batch(0, 24)
    fgr, pha, bgr = PhotoComposer(bank, grey, config, objects=green_things).batch(0, 24)
    assert torch.equal(fgr, plain[0]) and torch.equal(pha, plain[1])
    green = (bgr[:, :, 1] > 0.9) & (bgr[:, :, 0] < 0.1)
    untouched = (bgr - 128 / 255).abs().amax(2) < 0.01
    assert (green | untouched).float().mean() > 0.9           # only the filtered rim is in between
    share = green[:, 0].float().mean((1, 2))
    assert (share > 0).float().mean() > 0.8                   # some lie outside the frame in part, few wholly
    assert share.min() < 0.08 and share.max() > 0.25          # from small to large
    src = PhotoComposer(bank, grey, config, objects=green_things).compositions(0, 24)[0]
    torch.testing.assert_close(src, bgr.lerp(fgr, pha), atol=1e-6, rtol=0)


def test_a_second_thing_and_outlines_beside_cut_outs(bank, green_things):
    grey = plain_weights(torch.full((1, 3, 64, 64), 128, dtype=torch.uint8))
    one, two = (PhotoComposer(bank, grey, replace(QUIET, objects=1., cut_outs=1., another=another),
                              objects=green_things).batch(0, 24)[2] for another in (0., 1.))
    share_one, share_two = (((bgr[:, :, 1] > 0.9).float().mean((1, 2, 3))) for bgr in (one, two))
    assert (share_two >= share_one - 1e-6).all() and share_two.mean() > 1.3 * share_one.mean()
    without = PhotoComposer(bank, grey, replace(QUIET, objects=1., cut_outs=0.), objects=green_things).batch(0, 24)[2]
    assert not ((without[:, :, 1] > 0.9) & (without[:, :, 0] < 0.1)).any()


def test_gaps_only_take_away_and_move_with_the_person(bank, backgrounds):
    config = replace(QUIET, person_motion=1, size=64)
    plain = PhotoComposer(bank, backgrounds, replace(config, gaps=0)).batch(0, 24)[1]
    pha = PhotoComposer(bank, backgrounds, replace(config, gaps=1.)).batch(0, 24)[1]
    assert (pha <= plain + 1e-6).all()
    missing = (plain - pha).sum((2, 3, 4)) / plain.sum((2, 3, 4))            # (B, T)
    assert ((missing > 0.002).all(1).float().mean() > 0.5)                  # in every frame of most clips
    assert missing.max() < 0.35


def test_cut_gap_is_a_wedge_at_its_place():
    grid = frame_grid(torch.eye(3).expand(1, 1, 3, 3), 100, torch.device('cpu'))
    alpha = torch.ones(1, 1, 1, 100, 100)
    cut_gap(alpha, grid, torch.tensor([[0.2, -0.1, 0.1, 0.4, 0., 1.]]))
    hole = 1 - alpha[0, 0, 0]
    rows, columns = (torch.nonzero(hole.amax(dim) > 0.5).squeeze(1).float() for dim in (1, 0))
    assert abs(columns.mean() - 59.5) < 1 and abs(rows.mean() - 44.5) < 2      # the middle, in pixels
    assert 36 <= len(rows) <= 42 and 8 <= len(columns) <= 13
    widths = (hole > 0.5).sum(1)
    assert widths[35] < widths[55]                                             # narrow above, wide below
    untouched = torch.ones(1, 1, 1, 100, 100)
    cut_gap(untouched, grid, torch.tensor([[0.2, -0.1, 0., 0.4, 0., 1.]]))
    assert (untouched == 1).all()


@pytest.mark.parametrize('change, message', [
    (lambda alpha: 255 - alpha, 'in 3 of 3 pictures alpha shows what is around the middle: are the masks inverted'),
    (lambda alpha: alpha // 255, 'the values of alpha are 0 and 1, expected 0 to 255: multiply them by 255')])
def test_masks_of_another_kind_are_told(tmp_path, change, message):
    import numpy as np
    from PIL import Image

    from dataset.photo_bank import PhotoBank
    alpha = np.zeros((64, 48), np.uint8)
    alpha[16:56, 12:36] = 255
    for kind in ('fgr', 'pha'):
        (tmp_path / kind).mkdir()
    for number in range(3):
        Image.fromarray(np.full((64, 48, 3), 90, np.uint8)).save(tmp_path / 'fgr' / f'{number}.png')
        Image.fromarray(change(alpha)).save(tmp_path / 'pha' / f'{number}.png')
    with pytest.raises(ValueError, match=message):
        PhotoBank.from_folders(tmp_path / 'fgr', tmp_path / 'pha')


def test_clothes_are_dyed_and_skin_is_not(bank, backgrounds):
    skin, cloth = torch.tensor([0.8, 0.6, 0.5]), torch.tensor([0.1, 0.1, 0.25])
    picture = torch.stack([skin, cloth], 1)[:, None]                             # (3, 1, 2)
    tint = torch.tensor([0.9, 0.8, 0.1]).view(3, 1, 1)
    depth, amount = torch.tensor(0.), torch.tensor(1.)
    dyed = colour.dye(picture, tint, depth, amount)
    assert torch.equal(dyed[..., 0], picture[..., 0]) and torch.allclose(dyed[..., 1:], tint)
    folds = colour.dye(picture, tint, torch.tensor(1.), amount)
    assert (folds[:, 0, 1] < dyed[:, 0, 1]).all()                                # darker than the middle stays darker
    plain, changed = (PhotoComposer(bank, backgrounds, replace(QUIET, dyed=chance), 0).batch(0, 4) for chance in (0, 1))
    assert torch.equal(plain[1], changed[1]) and not torch.equal(plain[0], changed[0])
