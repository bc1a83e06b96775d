# SPDX-License-Identifier: Apache-2.0
"""A progress bar with tokens per second, where tqdm is installed."""

from __future__ import annotations

import threading
import time
from typing import Any


class Progress:
    """Counts finished prompts and tokens. Any thread may count."""

    def __init__(self, total: int, shown: bool) -> None:
        """total: prompts. shown: whether to draw a bar, if tqdm is there."""
        self._lock = threading.Lock()
        self._tokens = 0
        self._begin = time.perf_counter()
        self._bar: Any = None
        if shown:
            try:
                from tqdm.auto import tqdm
            except ImportError:
                return
            self._bar = tqdm(total=total, desc="Generating", dynamic_ncols=True)

    def add_tokens(self, count: int) -> None:
        with self._lock:
            self._tokens += count
            if self._bar is not None:
                rate = self._tokens / max(time.perf_counter() - self._begin, 1e-9)
                self._bar.set_postfix_str(f"{rate:.0f} tokens/s", refresh=False)
                self._bar.update(0)  # draws if it has not for a while

    def finish_prompt(self) -> None:
        with self._lock:
            if self._bar is not None:
                self._bar.update(1)

    def close(self) -> None:
        with self._lock:
            if self._bar is not None:
                self._bar.close()
