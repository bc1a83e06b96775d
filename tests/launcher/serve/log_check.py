# SPDX-License-Identifier: Apache-2.0
"""Logs that nobody reads, logs that others try to write, and the ports that a job of one host opens."""

import glob
import http.client
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest

from processes import descendants
from served_job import BIN, MODEL, ServedJob, wait_until

LOG_LINE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3} \w+( \[rank \d+\])? .")
MPIRUN = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", "2"]


class Job:
    """sdar-serve run by a command, with a pipe for standard error that is read only when a test does."""

    def __init__(self, *command, flags=()):
        self.folder = tempfile.TemporaryDirectory()
        files = [pathlib.Path(self.folder.name, name) for name in ("grpc", "http")]
        self.process = subprocess.Popen(
            [*command, str(BIN / "sdar-serve"), f"--model={MODEL}", "--port=0", "--http-port=0",
             f"--address-file={files[0]}", f"--http-address-file={files[1]}", *flags],
            stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True)
        wait_until(lambda: all(file.exists() and file.read_text().endswith("\n") for file in files), "addresses")
        self.grpc, self.http = (file.read_text().split()[0] for file in files)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if not self.process.stderr.closed:
            self.process.stderr.close()
        self.folder.cleanup()

    def get(self, path, **headers):
        connection = http.client.HTTPConnection(self.http, timeout=20)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def ask(self, request_id):
        connection = http.client.HTTPConnection(self.http, timeout=20)
        connection.request("POST", "/v1/completions", '{"prompt": "a", "max_tokens": 1}',
                           {"X-Request-Id": request_id, "Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=30)[1].decode()


def listening(pid):
    """(program, address) of the TCP sockets on which a process and what it started listen."""
    owners = {}
    for process in descendants(pid):
        for link in glob.glob(f"/proc/{process}/fd/*"):
            try:
                match = re.match(r"socket:\[(\d+)\]", os.readlink(link))
            except OSError:
                continue
            if match:
                with open(f"/proc/{process}/comm") as file:
                    owners[match[1]] = file.read().strip()
    found = []
    for table in ("tcp", "tcp6"):
        with open(f"/proc/net/{table}") as file:
            for words in map(str.split, file.read().splitlines()[1:]):
                if words[3] == "0A" and words[9] in owners:
                    found.append((owners[words[9]], words[1].split(":")[0]))
    return found


def is_loopback(address):
    return address in ("0100007F", "0" * 16 + "FFFF00000100007F", "0" * 24 + "01000000")


class UnreadLog(unittest.TestCase):
    def test_a_reader_that_goes_away_ends_no_job(self):
        for command in ([], MPIRUN, [str(BIN / "sdar-launch"), "--ranks=2", "--"]):
            with self.subTest(command), Job(*command) as job:
                job.process.stderr.close()
                for i in range(5):
                    self.assertEqual(job.ask(f"r{i}"), 200)
                self.assertIsNone(job.process.poll())

    def test_a_reader_that_does_not_read_keeps_nobody_waiting_and_lines_are_counted(self):
        with Job() as job:
            request_id = "x" * 120
            counted = lambda: float(re.search(r"(?m)^sdar_log_lines_dropped_total\S* (\d+)", job.get("/metrics")[1])[1])
            self.assertEqual(counted(), 0)
            for i in range(500):  # more than a pipe holds
                self.assertEqual(job.ask(f"{request_id}{i}"), 200)
            self.assertEqual(job.get("/livez")[0], 200)
            begin = time.monotonic()
            job.process.send_signal(signal.SIGTERM)
            self.assertEqual(job.process.wait(timeout=20), 0)
            self.assertLess(time.monotonic() - begin, 15)

    def test_programs_of_a_pipeline_end_with_their_reader(self):
        lines = b'{"text": "some words"}\n' * 20000
        with tempfile.NamedTemporaryFile() as file:
            file.write(lines)
            file.flush()
            result = subprocess.run(
                ["bash", "-c", f'"{BIN}/sdar-tokenize" --model="{MODEL}" --input="{file.name}" | head -n 1; '
                 'echo "${PIPESTATUS[0]}"'], capture_output=True, text=True, timeout=60, check=True)
        self.assertEqual(result.stdout.splitlines()[-1], "141")
        self.assertEqual(result.stderr, "")


class ForgedLog(unittest.TestCase):
    def test_a_header_cannot_write_lines_by_way_of_grpc(self):
        frame = lambda kind, flags, stream, body: (
            len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body)
        text = lambda value: bytes([len(value)]) + value
        header = lambda name, value: b"\x00" + text(name) + text(value)
        path = b"/sdar.v1.GenerationService/GetStatus"
        forged = b'zz\n2026-01-01T00:00:00.000 error forged'
        block = b"\x83\x86" + b"".join(header(*pair) for pair in (
            (b":path", path), (b":authority", b"a"), (b"content-type", b"application/grpc"), (b"te", b"trailers"),
            (b"grpc-timeout", forged)))
        with Job(flags=["--log-level=debug"]) as job:
            host, port = job.grpc.rsplit(":", 1)
            with socket.create_connection((host, int(port)), timeout=20) as peer:
                peer.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + frame(1, 5, 1, block))
                peer.settimeout(2)
                try:
                    while peer.recv(4096):
                        pass
                except OSError:
                    pass
            log = job.stop()
        self.assertNotRegex(log, r"(?m)^2026-01-01T00:00:00.000")
        for line in log.splitlines():
            self.assertRegex(line, LOG_LINE)

    def test_connections_that_end_at_once_write_a_few_lines_at_most(self):
        with ServedJob() as server:
            host, port = server.grpc_address.rsplit(":", 1)
            for _ in range(1000):
                with socket.create_connection((host, int(port))) as connection:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            asked = subprocess.run([BIN / "sdar-client", f"--server={server.grpc_address}", "--status"],
                                   capture_output=True, timeout=60)
            self.assertEqual(asked.returncode, 0, asked.stderr)
            # Those that end just as they are handed to gRPC may write one, up to the limit of a minute.
            self.assertLessEqual(server.read_log().count("getpeername"), 10)


class LaunchedLog(unittest.TestCase):
    def launch(self, *command):
        return subprocess.run([str(BIN / "sdar-launch"), "--restart=never", "--ranks=1", "--", *command],
                              capture_output=True, text=True, timeout=60, check=False)

    def test_what_mpirun_and_others_print_becomes_lines_of_the_log(self):
        script = "printf 'a word\\033[2J\\n' >&2; echo output; exit 3"
        result = self.launch("/bin/sh", "-c", script)
        self.assertEqual(result.returncode, 3)
        self.assertEqual(result.stdout, "output\n")
        self.assertRegex(result.stderr, r"warning a word\\x1b\[2J\n")
        self.assertIn("exit code", result.stderr)  # mpirun's own text
        for line in result.stderr.splitlines():
            self.assertRegex(line, LOG_LINE)

    def test_they_have_the_form_that_the_job_logs_in(self):
        result = self.launch("/bin/sh", "-c", "echo a word >&2; exit 3", "--log-format=json")
        self.assertIn('"message":"a word"', result.stderr)
        for line in result.stderr.splitlines():
            self.assertRegex(line, r'^\{"time":.*\}$')


class Ports(unittest.TestCase):
    """What a job of one host listens on."""

    def test_ranks_listen_on_loopback_alone(self):
        for command in ([], MPIRUN, [str(BIN / "sdar-launch"), "--ranks=2", "--"]):
            with self.subTest(command), Job(*command) as job:
                # Nothing but sdar-launch keeps mpirun itself from listening on every address.
                open_to_others = [(program, address) for program, address in listening(job.process.pid)
                                  if not is_loopback(address) and (program != "mpirun" or command != MPIRUN)]
                self.assertEqual(open_to_others, [])
                self.assertTrue(listening(job.process.pid))


if __name__ == "__main__":
    unittest.main()
