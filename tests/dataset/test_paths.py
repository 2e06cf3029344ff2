"""Where the sets are looked for, and what is said when they are not there."""

import pytest

from dataset import data_paths
from dataset.paths import LAYOUTS, require

NAMES = {'videomatte', 'videomatteHD', 'brainstorm', 'imagematte', 'imgbra', 'am2k', 'bg20k', 'h646', 'p3m',
         'background_images', 'background_videos', 'coco_panoptic', 'spd', 'youtubevis'}


def test_names_and_splits():
    assert LAYOUTS.keys() >= NAMES
    for name in NAMES - {'coco_panoptic', 'spd', 'youtubevis'}:
        assert set(LAYOUTS[name]) == {'train', 'valid'}


def test_root_from_argument_variable_and_file(tmp_path, monkeypatch):
    for name in 'abc':
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match='no data root: give --data-root, set MATTING_DATA'):
        data_paths()
    (tmp_path / 'data_paths.yaml').write_text(f'root: {tmp_path / "c"}\n')
    assert data_paths()['spd']['train']['imgdir'] == tmp_path / 'c/spd/img'
    monkeypatch.setenv('MATTING_DATA', str(tmp_path / 'b'))
    assert data_paths()['spd']['train']['imgdir'] == tmp_path / 'b/spd/img'
    assert data_paths(tmp_path / 'a')['spd']['train']['imgdir'] == tmp_path / 'a/spd/img'
    with pytest.raises(FileNotFoundError, match='data root .*nowhere is not a folder'):
        data_paths(tmp_path / 'nowhere')


def test_file_moves_single_folders(tmp_path):
    file = tmp_path / 'mine.yaml'
    file.write_text('videomatte: {train: {fgr: VM/fgr, pha: /elsewhere/pha}}\n')
    paths = data_paths(tmp_path, file)
    assert paths['videomatte']['train'] == {'fgr': tmp_path / 'VM/fgr', 'pha': (tmp_path / '/elsewhere/pha')}
    assert paths['videomatte']['valid']['fgr'] == tmp_path / 'videomatte/valid/fgr'
    file.write_text('videomat: {}\n')
    with pytest.raises(ValueError, match="'videomat' is no set; known: root, videomatte"):
        data_paths(tmp_path, file)
    file.write_text('videomatte: /somewhere\n')
    with pytest.raises(ValueError, match='videomatte must be a mapping split -> role -> path'):
        data_paths(tmp_path, file)


def test_published_layouts_are_recognised(paths, branch):
    assert paths['am2k']['train']['fgr'].name == 'fg' and paths['am2k']['valid']['pha'].parts[-2] == 'validation'
    assert paths['bg20k']['valid']['dir'].name == 'testval'
    root = branch('spd')
    (root / 'spd/img').rename(root / 'spd/src')
    (root / 'spd/seg').rename(root / 'spd/msk')
    assert data_paths(root)['spd']['train']['segdir'] == root / 'spd/msk'


def test_missing_set_names_layout_and_what_was_found(branch):
    root = branch('spd')
    with pytest.raises(FileNotFoundError, match=r'videomatte \(train\).*Expected fgr/<clip>/<frame>.jpg with pha/'
                                                r'.*Found in .*root: spd'):
        require(data_paths(root), 'videomatte', 'train')
    with pytest.raises(ValueError, match="no paths for the valid split of 'spd'"):
        require(data_paths(root), 'spd', 'valid')
