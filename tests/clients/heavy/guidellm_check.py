# SPDX-License-Identifier: Apache-2.0
"""guidellm, unchanged: a short benchmark with made-up prompts."""

import json
import pathlib
import tempfile
import unittest

from chat_job import CHAT_MODEL, ChatJobTest
from program import run_program

REQUESTS = 200


class GuideLlmTest(ChatJobTest):
    def test_a_benchmark_ends_without_errors(self):
        scratch = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="sdar-guidellm-")))
        run_program(["guidellm", "run", "--backend", f"kind=openai_http,target={self.url}",
                     "--tokenizer", f"kind=huggingface_auto,model={CHAT_MODEL}",
                     "--data", "kind=synthetic_text,prompt_tokens=64,output_tokens=32",
                     "--profile", "kind=concurrent,streams=8",
                     "--constraint", f"kind=max_requests,count={REQUESTS}"], scratch)
        (benchmark,) = json.loads((scratch / "benchmarks.json").read_text())["benchmarks"]
        totals = benchmark["metrics"]["request_totals"]
        self.assertEqual((totals["successful"], totals["errored"]), (REQUESTS, 0))


if __name__ == "__main__":
    unittest.main()
