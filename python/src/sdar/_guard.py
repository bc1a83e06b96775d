# SPDX-License-Identifier: Apache-2.0
"""Runs a command and ends it when the process that wanted it is gone, whatever ended that.

    python -I -S _guard.py PARENT_PID GRACE_SECONDS FOLDER COMMAND...

A program of its own, because only a process that outlives its parent can do this. SIGTERM ends the command too. It gets
SIGTERM first, and SIGKILL with its process group after the grace. The exit code is the command's, or 128 + signal.
FOLDER belongs to the parent. If the parent is gone, it is removed at the end.
Standard library only: it runs without site-packages, so that it starts fast.
"""

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time

_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.2  # where the kernel has no pidfd


_GUARD_PID = os.getpid()


def _end_with_guard() -> None:
    """In the child, between fork and exec: if the guard is killed, the command gets SIGTERM."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != _GUARD_PID:  # it died before prctl
        os._exit(127)


def _open_parent(parent: int) -> int:
    """A descriptor that becomes readable when the parent ends; -1 where the kernel has none."""
    try:
        return os.pidfd_open(parent)
    except (AttributeError, OSError):
        return -1


class _Guard:
    def __init__(self, parent: int, grace: float) -> None:
        self._parent = parent
        self._grace = grace
        self._ordered = False  # SIGTERM or SIGINT came
        # Signals wake the poll, so that none is missed between a check and the wait.
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        self._wakeups = reader
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_order)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._poll = select.poll()
        self._poll.register(reader, select.POLLIN)
        self._parent_fd = _open_parent(parent)
        if self._parent_fd >= 0:
            self._poll.register(self._parent_fd, select.POLLIN)

    def _on_order(self, *_: object) -> None:
        self._ordered = True

    def run(self, command: "list[str]") -> int:
        try:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_end_with_guard,
                                     start_new_session=True)
        except OSError as error:
            print(f"cannot run {command[0]}: {error.strerror}", file=sys.stderr)
            return 127
        while child.poll() is None and not self._ordered and os.getppid() == self._parent:
            self._wait(None if self._parent_fd >= 0 else _POLL_SECONDS)
        if child.poll() is None:
            child.terminate()
            self._wait_for(child)
        code = child.wait()
        return code if code >= 0 else 128 - code

    def _wait_for(self, child: "subprocess.Popen[bytes]") -> None:
        """Until it has ended, at most for the grace; then it is killed."""
        if self._parent_fd >= 0:
            self._poll.unregister(self._parent_fd)  # it may be readable for good
        deadline = time.monotonic() + self._grace
        while child.poll() is None and time.monotonic() < deadline:
            self._wait(deadline - time.monotonic())
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)

    def _wait(self, seconds: "float | None") -> None:
        self._poll.poll(None if seconds is None else max(0, seconds * 1000))
        try:
            os.read(self._wakeups, 4096)
        except BlockingIOError:
            pass


def _main() -> int:
    parent = int(sys.argv[1])
    code = _Guard(parent, float(sys.argv[2])).run(sys.argv[4:])
    if os.getppid() != parent:
        shutil.rmtree(sys.argv[3], ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(_main())
