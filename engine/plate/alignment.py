"""Keeps the plate on the frame when the camera moved a little: a homography from matched corners, checked and smoothed.

ORB corners (Rublee et al. 2011) of the plate are found once; those of a frame are matched by Hamming distance, which is
what binary descriptors are made for, and a match counts only when the second best is clearly worse (Lowe 2004). The
corners that agree are then found to fractions of a pixel (Lucas and Kanade 1981). What does not look like a small
motion of the same view is not applied.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np

SIDE = 960              # [px] corners are looked for at this long side
CORNERS = 1500
RATIO = 0.8             # of the distances of the best and the second best match
LEAST_MATCHES = 16
LEAST_INLIERS = 12
LEAST_SHARE = 0.3       # of the matches that must agree
RANSAC = 2.0            # [px] at that side
FINE = 0.6              # [px] the same, of corners followed to fractions of a pixel
WINDOW = 15             # [px] around a corner that is followed
FARTHEST = 0.08         # share of the long side that a corner of the picture may move
AREA = (0.8, 1.25)      # of the moved picture
STILL = 0.35            # [px] of the frame: smaller motions are left alone, resampling costs more sharpness
SMOOTHING = 0.8         # weight of the past


@dataclass(frozen=True)
class Corners:
    """ORB corners of one picture: points (N, 2) [px of `grey`], descriptors (N, 32) uint8.

    Attributes:
        grey: the picture in which they were found, uint8, `scale` times as large as the original.
    """

    points: np.ndarray
    descriptors: np.ndarray
    grey: np.ndarray | None = None
    scale: float = 1.


@dataclass(frozen=True)
class Alignment:
    """Where the plate lies in the frame.

    Attributes:
        matrix: (3, 3) from plate to frame pixels.
        applied: False: identity, because of `reason`.
        inliers: matches that agree.
    """

    matrix: np.ndarray = field(default_factory=lambda: np.eye(3))
    applied: bool = False
    reason: str = ''
    inliers: int = 0


def find_corners(picture: np.ndarray) -> Corners:
    """Corners of (H, W, 3) uint8 or uint16; none where nothing has structure."""
    grey = to_grey(picture)
    scale = min(1., SIDE / max(grey.shape))
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    points, descriptors = cv2.ORB_create(CORNERS).detectAndCompute(grey, None)
    if descriptors is None:
        return Corners(np.empty((0, 2)), np.empty((0, 32), np.uint8), grey, scale)
    return Corners(np.array([point.pt for point in points]), descriptors, grey, scale)


def to_grey(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) -> (H, W) uint8."""
    if picture.dtype == np.uint16:
        picture = (picture >> 8).astype(np.uint8)
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def match_corners(plate: Corners, frame: Corners) -> np.ndarray:
    """(M, 2) indices into both."""
    if len(plate.points) < 2 or len(frame.points) < 2:
        return np.empty((0, 2), int)
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(plate.descriptors, frame.descriptors, k=2)
    good = [(best.queryIdx, best.trainIdx) for best, second in pairs if best.distance < RATIO * second.distance]
    return np.array(good, int).reshape(-1, 2)


def estimate(plate: Corners, frame: Corners, size: tuple[int, int]) -> Alignment:
    """The homography from plate to frame, or identity with a reason.

    Args:
        size: (W, H) [px] of both pictures.
    """
    matches = match_corners(plate, frame)
    if len(matches) < LEAST_MATCHES:
        return Alignment(reason=f'only {len(matches)} corners of the plate are seen in the frame')
    source, target = plate.points[matches[:, 0]], frame.points[matches[:, 1]]
    matrix, inside = homography(source, target, RANSAC)
    inliers = int(inside.sum())
    if matrix is None:
        return Alignment(reason='the corners determine no motion')
    if inliers < LEAST_INLIERS or inliers < LEAST_SHARE * len(matches):
        return Alignment(reason=f'only {inliers} of {len(matches)} corners agree on a motion', inliers=inliers)
    if plate.grey is not None and frame.grey is not None:
        matrix = follow(plate, frame, source[inside], matrix)
    matrix = to_original(matrix, plate.scale)
    reason = check_motion(matrix, size)
    return Alignment(reason=reason, inliers=inliers) if reason else Alignment(matrix, True, '', inliers)


def homography(source: np.ndarray, target: np.ndarray, threshold: float) -> tuple[np.ndarray | None, np.ndarray]:
    """Robust homography of (M, 2) points, and which of them agree, (M,) bool."""
    cv2.setRNGSeed(0)           # the same frames give the same plates
    matrix, inside = cv2.findHomography(source, target, cv2.RANSAC, threshold)
    if matrix is None or not np.isfinite(matrix).all():
        return None, np.zeros(len(source), bool)
    return matrix, inside.ravel() > 0


