# SPDX-License-Identifier: Apache-2.0
"""Every program of examples/ against a served model."""

import subprocess
import sys
import unittest

from served_job import BIN, SOURCE, ServedJob

QUESTION = ["What", "is", "the", "capital", "of", "Chile?"]


class ExamplesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.job = ServedJob().__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.job.__exit__()

    def run_example(self, *command):
        outcome = subprocess.run([*command, *QUESTION], capture_output=True, text=True, timeout=60)
        self.assertEqual(outcome.returncode, 0, outcome.stderr)
        self.assertIn("Santiago", outcome.stdout)
        return outcome.stderr

    def test_the_openai_package(self):
        notes = self.run_example(sys.executable, SOURCE / "examples/python/chat_openai.py",
                                 f"http://{self.job.http_address}/v1")
        self.assertRegex(notes, r"\[\d+ tokens\]")

    def test_grpc_in_python(self):
        notes = self.run_example(sys.executable, SOURCE / "examples/python/generate_grpc.py", self.job.grpc_address)
        self.assertIn("[mask]", notes)
        self.assertRegex(notes, r"\[\d+ tokens in \d+ forward passes\]")

    def test_grpc_in_cpp(self):
        notes = self.run_example(BIN / "example-generate", self.job.grpc_address)
        self.assertRegex(notes, r"\[\d+ tokens in \d+ forward passes\]")


if __name__ == "__main__":
    unittest.main()
