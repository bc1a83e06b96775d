# SPDX-License-Identifier: Apache-2.0
"""A two-rank job that is harmed while it serves: ranks, certificates, keys, clock, connections, the log's reader.

Each call that was accepted has to end exactly once, and every probe has to be answered in time. CHAOS_SECONDS sets for
how long (60 without); the report is what docs/reliability.md quotes.
"""

import collections
import http.client
import json
import os
import pathlib
import random
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

from served_job import BIN, MODEL, wait_until
from tls_files import Authority

TOKEN = "a-token-for-this-test"
FAKETIME = pathlib.Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
# A job is back within this time after a rank was killed: sdar-launch waits up to 60 s between starts that fail fast.
RESTART = 100
# Probes of a job that has all its ranks.
PROBE_LIMIT = 2.0
# A rank 0 that is stopped answers nobody until another rank has noticed, after 5 s, and ended the job.
LOST_PROBE_LIMIT = 15.0


class Job:
    """sdar-launch with two ranks, whose wall clock and log the test has in its hands."""

    def __init__(self, folder):
        self.folder = folder
        self.authority = Authority(folder, "authority")
        self.key, self.certificate = self.authority.sign("server", 1)
        self.tokens, self.clock = folder / "tokens", folder / "clock"
        self.losses, self.is_lost = 0, False  # of ranks; from then until the job is back
        self.grpc, self.http, self.admin = folder / "grpc", folder / "http", folder / "admin"
        self.tokens.write_text(TOKEN + "\n")
        self.step_clock(0)
        environment = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        if FAKETIME.exists():
            # The C library's allocator before jemalloc's, which asks for the time before it can allocate.
            environment.update(LD_PRELOAD=f"{FAKETIME}:libc.so.6:libstdc++.so.6", FAKETIME_TIMESTAMP_FILE=str(self.clock),
                               FAKETIME_NO_CACHE="1", FAKETIME_DONT_FAKE_MONOTONIC="1",
                               DONT_FAKE_MONOTONIC="1")
        log, self.log_end = os.pipe()
        self.log = os.fdopen(log, "rb", buffering=0)
        self.process = subprocess.Popen(
            [BIN / "sdar-launch", "--ranks=2", "--", "sdar-serve", f"--model={MODEL}", "--port=0", "--http-port=0",
             "--admin-port=0", f"--address-file={self.grpc}", f"--http-address-file={self.http}",
             f"--admin-address-file={self.admin}", f"--tls-cert={self.certificate}", f"--tls-key={self.key}",
             f"--api-keys-file={self.tokens}", "--threads=1"],
            stdin=subprocess.DEVNULL, stdout=self.log_end, stderr=self.log_end, env=environment)
        os.close(self.log_end)

    def step_clock(self, seconds):
        written = self.folder / "clock.new"
        written.write_text(f"{seconds:+d}s\n")
        written.replace(self.clock)

    def ranks(self):
        found = subprocess.run(["pgrep", "-f", f"^[^ ]*sdar-serve .*{self.grpc}"], capture_output=True, text=True)
        return [int(pid) for pid in found.stdout.split()]

    def address(self, file):
        try:
            host, port = file.read_text().strip().rsplit(":", 1)
            return host, int(port)
        except (OSError, ValueError):
            raise ConnectionError("the job does not serve") from None

    def connect(self):
        """An HTTP connection that takes whatever certificate is shown."""
        host, port = self.address(self.http)
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        return http.client.HTTPSConnection(host, port, timeout=60, context=tls)


class Counts(collections.Counter):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def add(self, name):
        with self.lock:
            self[name] += 1


class Client(threading.Thread):
    """Calls of all sorts; each has to end, and to end once."""

    def __init__(self, job, number, stopped, counts, wrong):
        super().__init__()
        self.job, self.stopped, self.counts, self.wrong = job, stopped, counts, wrong
        self.random = random.Random(number)

    def run(self):
        while not self.stopped.is_set():
            try:
                self.counts.add(self.call())
            except (OSError, http.client.HTTPException) as error:
                timed_out = isinstance(error, TimeoutError)
                if timed_out:
                    self.wrong.append(f"a call did not end within 60 s: {error}")
                self.counts.add("cut off")
                time.sleep(0.2)

    def call(self):
        stream = self.random.random() < 0.5
        body = {"messages": [{"role": "user", "content": "Compute 11 + 16."}], "stream": stream,
                "max_tokens": self.random.choice([1, 20, 200]), "ignore_eos": self.random.random() < 0.5}
        if self.random.random() < 0.2:
            body = self.random.choice([{"messages": 7}, {"n": -1, **body}, {"stop_token_ids": list(range(966)),
                                                                           "min_tokens": 4, **body}])
        connection = self.job.connect()
        try:
            token = TOKEN if self.random.random() < 0.9 else "wrong"
            connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Authorization": f"Bearer {token}"})
            if self.random.random() < 0.05:
                return "left"
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status == 200 and stream:
            ends = text.count("data: [DONE]")
            if ends != 1 or not text.endswith("data: [DONE]\n\n"):
                self.wrong.append(f"a stream ended {ends} times: {text[-300:]}")
            return "streamed" if '"error"' not in text else "ended in a stream"
        if answer.status == 200:
            return "answered" if json.loads(text)["choices"] else "empty"
        if json.loads(text)["error"]["code"] != answer.status:
            self.wrong.append(f"an error that says another code: {answer.status} {text}")
        if answer.status not in (400, 401, 429, 503):
            self.wrong.append(f"an answer that should not be: {answer.status} {text}")
        return str(answer.status)


