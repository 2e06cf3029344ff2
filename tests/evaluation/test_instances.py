"""How well people are told apart, on composed clips."""

import json

import pytest
import torch

from dataset.people_composer import PeopleConfig
from evaluation import benchmark, instances
from evaluation.instances import main, measure, perfect_split, rough, table
from model.instance.checkpoint import save_instance_network
from model.instance.network import InstanceForm
from tests.photos import write_photos


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp('people'))


def composer(folders):
    photos = instances.PhotoBank.from_folders(folders / 'people/fgr', folders / 'people/pha')
    backgrounds = instances.load_backgrounds(folders / 'backgrounds')
    return instances.PeopleComposer(photos, backgrounds, PeopleConfig(64, 2, level='easy'))


def test_dividing_the_truth_by_clean_masks_is_nearly_right(folders):
    rows = measure({'masks': rough(), 'split': perfect_split(), 'nobody': lambda clip: torch.zeros_like(clip.pha)},
                   {'easy': composer(folders)}, 2)
    values = {row['method']: row for row in rows if row['protocol'] == 'standard'}
    assert values['split']['mad'] < 4 < values['nobody']['mad'] and values['split']['iou'] > 0.95
    assert values['split']['mad'] < values['masks']['mad']          # soft edges come back
    assert len(rows) == 6 and '| easy | standard | split |' in table(rows)


def test_command(folders, tmp_path, capsys):
    arguments = ['--photos', str(folders / 'people'), '--backgrounds', str(folders / 'backgrounds'), '--clips', '1',
                 '--frames', '2', '--size', '64', '--levels', 'easy', '--out', str(tmp_path / 'rows.json')]
    assert main(arguments) == 0
    assert {row['method'] for row in json.loads((tmp_path / 'rows.json').read_text())} == {
        'masks', 'split', 'split of the true matte'}
    assert benchmark.main(['people', *arguments[:2], '--backgrounds', str(tmp_path / 'nothing')]) == 2
    assert capsys.readouterr().err.count('\n') <= 2


def test_network_alone_and_with_the_matte(folders, tmp_path):
    torch.manual_seed(0)
    save_instance_network(InstanceForm((8, 8, 8, 8, 8), slots=4).build(), tmp_path / 'net.safetensors')
    assert main(['--photos', str(folders / 'people'), '--backgrounds', str(folders / 'backgrounds'), '--clips', '1',
                 '--frames', '2', '--size', '64', '--levels', 'easy', '--out', str(tmp_path / 'rows.json'),
                 '--instance-weights', str(tmp_path / 'net.safetensors')]) == 0
    mad = {row['method']: row['mad'] for row in json.loads((tmp_path / 'rows.json').read_text())
           if row['protocol'] == 'standard'}
    assert {'split', 'network', 'both'} < mad.keys() and mad['network'] != mad['both'] != mad['split']


def test_what_cannot_be_measured_is_left_out_of_the_mean():
    assert instances.mean([1., float('nan'), 3.]) == 2
    assert instances.mean([float('nan')]) != instances.mean([float('nan')])
