"""train.py with the defaults of the Mamba derivative (train_config.PRESETS); without any flag: stage 1."""

import sys

from train import main

if __name__ == '__main__':
    sys.exit(main('mamba_train'))