class Prober(threading.Thread):
    """Asks for probes all the time, and notes for how long none was answered."""

    def __init__(self, job, stopped):
        super().__init__()
        self.job, self.stopped, self.count = job, stopped, 0
        self.slowest, self.slowest_lost, self.gap = 0.0, 0.0, 0.0

    def run(self):
        last = time.monotonic()
        while not self.stopped.is_set():
            begin, losses, lost = time.monotonic(), self.job.losses, self.job.is_lost
            try:
                host, port = self.job.address(self.job.admin)
                connection = http.client.HTTPConnection(host, port, timeout=30)
                connection.request("GET", random.choice(["/livez", "/readyz", "/startupz", "/metrics"]))
                connection.getresponse().read()
                connection.close()
                now = time.monotonic()
                if lost or self.job.losses != losses:
                    self.slowest_lost = max(self.slowest_lost, now - begin)
                else:
                    self.slowest = max(self.slowest, now - begin)
                self.count, self.gap, last = self.count + 1, max(self.gap, now - last), now
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.05)


class Chaos:
    """What is done to a job, one thing at a time; each is mended before the next."""

    def __init__(self, job, number):
        self.job, self.random, self.reading = job, random.Random(number), threading.Event()
        self.reading.set()
        self.done = collections.Counter()

    def harm(self):
        action = self.random.choice([self.kill_a_rank, self.break_a_certificate, self.revoke_the_keys, self.step_the_clock,
                                     self.stop_reading, self.open_connections, self.open_connections])
        self.done[action.__name__] += 1
        action()

    def kill_a_rank(self):
        ranks = self.job.ranks()
        if len(ranks) == 2 and self.job.http.exists():
            self.job.losses, self.job.is_lost = self.job.losses + 1, True
            os.kill(self.random.choice(ranks), self.random.choice([signal.SIGKILL, signal.SIGSTOP]))
            wait_until(lambda: set(self.job.ranks()).isdisjoint(ranks) and len(self.job.ranks()) == 2 and
                       self.job.http.exists(), "the job is back", RESTART)
            self.job.is_lost = False

    def break_a_certificate(self):
        path = self.random.choice([self.job.key, self.job.certificate])
        content = path.read_bytes()
        path.write_bytes(self.random.choice([b"", b"garbage", content[:100]]))
        time.sleep(1.5)
        path.write_bytes(content)

    def revoke_the_keys(self):
        self.job.tokens.write_text(self.random.choice(["", "short\n", "another-token-of-this-test\n"]))
        time.sleep(1.5)
        self.job.tokens.write_text(TOKEN + "\n")

    def step_the_clock(self):
        self.job.step_clock(self.random.choice([-3600, -30, 30, 3600]))
        time.sleep(1)
        self.job.step_clock(0)

    def stop_reading(self):
        self.reading.clear()
        time.sleep(2)
        self.reading.set()

    def open_connections(self):
        try:
            address = self.job.address(self.random.choice([self.job.http, self.job.grpc]))
            connections = [socket.create_connection(address, 10) for _ in range(100)]
        except OSError:
            return
        for connection in connections:
            try:
                connection.sendall(self.random.randbytes(self.random.randrange(100)))
            except OSError:
                pass
        time.sleep(0.5)
        for connection in connections:
            connection.close()


class ChaosTest(unittest.TestCase):
    def serves(self, client):
        try:
            return client.call() in ("answered", "streamed")
        except (OSError, http.client.HTTPException):
            return False

    def test_every_call_ends_once_and_every_probe_is_answered_whatever_is_harmed(self):
        seconds = float(os.environ.get("CHAOS_SECONDS", "60"))
        scratch = tempfile.TemporaryDirectory(prefix="sdar-chaos-")
        self.addCleanup(scratch.cleanup)
        job = Job(pathlib.Path(scratch.name))
        stopped, counts, wrong, tail = threading.Event(), Counts(), [], collections.deque(maxlen=60)
        chaos = Chaos(job, 20261128)

        def read_log():
            rest = b""
            while chunk := job.log.read(65536):
                chaos.reading.wait()
                *lines, rest = (rest + chunk).split(b"\n")
                tail.extend(lines)
        reader = threading.Thread(target=read_log, daemon=True)
        reader.start()
        try:
            wait_until(lambda: job.http.exists() or job.process.poll() is not None, "the job serves", 120)
            clients = [Client(job, number, stopped, counts, wrong) for number in range(4)]
            prober = Prober(job, stopped)
            for thread in [*clients, prober]:
                thread.start()
            end = time.monotonic() + seconds
            while time.monotonic() < end and not wrong:
                chaos.harm()
                time.sleep(0.5)
            stopped.set()
            for thread in [*clients, prober]:
                thread.join()
            print(f"{seconds:.0f} s; harmed {dict(chaos.done)}; calls {dict(counts)}; {prober.count} probes, the slowest "
                  f"{prober.slowest * 1000:.0f} ms ({prober.slowest_lost * 1000:.0f} ms where a rank was lost), "
                  f"{prober.gap:.1f} s without any")
            self.assertEqual(wrong, [], b"\n".join(tail).decode())
            self.assertGreater(counts["answered"] + counts["streamed"], 10)
            self.assertLess(prober.slowest, PROBE_LIMIT)
            self.assertLess(prober.slowest_lost, LOST_PROBE_LIMIT)
            wait_until(lambda: self.serves(Client(job, 1, stopped, counts, wrong)), "it serves")
            job.process.send_signal(signal.SIGTERM)
            self.assertEqual(job.process.wait(60), 0, b"\n".join(tail).decode())
            self.assertEqual(job.ranks(), [])
        finally:
            stopped.set()
            chaos.reading.set()
            if job.process.poll() is None:
                job.process.kill()
                subprocess.run(["pkill", "-9", "-f", str(job.grpc)], check=False)


if __name__ == "__main__":
    unittest.main()
