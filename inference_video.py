"""A video with a background plate, by the flags of the published command; inference.py can more.

    python inference_video.py --video-src in.mp4 --video-bgr room.jpg --model-checkpoint net.pth --output-dir out
"""

import cli  # noqa: F401  # isort: skip

import sys

from converter.plate_doors import video

if __name__ == '__main__':
    sys.exit(video())
