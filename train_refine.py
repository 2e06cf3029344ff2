"""Train the refine network with a plate, from weights of train_base.py: --model-last-checkpoint."""

import sys

from train_base import main

if __name__ == '__main__':
    sys.exit(main('refine'))
