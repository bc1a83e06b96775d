# SPDX-License-Identifier: Apache-2.0
"""bench/scripts/compare_table.py over made-up rounds, and what bench/compare_cpu.sh says of wrong arguments."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

BENCH = pathlib.Path(os.environ["SDAR_SOURCE_DIR"]) / "bench"


def sdar(milliseconds, tokens):
    return {"model": "1.7b", "context": 1024,
            "passes": [{"sequences": 1, "rows": 4, "logit_rows": 4, "median_ms": milliseconds, "bytes_per_s": 30.0,
                        "plain_bytes_per_s": 40.0}],
            "decoding": [{"batch": 1, "fused": True, "masked_tokens_per_s": tokens},
                         {"batch": 1, "fused": False, "masked_tokens_per_s": 1.0}]}


def torch(milliseconds, tokens):
    return {"block_length": 4, "decoding": [{"batch": 1, "denoise_ms": milliseconds, "tokens_per_s": tokens}]}


class CompareTableTest(unittest.TestCase):
    def table(self, files):
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                (pathlib.Path(folder) / name).write_text(json.dumps(content))
            return subprocess.run([sys.executable, BENCH / "scripts/compare_table.py", folder], check=True,
                                  capture_output=True, text=True).stdout

    def test_medians_of_the_rounds_and_ratios_to_the_first_set_are_told(self):
        files = {f"sdar_amx.{i}.json": sdar(ms, tokens) for i, (ms, tokens) in enumerate([(100, 8), (110, 9), (900, 7)])}
        files |= {f"torch.{i}.json": torch(ms, 2.0) for i, ms in enumerate([220, 230, 210])}
        files |= {f"llama.{i}.json": [{"n_prompt": 4, "avg_ts": 16.0}] for i in range(3)}
        lines = self.table(files).splitlines()
        self.assertEqual(lines[0], "1.7b, 1024 committed positions, 3 rounds in turn: medians (least to most)")
        self.assertIn("| 1 x 4, 4 with logits | 110.0 (100.0 to 900.0) | 220.0 (210.0 to 230.0) |  | 2.00 |  |", lines)
        self.assertIn("| 1 x 4 |  |  | 250.0 (250.0 to 250.0) |  |  |", lines)
        self.assertIn("| 1 | 8.00 (7.00 to 9.00) | 2.00 (2.00 to 2.00) |  | 4.00 |  |", lines)
        self.assertIn("| 1 x 4, 4 with logits | 0.75 (0.75 to 0.75) |  |", lines)

    def test_an_unknown_argument_and_a_missing_model_are_refused(self):
        for arguments, reason in ((["--round=2"], "unknown argument --round=2"),
                                  (["--llama-bench=x", "--llama-model=none"], "expected a file, got 'none'")):
            done = subprocess.run([BENCH / "compare_cpu.sh", *arguments], capture_output=True, text=True)
            self.assertEqual(done.returncode, 2)
            self.assertIn(reason, done.stderr)


if __name__ == "__main__":
    unittest.main()
