import pytest

from training.sampler import ResumableSampler, Stream

from .toys import ToyClips


@pytest.mark.parametrize('length, batch_size, world', [(10, 1, 1), (10, 2, 2), (7, 2, 3), (2, 1, 4), (1, 3, 5)])
def test_ranks_share_every_epoch_evenly(length, batch_size, world):
    ranks = [list(ResumableSampler(length, batch_size, rank, world, seed=3)) for rank in range(world)]
    assert len({tuple(len(batch) for batch in batches) for batches in ranks}) == 1
    taken = [index for batches in ranks for batch in batches for index in batch]
    assert set(taken) == set(range(length)) and len(taken) < length + world
    assert len(ranks[0]) == len(ResumableSampler(length, batch_size, 0, world, seed=3))


def test_order_depends_on_seed_and_epoch_alone():
    def order(seed, epoch):
        sampler = ResumableSampler(20, 1, 0, 1, seed)
        sampler.epoch = epoch
        return list(sampler)
    assert order(0, 1) == order(0, 1)
    assert order(0, 0) != order(0, 1) != order(1, 1)
    assert order(0, 0) != [[i] for i in range(20)]


def test_another_number_of_ranks_goes_on_where_the_first_stood():
    first = [list(ResumableSampler(12, 1, rank, 2, seed=0))[:2] for rank in range(2)]
    rest = []
    for rank in range(4):
        sampler = ResumableSampler(12, 1, rank, 4, seed=0)
        sampler.position = 4
        rest.append(list(sampler))
    taken = [i for batches in first + rest for batch in batches for i in batch]
    assert sorted(taken) == list(range(12))


def test_stream_goes_on_mid_epoch_and_into_the_next():
    whole = Stream(ToyClips(5), 2, 0)
    expected = [batch[0] for batch in whole.take(8)]           # 3 batches an epoch
    assert [len(batch) for batch in expected] == [2, 2, 1, 2, 2, 1, 2, 2]
    first, second = Stream(ToyClips(5), 2, 0), Stream(ToyClips(5), 2, 0)
    first.take(5)
    second.load_state_dict(first.state_dict())
    assert len(second) == 1
    assert all(x[0].equal(y) for x, y in zip(second.take(3), expected[5:]))


def test_empty_set_says_what_to_run():
    with pytest.raises(ValueError, match='the data set is empty: run python -m dataset.check'):
        Stream(ToyClips(0), 1, 0)
