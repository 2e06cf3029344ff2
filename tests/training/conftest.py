import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    """Toy networks lose more to threads than they gain, most of all on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
