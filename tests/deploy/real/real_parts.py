# SPDX-License-Identifier: Apache-2.0
"""What the tests with real parts (podman, systemd, Slurm, Envoy) share: their folder, their calls, and what must not be
left when they end. They need root and change nothing on the machine outside of FOLDER while they do not run."""

import collections
import contextlib
import fcntl
import glob
import json
import os
import pathlib
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # chart.py

ROOT = pathlib.Path(__file__).resolve().parents[3]
BIN = pathlib.Path(os.environ.get("SDAR_BIN_DIR", ROOT / "build/release/bin"))
MODEL = ROOT / "models/sdar-tiny"
# Users other than root read it, and Slurm's nodes share it, which they do not /tmp.
FOLDER = pathlib.Path("/var/tmp/sdar-real-parts")
IMAGE = "localhost/sdar:test"
PROGRAMS = ("sdar-serve", "sdar-launch", "mpirun", "orted", "prted", "prterun")


def skip(reason):
    print(f"skipped: {reason}", flush=True)
    sys.exit(77)


def main(*programs):
    """Runs the tests of a part; skips them where they cannot run. One part runs at a time on a machine."""
    if os.geteuid() != 0:
        skip("real parts need root")
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        skip(f"real parts need {', '.join(missing)} (packages-full.txt)")
    if subprocess.run(["unshare", "--mount", "--net", "--uts", "true"], stderr=subprocess.DEVNULL).returncode != 0:
        skip("this machine has no namespaces to give")
    FOLDER.mkdir(mode=0o755, exist_ok=True)
    with open(FOLDER / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
        unittest.main(module="__main__", testRunner=unittest.TextTestRunner(resultclass=TimedResult, stream=sys.stdout))


class TimedResult(unittest.TextTestResult):
    """A line for each test, with its time."""

    def startTest(self, test):
        self.begin = time.monotonic()
        unittest.TestResult.startTest(self, test)

    def _line(self, outcome, test):
        name = f"{type(test).__name__}.{test._testMethodName}" if hasattr(test, "_testMethodName") else str(test)
        print(f"{time.monotonic() - getattr(self, 'begin', time.monotonic()):6.1f} s  {outcome}  {name}", flush=True)

    def addSuccess(self, test):
        unittest.TestResult.addSuccess(self, test)
        self._line("passed", test)

    def addError(self, test, err):
        unittest.TestResult.addError(self, test, err)
        self._line("ERROR ", test)

    def addFailure(self, test, err):
        unittest.TestResult.addFailure(self, test, err)
        self._line("FAILED", test)


def wait_until(holds, what, seconds=60, every=0.05):
    """What `holds` returned, once it is true."""
    deadline = time.monotonic() + seconds
    while not (held := holds()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(every)
    return held


def run(*command, check=True, timeout=120, **options):
    """What a command printed. Its errors are in what is raised."""
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout, **options)
    if check and result.returncode != 0:
        raise AssertionError(f"{command} ended with {result.returncode}: {result.stdout}{result.stderr}")
    return result.stdout


def processes(names=PROGRAMS):
    """Ids of processes of these names that these tests have started and that have not ended."""
    found = []
    for path in glob.glob("/proc/[0-9]*"):
        with contextlib.suppress(OSError):
            text = pathlib.Path(path, "stat").read_text()
            name, state = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2]
            if name in [n[:15] for n in names] and state not in "ZX" and _is_ours(path):
                found.append(int(path.split("/")[2]))
    return sorted(found)


def _is_ours(path):
    """Whether a process runs in a container, or has to do with the folder or the programs of these tests."""
    if os.readlink(f"{path}/ns/pid") != os.readlink("/proc/self/ns/pid"):
        return True
    about = pathlib.Path(path, "cmdline").read_bytes() + pathlib.Path(path, "environ").read_bytes()
    return any(str(place).encode() in about for place in (FOLDER, BIN))


