# SPDX-License-Identifier: Apache-2.0
"""sdar-serve as a child of this process."""

from __future__ import annotations

import os
import pathlib
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from typing import Optional, Sequence, Union

from sdar._programs import find_program
from sdar.errors import StartFailed

_GUARD = pathlib.Path(__file__).with_name("_guard.py")
# Seconds: for sdar-launch to end the job, for the guard to wait for that, for the guard itself.
_STOP, _GRACE, _PATIENCE = 8, 15, 20
# Unless other values are given. A queue of one's own need not be bounded: its only client is.
_DEFAULTS = {"--drain-timeout": "2", "--max-waiting": "1000000000", "--max-waiting-tokens": "1000000000000"}
_SHOWN_LINES = 20
# What a program says last about why it ends, and errors in its log.
_OWN_WORDS = re.compile(r"(?:^|\s)(sdar-(?:serve|launch): .*)")
_LOGGED_ERROR = re.compile(r"^\S+ error (?:\[rank \d+\] )?(.*)")


class ServerProcess:
    """A job of this process, on free ports of loopback. It ends with this process, whatever ends that.

    Its key is known to this process alone. It needs Linux.
    """

    def __init__(self, model: Union[str, "os.PathLike[str]"], *, ranks: int, flags: Sequence[str],
                 bin_dir: Union[str, "os.PathLike[str]", None], log_file: Union[str, "os.PathLike[str]", None],
                 start_timeout: Optional[float]) -> None:
        """Starts the job and waits until it serves. Raises StartFailed if it does not, with the program's words.

        log_file: where the log goes, after what is there; None: it is kept only for messages.
        start_timeout: seconds; None: no limit.
        """
        programs = [find_program(name, bin_dir) for name in ("sdar-serve", *(["sdar-launch"] if ranks > 1 else []))]
        self.api_key = secrets.token_urlsafe(32)
        scratch = pathlib.Path(tempfile.mkdtemp(prefix="sdar-llm-"))
        self._scratch = scratch
        self.log = pathlib.Path(log_file) if log_file else scratch / "log"
        try:
            (scratch / "key").write_text(self.api_key + "\n")
            defaults = dict(_DEFAULTS) if log_file else {**_DEFAULTS, "--log-level": "warning"}
            given = {flag.split("=")[0] for flag in flags}
            own = [f"{name}={value}" for name, value in defaults.items() if name not in given]
            command = self._command(programs, ranks, [f"--model={os.fspath(model)}", *own, *flags])
            self._process = self._start(command)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        self._stop = weakref.finalize(self, _end, os.getpid(), self._process, scratch)
        try:
            self.address = self._wait_for_address(start_timeout)
        except BaseException:
            self.close()
            raise

    def _command(self, programs: Sequence[str], ranks: int, flags: Sequence[str]) -> list[str]:
        """programs: sdar-serve, and sdar-launch if there are several ranks."""
        command = [programs[0], "--host=127.0.0.1", "--port=0", "--http-port=-1",
                   f"--address-file={self._scratch / 'address'}", f"--api-keys-file={self._scratch / 'key'}",
                   *flags]
        if len(programs) == 1:
            return command
        return [programs[1], f"--ranks={ranks}", "--restart=never", f"--stop-timeout={_STOP}", "--", *command]

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        if not sys.executable:
            raise StartFailed("sys.executable is empty: expected the path of Python, which guards the server")
        guard = [sys.executable, "-I", "-S", str(_GUARD), str(os.getpid()), str(_GRACE), str(self._scratch), *command]
        try:
            with open(self.log, "ab") as log:
                self._log_start = log.tell()
                # A session of its own: Ctrl-C in a terminal is for this process, which then ends the server.
                return subprocess.Popen(guard, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                        start_new_session=True)
        except OSError as error:
            raise StartFailed(str(error)) from None

    def _wait_for_address(self, timeout: Optional[float]) -> str:
        """HOST:PORT, once the job serves."""
        deadline = None if timeout is None else time.monotonic() + timeout
        file = self._scratch / "address"
        while True:
            running = self.exit_code() is None
            text = file.read_text() if file.exists() else ""
            if text.endswith("\n"):
                return text.strip()
            if not running:
                raise StartFailed(self.words(), exit_code=self.exit_code())
            if deadline is not None and time.monotonic() > deadline:
                raise StartFailed(f"start_timeout: sdar-serve does not serve after {timeout} s: {self.words()}")
            time.sleep(0.02)

    def exit_code(self) -> Optional[int]:
        """None while it runs."""
        return self._process.poll()

    def wait_for_end(self) -> Optional[int]:
        """The exit code, if it has ended or does so within seconds, as after it closed its connections; else None."""
        try:
            return self._process.wait(_STOP)
        except subprocess.TimeoutExpired:
            return None

    def words(self) -> str:
        """What the programs said about why they ended, else the end of the log."""
        try:
            with open(self.log, "rb") as log:
                log.seek(self._log_start)
                lines = log.read().decode("utf-8", "replace").splitlines()
        except OSError as error:
            return str(error)
        for pattern in (_OWN_WORDS, _LOGGED_ERROR):
            found = [match[1] for match in map(pattern.search, lines) if match]
            if found:
                return "\n".join(found[-_SHOWN_LINES:])
        return "\n".join(lines[-_SHOWN_LINES:]) or f"it ended with exit code {self.exit_code()} and said nothing"

    def close(self) -> None:
        """Ends the job and waits for that."""
        self._stop()


def _end(owner: int, process: subprocess.Popen[bytes], scratch: pathlib.Path) -> None:
    """Ends the job, unless this process is a fork of the one that started it."""
    if os.getpid() != owner:
        return
    process.terminate()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # the guard; the kernel tells what it runs
        process.wait()
    shutil.rmtree(scratch, ignore_errors=True)
