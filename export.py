"""Write a network as a file for another runtime: TorchScript, ONNX, OpenVINO, CoreML, TensorFlow, ...

    python export.py --format onnx --output matting.onnx

What the formats are for, and programs that use them: documentation/deployment.md.
"""

import os
import sys

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')     # as inference.py runs

from export.command import main

if __name__ == '__main__':
    from demo.sample_clip import sample_frames
    sys.exit(main(sample_frames))
