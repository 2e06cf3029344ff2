"""Live matting of a camera: in a window, into a file, or as a virtual camera.

    python inference_webcam.py --background beach.jpg
"""

import os
import sys

# as in inference.py: threads that wait by spinning hold up the camera's and the encoder's
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')

if __name__ == '__main__':
    from live.command import main
    from model.weights import load_network
    sys.exit(main(load_network))
