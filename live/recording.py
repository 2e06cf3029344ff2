"""Recording in a thread of its own, so that encoding does not hold the picture up."""

import queue
import threading

import numpy as np

from video.frame import StreamInfo
from video.outputs import EncodingOptions, Output, OutputSet

CAPACITY = 4      # frames that may wait; when the encoder is slower than the network, the network waits
POLL = 0.1        # [s]
END = None


class Recording:
    """Writes rendered frames; the file appears under its name in `close`.

    Args:
        outputs: from `plan_outputs`.
        info: of the frames.
        options: of the encoders.
    """

    def __init__(self, outputs: list[Output], info: StreamInfo, options: EncodingOptions):
        self.paths, self._writers, self.count = [output.path for output in outputs], OutputSet(
            outputs, info, options, None), 0
        self.wanted = self._writers.wanted                # what the renderer must make
        self._queue, self._error = queue.Queue(CAPACITY), None
        self._thread = threading.Thread(target=self._write, name='recording', daemon=True)
        self._thread.start()

    def _write(self) -> None:
        while (item := self._queue.get()) is not END:
            try:
                self._writers.write(*item)
                self.count += 1
            except Exception as error:      # told by the next `write`, or by `close`
                self._error = error
                return

    def write(self, rendered: dict[tuple[str, int], np.ndarray], pts: int) -> None:
        """Queue one frame.

        Raises:
            OSError, ValueError: an earlier frame could not be written.
        """
        self._put((rendered, pts))
        if self._error is not None:
            raise self._error

    def _put(self, item) -> None:
        while self._error is None:
            try:
                return self._queue.put(item, timeout=POLL)
            except queue.Full:
                continue

    def close(self) -> list[str]:
        """Finish the file; without a single frame there is none.

        Returns:
            Notes of the writers.
        Raises:
            OSError, ValueError: it could not be written; nothing is left behind.
        """
        self._put(END)
        self._thread.join()
        if self._error is not None or not self.count:
            self._writers.abort()
        if self._error is not None:
            raise self._error
        if self.count:
            self._writers.close()
        return self._writers.notes

    def abort(self) -> None:
        """Give up; nothing stays behind."""
        self._put(END)
        self._thread.join()
        self._writers.abort()
