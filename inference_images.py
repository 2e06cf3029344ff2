"""Pictures with a background plate each, by the flags of the published command; inference.py can more.

    python inference_images.py --images-src photos --images-bgr plates --model-checkpoint net.pth --output-dir out
"""

import cli  # noqa: F401  # isort: skip

import sys

from converter.plate_doors import images

if __name__ == '__main__':
    sys.exit(images())
