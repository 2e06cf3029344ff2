"""Live matting of a camera: in a window, into a file, or as a virtual camera.

    python inference_webcam.py --background beach.jpg
"""

import cli  # noqa: F401  # isort: skip

import sys

if __name__ == '__main__':
    from live.command import main
    sys.exit(main())