def follow(plate: Corners, frame: Corners, source: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The homography again, from corners of the plate followed into the frame to fractions of a pixel; as it was where
    too few can be followed."""
    start, guess = (x.astype(np.float32)[:, None] for x in (source, move(matrix, source)))
    found, tracked, _ = cv2.calcOpticalFlowPyrLK(plate.grey, frame.grey, start, guess.copy(), winSize=(WINDOW, WINDOW),
                                                 maxLevel=0, flags=cv2.OPTFLOW_USE_INITIAL_FLOW)
    near = np.linalg.norm(found - guess, axis=2).ravel() < 2 * RANSAC
    kept = (tracked.ravel() > 0) & near
    if kept.sum() < LEAST_INLIERS:
        return matrix
    finer, inside = homography(start[kept, 0], found[kept, 0], FINE)
    return finer if finer is not None and inside.sum() >= LEAST_INLIERS else matrix


def to_original(matrix: np.ndarray, scale: float) -> np.ndarray:
    """A homography between pictures shrunk by `scale`, between the originals. Pixel centres are at integers for OpenCV
    and at halves for a resize."""
    shrink = np.array([[scale, 0, scale / 2 - 0.5], [0, scale, scale / 2 - 0.5], [0, 0, 1]])
    matrix = np.linalg.inv(shrink) @ matrix @ shrink
    return matrix / matrix[2, 2]


def check_motion(matrix: np.ndarray, size: tuple[int, int]) -> str:
    """Why this is no small motion of a camera, or ''."""
    before, after = frame_corners(size), move(matrix, frame_corners(size))
    if not np.isfinite(after).all() or not cv2.isContourConvex(after.astype(np.float32)):
        return 'the motion folds the picture'
    area = cv2.contourArea(after.astype(np.float32), oriented=True) / cv2.contourArea(
        before.astype(np.float32), oriented=True)
    if not AREA[0] <= area <= AREA[1]:
        return f'the motion scales the picture to {area:.0%} of its area'
    farthest = float(np.linalg.norm(after - before, axis=1).max())
    if farthest > FARTHEST * max(size):
        return f'the motion moves a corner of the picture by {farthest:.0f} pixels'
    return ''


def frame_corners(size: tuple[int, int]) -> np.ndarray:
    """The four corners of a frame [px]."""
    W, H = size
    return np.array([[0, 0], [W - 1, 0], [W - 1, H - 1], [0, H - 1]], float)


def move(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N, 2) points through a homography."""
    homogeneous = np.hstack([points, np.ones((len(points), 1))]) @ matrix.T
    with np.errstate(divide='ignore', invalid='ignore'):
        return homogeneous[:, :2] / homogeneous[:, 2:]


def warp_plate(plate: np.ndarray, frame: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The plate moved onto the frame; where it does not reach, the frame itself, which then counts as scene."""
    H, W = frame.shape[:2]
    moved = cv2.warpPerspective(plate, matrix, (W, H), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    reach = cv2.warpPerspective(np.full(plate.shape[:2], 255, np.uint8), matrix, (W, H), flags=cv2.INTER_LINEAR)
    beyond = reach < 255
    if beyond.any():
        moved[beyond] = frame[beyond]
    return moved


class Aligner:
    """Aligns one plate to the frames of a clip, in order.

    Args:
        plate: (H, W, 3) uint8 or uint16, at the size and in the type of the frames.
    """

    def __init__(self, plate: np.ndarray):
        self.plate, self.size = plate, plate.shape[1::-1]
        self.corners = find_corners(plate)
        self.reset()

    def reset(self) -> None:
        """The next frame is the first of a clip."""
        self.last, self._moved = Alignment(), None

    def align(self, frame: np.ndarray) -> np.ndarray:
        """The plate as the camera of this frame would see it, (H, W, 3) in the plate's type.

        A frame that gives no motion keeps that of the one before it.
        """
        self.last = estimate(self.corners, find_corners(frame), self.size)
        start = frame_corners(self.size)
        if self.last.applied:
            now = move(self.last.matrix, start)
            self._moved = now if self._moved is None else SMOOTHING * self._moved + (1 - SMOOTHING) * now
        if self._moved is None or np.linalg.norm(self._moved - start, axis=1).max() < STILL:
            return self.plate
        matrix = cv2.getPerspectiveTransform(start.astype(np.float32), self._moved.astype(np.float32))
        return warp_plate(self.plate, frame, matrix)
