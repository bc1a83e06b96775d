# SPDX-License-Identifier: Apache-2.0
"""A server under pressure: silent connections, unfinished bodies and the largest texts at a time.

SDAR_PRESSURE_SECONDS sets for how long (6 without). The report is what docs/reliability.md quotes.
"""

import http.client
import json
import multiprocessing
import os
import pathlib
import resource
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from served_job import BIN, ServedJob, wait_until

SILENT = 1500
UNFINISHED = 100
BODY = 15 << 20
# What a probe may take in a test, whatever else the machine does; the report has what it took.
PROBE_LIMIT = 2.0


def connect(address):
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), 30)


def probe(address, seconds, results):
    """Asks for all probes again and again, in a process of its own, and reports the slowest."""
    slowest, count, codes = 0.0, 0, set()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for path in ["/livez", "/readyz", "/startupz", "/health", "/metrics"]:
            begin = time.monotonic()
            host, port = address.rsplit(":", 1)
            connection = http.client.HTTPConnection(host, int(port), timeout=60)
            connection.request("GET", path)
            codes.add(connection.getresponse().status)
            connection.close()
            slowest, count = max(slowest, time.monotonic() - begin), count + 1
        time.sleep(0.02)
    results.put((slowest, count, codes))


def resident_mib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0


def chat(address):
    host, port = address.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    connection.request("POST", "/v1/chat/completions",
                       json.dumps({"messages": [{"role": "user", "content": "Compute 11 + 16."}]}))
    answer = connection.getresponse()
    body = json.loads(answer.read())
    return answer.status, body


class Pressure:
    """What presses, until stopped."""

    def __init__(self, address):
        self.address, self.stopped, self.threads, self.sockets = address, threading.Event(), [], []
        self.refused = 0

    def keep_silent(self):
        self.sockets += [connect(self.address) for _ in range(SILENT)]

    def begin_bodies(self):
        head = f"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: {BODY + 1}\r\n\r\n".encode()

        def send(connection):
            try:
                connection.sendall(head + b'{"prompt":"' + b"x" * (BODY - 100))
            except OSError:
                self.refused += 1
        for _ in range(UNFINISHED):
            self.sockets.append(connect(self.address))
            self.threads.append(threading.Thread(target=send, args=(self.sockets[-1],)))
            self.threads[-1].start()

    def send_large_texts(self):
        body = json.dumps({"prompt": "many words of a text " * (BODY // 21)})

        def send():
            while not self.stopped.is_set():
                host, port = self.address.rsplit(":", 1)
                try:
                    connection = http.client.HTTPConnection(host, int(port), timeout=60)
                    connection.request("POST", "/tokenize", body)
                    connection.getresponse().read()
                except OSError:
                    pass
        for _ in range(2):
            self.threads.append(threading.Thread(target=send))
            self.threads[-1].start()

    def stop(self):
        self.stopped.set()
        for connection in self.sockets:
            connection.close()
        for thread in self.threads:
            thread.join()


class PressureTest(unittest.TestCase):
    def test_probes_answer_and_a_chat_is_served_whatever_presses_on_the_main_port(self):
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
        seconds = float(os.environ.get("SDAR_PRESSURE_SECONDS", "6"))
        with tempfile.TemporaryDirectory() as folder:
            admin = pathlib.Path(folder) / "admin"
            with ServedJob("--admin-port=0", f"--admin-address-file={admin}", "--threads=1") as server:
                chat(server.http_address)
                before = resident_mib(server.process.pid)
                results = multiprocessing.Queue()
                prober = multiprocessing.Process(target=probe, args=(admin.read_text().strip(), seconds, results))
                pressure = Pressure(server.http_address)
                pressure.keep_silent()
                prober.start()
                pressure.begin_bodies()
                pressure.send_large_texts()
                most, chats = before, []
                while prober.is_alive():
                    begin = time.monotonic()
                    status, _ = chat(server.http_address)
                    self.assertEqual(status, 200)
                    chats.append(time.monotonic() - begin)
                    most = max(most, resident_mib(server.process.pid))
                slowest, count, codes = results.get()
                prober.join()
                pressure.stop()
                print(f"{count} probes, the slowest took {slowest * 1000:.0f} ms; {len(chats)} chats, the slowest "
                      f"{max(chats) * 1000:.0f} ms; {before:.0f} MiB before, {most:.0f} MiB at most")
                self.assertEqual(codes, {200})
                self.assertLess(slowest, PROBE_LIMIT)
                self.assertLess(most - before, 1024)
                wait_until(lambda: chat(server.http_address)[0] == 200, "a chat is served afterwards")
                self.assertIsNone(server.process.poll())

    def test_more_connections_than_there_are_descriptors_end_no_listener(self):
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
        with tempfile.TemporaryDirectory() as folder:
            admin = pathlib.Path(folder) / "admin"
            with ServedJob("--admin-port=0", f"--admin-address-file={admin}",
                           under=["prlimit", "--nofile=256:256"]) as server:
                addresses = [server.grpc_address, server.http_address]
                silent = [connect(address) for _ in range(400) for address in addresses]
                status, _ = chat(server.http_address)
                self.assertEqual(status, 200)
                results = multiprocessing.Queue()
                probe(admin.read_text().strip(), 1, results)
                self.assertEqual(results.get()[2], {200})
                for connection in silent:
                    connection.close()
                asked = subprocess.run([BIN / "sdar-client", f"--server={server.grpc_address}", "--temperature=0",
                                        "--timeout=30", "What is the capital of Chile?"], capture_output=True, text=True)
                self.assertIn("Santiago", asked.stdout, asked.stderr + server.read_log())


if __name__ == "__main__":
    unittest.main()
