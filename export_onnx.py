"""A network with a background plate as ONNX, by the flags of the published command; export.py can more.

    python export_onnx.py --model-checkpoint net.pth --output net.onnx
"""

import cli  # noqa: F401  # isort: skip

import sys

from export.plate_doors import door

if __name__ == '__main__':
    from demo.sample_clip import sample_frames
    sys.exit(door('onnx', sample_frames))