def traces():
    """What a job could leave on the machine: processes, and files where Open MPI and the ranks put them, which no process
    has mapped."""
    files = {path for folder in ("/tmp", "/dev/shm") for pattern in ("ompi*", "vader*", "sdar*", "pmix*", "prte*", "sm_segment*")
             for path in glob.glob(f"{folder}/{pattern}")}
    if files:
        maps = ""
        for path in glob.glob("/proc/[0-9]*/maps"):
            with contextlib.suppress(OSError):
                maps += pathlib.Path(path).read_text()
        files = {file for file in files if file not in maps}
    return set(processes()), files


class CleanTest(unittest.TestCase):
    """The tests of a class together leave no process and no file on the machine."""

    @classmethod
    def setUpClass(cls):
        before = traces()
        cls.addClassCleanup(cls.check_traces, before)

    @staticmethod
    def check_traces(before):
        def new():
            return [now - then for now, then in zip(traces(), before)]
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not any(new()), "nothing is left", 10)
        processes_left, files = new()
        described = [pathlib.Path(f"/proc/{p}/cmdline").read_text().replace("\0", " ")[:100] for p in processes_left
                     if os.path.exists(f"/proc/{p}")]
        assert not described and not files, f"left over: {described} {files}"


class Server:
    """A job that serves over HTTP at an address; TLS with the certificates of an authority, and a key, where given."""

    def __init__(self, host, port=8000, admin_port=8001, authority=None, key=None):
        self.host, self.port, self.admin_port, self.key = host, port, admin_port, key
        self.context = ssl.create_default_context(cafile=str(authority)) if authority else None

    def get(self, path, admin=True, timeout=5):
        """The status and the text of an answer; (0, reason) without one."""
        scheme = "https" if self.context and not admin else "http"
        url = f"{scheme}://{self.host}:{self.admin_port if admin else self.port}{path}"
        return self._ask(urllib.request.Request(url), timeout, None if admin else self.context)

    def is_ready(self):
        return self.get("/readyz")[0] == 200

    def complete(self, timeout=60, key=None, **fields):
        """The status and the text of a completion."""
        body = {"prompt": "The capital of", "max_tokens": 4, "temperature": 0, **fields}
        headers = {"Content-Type": "application/json"}
        if key or self.key:
            headers["Authorization"] = f"Bearer {key or self.key}"
        scheme = "https" if self.context else "http"
        request = urllib.request.Request(f"{scheme}://{self.host}:{self.port}/v1/completions", json.dumps(body).encode(), headers)
        return self._ask(request, timeout, self.context)

    def long_call(self, seconds):
        """A call that takes about so long, as a function; from how long one of 60 tokens takes."""
        begin = time.monotonic()
        status, text = self.complete(max_tokens=60, ignore_eos=True)
        assert status == 200, text
        tokens = 60 * seconds / (time.monotonic() - begin)
        samples = min(16, 1 + int(tokens / 1500))
        return lambda: self.complete(n=samples, max_tokens=min(1500, int(tokens / samples)), ignore_eos=True)

    @staticmethod
    def _ask(request, timeout, context):
        try:
            with urllib.request.urlopen(request, timeout=timeout, context=context) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)


class Callers:
    """Threads that call until the context ends; `outcomes` counts the statuses, `texts` keeps one text of each."""

    def __init__(self, call, number=4):
        self.outcomes, self.texts = collections.Counter(), {}
        self._call, self._stop, self._lock = call, threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=self._go) for _ in range(number)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _go(self):
        while not self._stop.is_set():
            status, text = self._call()
            with self._lock:
                self.outcomes[status] += 1
                self.texts[status] = text
            if status == 0:
                time.sleep(0.02)


@contextlib.contextmanager
def in_background(call):
    """A list that holds what the call returns once the context has ended."""
    result = []
    thread = threading.Thread(target=lambda: result.append(call()))
    thread.start()
    try:
        yield result
    finally:
        thread.join()
