"""High-resolution evaluation with the released command line; protocols rvm_hr and strict side by side.

python evaluation/evaluate_hr.py --pred-dir PREDICTIONS --true-dir TRUTH
"""

import sys
from pathlib import Path

if __name__ == '__main__':
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))           # released command: run as a file
    from evaluation.evaluate import main
    sys.exit(main('rvm_hr'))
