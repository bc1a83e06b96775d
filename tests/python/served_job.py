# SPDX-License-Identifier: Apache-2.0
"""sdar-serve as the server of a test that is written in Python."""

import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

SOURCE = pathlib.Path(os.environ["SDAR_SOURCE_DIR"])
BIN = pathlib.Path(os.environ["SDAR_BIN_DIR"])
MODEL = SOURCE / "models/sdar-tiny"


def wait_until(holds, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


class ServedJob:
    """A model on so many ranks, with these flags; a context that ends with it.

    `under` is the beginning of a command that runs the rest of it.
    """

    def __init__(self, *flags, ranks=1, model=MODEL, under=()):
        launch = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)]
        self.command = [*under, *(launch if ranks > 1 else []), BIN / "sdar-serve", f"--model={model}", *flags]

    def __enter__(self):
        self.scratch = tempfile.TemporaryDirectory(prefix="sdar-job-")
        folder = pathlib.Path(self.scratch.name)
        grpc_file, http_file, self.log = folder / "grpc", folder / "http", folder / "log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [*self.command, "--port=0", f"--address-file={grpc_file}", "--http-port=0",
                 f"--http-address-file={http_file}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        wait_until(lambda: grpc_file.exists() or self.process.poll() is not None, "the job serves", 120)
        assert self.process.poll() is None, self.read_log()
        self.grpc_address, self.http_address = grpc_file.read_text().strip(), http_file.read_text().strip()
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.scratch.cleanup()

    def read_log(self):
        return self.log.read_text()

    def get(self, path):
        """The text and the headers of an answer over HTTP."""
        with urllib.request.urlopen(f"http://{self.http_address}{path}", timeout=30) as answer:
            return answer.read().decode(), answer.headers

    def post(self, path, body, headers=None):
        """The code and the text of the answer to a JSON body."""
        request = urllib.request.Request(f"http://{self.http_address}{path}", json.dumps(body).encode(),
                                         {"Content-Type": "application/json", **(headers or {})})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
