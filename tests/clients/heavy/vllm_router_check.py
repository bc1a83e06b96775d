# SPDX-License-Identifier: Apache-2.0
"""vllm-router, unchanged, in front of two jobs."""

import concurrent.futures
import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.request

from chat_job import CHAT_MODEL, NAME
from processes import descendants
from served_job import ServedJob, wait_until

CHATS, KILLED_AFTER, CLIENTS = 500, 200, 8


def answers_of_the_model():
    """Questions and the answers of the reference implementation."""
    for run in json.loads((CHAT_MODEL / "expected.json").read_text())["runs"]:
        request = run["request"]
        by_default = request["remasking_strategy"] == "low_confidence_dynamic"
        if run["kind"] == "one" and by_default and run["same_in_bfloat16"]:
            yield request["messages"], run["text"]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class RouterTest(unittest.TestCase):
    def setUp(self):
        self.jobs = [self.enterContext(ServedJob(ranks=2, model=CHAT_MODEL)) for _ in range(2)]
        self.url = f"http://127.0.0.1:{free_port()}"
        log = self.enterContext(tempfile.TemporaryFile())
        router = subprocess.Popen(
            ["vllm-router", "--port", self.url.rpartition(":")[2], "--prometheus-port", str(free_port()),
             "--worker-urls", *(f"http://{job.http_address}" for job in self.jobs)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.addCleanup(router.wait)
        self.addCleanup(router.kill)
        wait_until(self.is_ready, "the router is ready", 120)

    def is_ready(self):
        try:
            return urllib.request.urlopen(f"{self.url}/readiness", timeout=5).status == 200
        except OSError:
            return False

    def chat(self, messages, expected):
        """When the call began, and what was wrong, if anything."""
        began = time.monotonic()
        body = json.dumps({"model": NAME, "messages": messages}).encode()
        request = urllib.request.Request(f"{self.url}/v1/chat/completions", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = json.load(answer)["choices"][0]["message"]["content"]
            return began, None if text == expected else text
        except OSError as error:
            return began, str(error)

    def served(self, job):
        """How many chats a job has finished."""
        return job.read_log().count("request finished")

    def test_a_job_that_dies_costs_no_more_than_its_open_calls(self):
        questions = list(answers_of_the_model())
        answered = threading.Semaphore(0)

        def chat(number):
            outcome = self.chat(*questions[number % len(questions)])
            answered.release()
            return outcome

        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            calls = [pool.submit(chat, number) for number in range(CHATS)]
            for _ in range(KILLED_AFTER):
                answered.acquire()
            other, busy = sorted(self.jobs, key=self.served)
            before = self.served(other)
            for pid in descendants(busy.process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            died = time.monotonic()
        wrong = [(began - died, error) for began, error in (call.result() for call in calls) if error]
        self.assertLessEqual(len(wrong), CLIENTS, wrong)
        self.assertEqual([error for began, error in wrong if began > 0], [])
        self.assertGreater(self.served(other), before)


if __name__ == "__main__":
    unittest.main()
