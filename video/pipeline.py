"""Decode, network, rendering and encoding at the same time, with bounded queues between them."""

import queue
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

POLL = 0.1      # [s] how soon a waiting stage notices that another one has failed
END = object()


class StageError(RuntimeError):
    """A stage failed; the message names the frame, `__cause__` is the original error."""


class Pipeline:
    """source -> compute (in the caller's thread) -> finishing stages (a thread each).

    Memory is bounded by the queues, whatever the length of the clip. The first failure stops every stage.

    Args:
        capacity: items that may wait before each stage.
        chunk: items that `compute` takes at a time.
    """

    def __init__(self, capacity: int = 4, chunk: int = 1):
        self.capacity, self.chunk = capacity, chunk
        self.busy: dict[str, float] = {}          # [s] per stage, waiting left out
        self._stop, self._error = threading.Event(), None

    def run(self, source: Iterable, compute: Callable[[list], Iterable], finish: dict[str, Callable[[Any], Any]],
            names: tuple[str, str] = ('decode', 'network')) -> None:
        """Push everything through; returns when the last item has left the last stage.

        Args:
            source: yields items with an `index`.
            compute: up to `chunk` items -> as many items.
            finish: name -> function of one item, in order; each runs in its own thread.
            names: of source and compute, for `busy` and messages.
        Raises:
            StageError: naming stage and frame.
            KeyboardInterrupt: after every stage has stopped.
        """
        queues = [queue.Queue(max(self.capacity, 2 * self.chunk))] + [queue.Queue(self.capacity) for _ in finish]
        self.busy = dict.fromkeys((*names, *finish), 0.0)
        threads = [threading.Thread(target=self._produce, args=(names[0], source, queues[0]), daemon=True)]
        for (name, function), inbox, outbox in zip(finish.items(), queues[1:], [*queues[2:], None]):
            threads.append(threading.Thread(target=self._work, args=(name, function, inbox, outbox), daemon=True))
        for thread in threads:
            thread.start()
        try:
            self._compute(names[1], compute, queues[0], queues[1])
        except BaseException:
            self._stop.set()
            raise
        finally:
            for thread in threads:
                thread.join()
        if self._error is not None:
            raise self._error from self._error.__cause__

    def _produce(self, name: str, source: Iterable, outbox: queue.Queue) -> None:
        index, items = 0, iter(source)
        try:
            while True:
                start = time.perf_counter()
                item = next(items, END)
                self.busy[name] += time.perf_counter() - start
                if not self._put(outbox, item) or item is END:
                    return
                index += 1
        except Exception as error:
            self._fail(name, index, error)

    def _compute(self, name: str, compute: Callable[[list], Iterable], inbox: queue.Queue, outbox: queue.Queue) -> None:
        while not self._stop.is_set():
            items = []
            while len(items) < self.chunk and (item := self._get(inbox)) is not END:
                items.append(item)
            if items:
                start = time.perf_counter()
                try:
                    results = list(compute(items))
                except Exception as error:
                    self._fail(name, items[0].index, error)
                    return
                self.busy[name] += time.perf_counter() - start
                for result in results:
                    self._put(outbox, result)
            if len(items) < self.chunk:
                self._put(outbox, END)
                return

    def _work(self, name: str, function: Callable[[Any], Any], inbox: queue.Queue, outbox: queue.Queue | None) -> None:
        while (item := self._get(inbox)) is not END:
            start = time.perf_counter()
            try:
                result = function(item)
            except Exception as error:
                self._fail(name, item.index, error)
                return
            self.busy[name] += time.perf_counter() - start
            if outbox is not None:
                self._put(outbox, result)
        if outbox is not None:
            self._put(outbox, END)

    def _put(self, outbox: queue.Queue, item: Any) -> bool:
        while not self._stop.is_set():
            try:
                outbox.put(item, timeout=POLL)
                return True
            except queue.Full:
                continue
        return False

    def _get(self, inbox: queue.Queue) -> Any:
        while not self._stop.is_set():
            try:
                return inbox.get(timeout=POLL)
            except queue.Empty:
                continue
        return END

    def _fail(self, name: str, index: int, error: Exception) -> None:
        if not self._stop.is_set():
            failure = StageError(f'frame {index} ({name}): {error}')
            failure.__cause__ = error
            self._error = failure
        self._stop.set()
