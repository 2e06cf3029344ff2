"""Write a network as a file for another runtime: TorchScript, ONNX, OpenVINO, CoreML, TensorFlow, ...

    python export.py --format onnx --output matting.onnx

What the formats are for, and programs that use them: documentation/deployment.md.
"""

import cli  # noqa: F401  # isort: skip

import sys

from export.command import main

if __name__ == '__main__':
    from demo.sample_clip import sample_frames
    sys.exit(main(sample_frames))
