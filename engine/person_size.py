"""How large the people of a scene are, and so how large a frame should be inside the network.

Networks see people of one range of sizes best. Of twelve real clips, the one with the smallest people gained from a
larger inside (IoU .72 .74 .76 .79 at long sides of 384, 512, 640, 768), people at a desk lost (.95 .96 .92 .92): the
table is in documentation/default_weights.md.
"""

import cv2
import numpy as np

# largest person's area, as the side of a square of it, share of the frame's -> times what the weights are for
STEPS = ((0.28, 1.0), (0.17, 1.25), (0.0, 1.5))
SEEN = 0.0005           # area below which nobody was seen; he may be too small for this size
LOOK_EVERY = 250        # frames; nobody walks to the camera faster than in ten seconds


def person_share(alpha: np.ndarray) -> float:
    """Side of a square as large as the largest person, share of one as large as the frame; 0 where nobody is seen.

    Args:
        alpha: (h, w) float32 in [0, 1].
    """
    areas = cv2.connectedComponentsWithStats((alpha > 0.5).astype(np.uint8))[2][1:, cv2.CC_STAT_AREA]
    largest = areas.max(initial=0) / alpha.size
    return float(largest) ** 0.5 if largest >= SEEN else 0.


def size_factor(share: float) -> float:
    """How many times the size that the weights are for suits people of this share; nobody (0): 1."""
    return next(factor for least, factor in STEPS if share >= least) if share else 1.0


class SizeChooser:
    """Looks at a scene when it begins and now and then; what it says depends on the frames alone."""

    def __init__(self):
        self.factor = 1.0
        self._seen: int | None = None        # frames of this scene; None: it was not looked at yet

    def new_scene(self) -> None:
        self.factor, self._seen = 1.0, None

    @property
    def must_look(self) -> bool:
        """Whether the next frame is to be matted at factor 1 first, to look at it."""
        return self._seen is None

    def look(self, alpha: np.ndarray) -> bool:
        """Choose by a matte; whether that changed anything."""
        before, self.factor = self.factor, size_factor(person_share(alpha))
        self._seen = self._seen or 0
        return self.factor != before

    def is_due(self, count: int) -> bool:
        """Counts the next frames of the scene; whether it is time to look at the last of them again."""
        before, self._seen = self._seen, self._seen + count
        return before // LOOK_EVERY != self._seen // LOOK_EVERY
