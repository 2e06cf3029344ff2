"""Taking a plate live: countdown, mean of several frames, the file for the next time, what the window says."""

import cv2
import numpy as np
import pytest

from engine.matter import Matter
from live.backgrounds import BackgroundCycle
from live.command import main
from live.plate_taker import COUNTDOWN, FRAMES, PlateTaker
from live.session import LiveSession
from tests.clips import write_clip
from tests.live.fakes import patient_capture
from tests.live.test_session import Screen
from tests.test_inference_plate import DifferenceNetwork


class Clock:
    def __init__(self):
        self.now = 0.

    def __call__(self):
        return self.now


def test_countdown_mean_and_the_file_for_the_next_time(tmp_path):
    clock, locked = Clock(), []
    taker = PlateTaker(tmp_path / 'plate.png', lambda on: locked.append(on) or True, clock)
    assert taker.load() is None and taker.offer(np.zeros((4, 4, 3), np.uint8)) is None
    taker.begin()
    assert taker.busy and locked == [True] and taker.line() == 'leave the picture: plate in 6 s' and taker.note == ''
    assert taker.offer(np.full((4, 4, 3), 255, np.uint8)) is None           # still somebody there
    clock.now = COUNTDOWN + 0.1
    draws = np.random.default_rng(0)
    frames = [np.clip(100 + draws.normal(0, 8, (64, 64, 3)), 0, 255).astype(np.uint8) for _ in range(FRAMES)]
    taken = [taker.offer(frame) for frame in frames]
    assert taken[:-1] == [None] * (FRAMES - 1) and not taker.busy
    assert taken[-1].std() < 8 / 3 and abs(taken[-1].mean() - 99.5) < 0.5
    assert np.array_equal(PlateTaker(tmp_path / 'plate.png').load(), taken[-1])
    taker.begin()                                                           # a new one replaces it
    clock.now += COUNTDOWN + 0.1
    for _ in range(FRAMES):
        last = taker.offer(np.full((64, 64, 3), 7, np.uint8))
    assert (last == 7).all() and (taker.load() == 7).all()


def test_a_camera_that_does_not_lock_is_told():
    taker = PlateTaker()
    taker.begin()
    assert taker.note == 'this camera does not lock its exposure'


def room(t, width, height):
    """An empty room; from frame 30 on, somebody."""
    pixels = np.full((height, width, 3), 90, np.uint8)
    if t >= 30:
        pixels[16:40, 24:40] = 220
    return pixels


def test_session_shows_the_camera_then_mattes_and_always_says_so(tmp_path):
    clip = write_clip(tmp_path / 'in.mp4', 40, (64, 48), make=room)
    clock = Clock()
    screen = Screen({2: 'b'})
    plates = PlateTaker(clock=clock)
    session = LiveSession(patient_capture(clip), Matter(DifferenceNetwork()), BackgroundCycle(['0,0,255']),
                          window=screen, virtual_camera=(virtual := Screen()), overlay=False, plates=plates)
    said = []

    def show(picture, original=screen.show):
        said.append(session.plate_lines()[0])
        original(picture)
        clock.now += 1
    screen.show = show
    session.warm_up()
    assert session.matter.plate is None
    report = session.run()
    assert report.error == '' and len(screen.pictures) == 40
    assert said[0].startswith('no background plate yet') and said[3].startswith('leave the picture')
    assert any(line.startswith('taking the plate') for line in said) and said[-1].startswith('background plate in use')
    first, last = screen.pictures[0], screen.pictures[-1]
    assert abs(int(first[30, 10, 2]) - 90) < 12                       # the camera's picture
    assert last[45, 60, 2] > 240 and last[45, 60, 0] < 10             # the background
    assert last[30, 32, 0] > 190                                      # somebody
    assert not virtual.pictures[0].any() and virtual.pictures[-1][30, 32, 0] > 190    # others never see the room


@pytest.mark.parametrize('arguments, message', [
    (['--background-plate', 'room.mp4'], 'must be the name of an image such as room.png here, got room.mp4'),
])
def test_bad_plates_are_one_line(tmp_path, arguments, message, capsys):
    clip = write_clip(tmp_path / 'in.mp4', 3, (64, 48))
    assert main(['--camera', str(clip), '--no-window', '-o', str(tmp_path / 'out.mp4'), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_without_a_window_a_plate_must_be_there(tmp_path):
    from argparse import Namespace

    from live.command import plates_for
    matter = Matter(DifferenceNetwork())
    capture = patient_capture(write_clip(tmp_path / 'in.mp4', 3, (64, 48)))
    args = Namespace(background_plate=str(tmp_path / 'room.png'), no_window=True, checkpoint='x')
    with pytest.raises(ValueError, match='without a window no background plate can be taken'):
        plates_for(args, matter, capture)
    cv2.imwrite(args.background_plate, np.full((48, 64, 3), 90, np.uint8))
    assert plates_for(args, matter, capture) is not None and matter.plate is not None
