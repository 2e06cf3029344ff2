"""The result as a camera that video calls can choose (optional extra pyvirtualcam)."""

import sys
from fractions import Fraction

import numpy as np

INSTALL = 'a virtual camera needs the pyvirtualcam package: pip install -r requirements/webcam.txt'
DRIVERS = {'linux': 'load v4l2loopback first (sudo apt install v4l2loopback-dkms; sudo modprobe v4l2loopback '
                    'exclusive_caps=1)',
           'darwin': 'install OBS 30 or newer and start its virtual camera once',
           'win32': 'install OBS 26 or newer, or Unity Capture'}


class VirtualCamera:
    """
    Args:
        size: (width, height) [px].
        frame_rate: [1/s] that programs are told.
        device: which one, where there are several; None takes the first.
    Raises:
        RuntimeError: pyvirtualcam is not installed, or this machine has no virtual camera; the message says what to do.
    """

    def __init__(self, size: tuple[int, int], frame_rate: Fraction, device: str | None = None):
        try:
            import pyvirtualcam
        except ImportError as error:
            raise RuntimeError(INSTALL) from error
        try:
            self._camera = pyvirtualcam.Camera(*size, float(frame_rate), device=device)
        except (RuntimeError, ValueError) as error:
            hint = DRIVERS.get(sys.platform, 'see the documentation of pyvirtualcam')
            raise RuntimeError(f'no virtual camera here ({" ".join(str(error).split())}): {hint}') from error
        self.name = self._camera.device

    def show(self, picture: np.ndarray) -> None:
        """(H, W, 3) uint8 RGB of the size given at first."""
        self._camera.send(np.ascontiguousarray(picture))

    def close(self) -> None:
        """Other programs see no camera any more."""
        self._camera.close()
