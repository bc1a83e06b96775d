# SPDX-License-Identifier: Apache-2.0
"""evalscope's perf, unchanged: a short benchmark with made-up prompts."""

import json
import pathlib
import tempfile
import unittest

from chat_job import CHAT_MODEL, NAME, ChatJobTest
from program import run_program

REQUESTS = 40


class EvalScopeTest(ChatJobTest):
    def test_a_benchmark_ends_without_failed_requests(self):
        scratch = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="sdar-evalscope-")))
        # Its own limits are beyond the longest sequence of the model.
        limits = ["--min-prompt-length", 64, "--max-prompt-length", 256, "--max-tokens", 32]
        run_program(["evalscope", "perf", "--model", NAME, "--url", f"{self.url}/v1/chat/completions",
                     "--tokenizer-path", CHAT_MODEL, "--dataset", "random", "--number", REQUESTS, "--parallel", 8,
                     *limits, "--outputs-dir", scratch / "out"], scratch)
        (summary,) = (scratch / "out").rglob("benchmark_summary.json")
        summary = json.loads(summary.read_text())
        self.assertEqual((summary["Success Requests"], summary["Failed Requests"]), (REQUESTS, 0))


if __name__ == "__main__":
    unittest.main()
