# SPDX-License-Identifier: Apache-2.0
"""Many prompts at a time."""

from __future__ import annotations

import threading
from typing import Callable, Iterator, Optional, Sequence

from sdar import _readers
from sdar._progress import Progress
from sdar.client import GenerationStream
from sdar.errors import Cancelled, Error
from sdar.results import Delta, Generation

Start = Callable[[], GenerationStream]
"""Starts the call of one prompt."""


class Batch:
    """Runs calls, up to `max_active` at a time, and keeps their order.

    The first error ends the others.
    """

    def __init__(self, starts: Sequence[Start], max_active: int, progress: Progress) -> None:
        self._starts = starts
        self._progress = progress
        self._results: list[Optional[Generation]] = [None] * len(starts)
        self._lock = threading.Lock()
        self._numbers: Iterator[int] = iter(range(len(starts)))
        self._open: set[GenerationStream] = set()
        self._error: Optional[BaseException] = None
        self._stopped = False
        count = min(max_active, len(starts))
        self._threads = [threading.Thread(target=self._work, name=f"sdar-batch-{i}", daemon=True) for i in range(count)]

    def run(self) -> list[Generation]:
        """The results, in the order of the calls. Raises the first error."""
        for thread in self._threads:
            thread.start()
        try:
            for thread in self._threads:
                thread.join()
        finally:  # also after Ctrl-C
            self._stop(None)
            for thread in self._threads:
                thread.join()
        if self._error is not None:
            raise self._error
        return [result for result in self._results if result is not None]

    def _work(self) -> None:
        for number in iter(self._next_number, None):
            try:
                self._results[number] = self._collect(self._starts[number])
            except BaseException as error:
                if isinstance(error, Error) and len(self._starts) > 1:
                    error.message = f"prompts[{number}]: {error.message}"
                return self._stop(error)
            self._progress.finish_prompt()

    def _next_number(self) -> Optional[int]:
        with self._lock:
            return None if self._stopped else next(self._numbers, None)

    def _collect(self, start: Start) -> Generation:
        collector = _readers.SampleCollector()
        with start() as stream:
            with self._lock:
                if self._stopped:
                    raise Cancelled("the batch has ended")
                self._open.add(stream)
            for event in stream:
                collector.add(event)
                if isinstance(event, Delta):
                    self._progress.add_tokens(len(event.token_ids))
            with self._lock:
                self._open.discard(stream)
        return collector.generation()

    def _stop(self, error: Optional[BaseException]) -> None:
        """Ends all calls. Only the first error counts; those that follow from it do not."""
        with self._lock:
            if not self._stopped:
                self._error = error
            self._stopped = True
            streams = list(self._open)
        for stream in streams:
            stream.close()
