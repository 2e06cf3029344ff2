"""One thread for every test of a network: on tensors this small, more threads only wait for each other."""

import torch

torch.set_num_threads(1)
