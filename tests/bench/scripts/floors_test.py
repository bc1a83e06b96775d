# SPDX-License-Identifier: Apache-2.0
"""bench/scripts/floors.py against floors worked out by hand."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(os.environ["SDAR_SOURCE_DIR"]) / "bench/scripts/floors.py"
sys.path.insert(0, str(SCRIPT.parent))
import floors  # noqa: E402


def run(*options):
    return subprocess.run([sys.executable, SCRIPT, *options], capture_output=True, text=True, timeout=60)


class Floors(unittest.TestCase):
    def test_one_sequence_of_a_dense_model_reads_its_weights(self):
        # 4b: per layer 2560 * 128 * (2 * 32 + 2 * 8) + 3 * 2560 * 9728 weights, 36 layers, and 151936 * 2560 of the
        # vocabulary; 1028 positions of 36 * 2 * 8 * 128 values. Two bytes each, at 4.3e12 bytes/s.
        weights = 36 * (2560 * 128 * 80 + 3 * 2560 * 9728) + 151936 * 2560
        seconds = 2 * (weights + 1028 * 36 * 2 * 8 * 128) / 4.3e12
        row = floors.floor("4b", floors.Load(batch=1), floors.Device())
        self.assertAlmostEqual(row["denoise_ms"], seconds * 1000, places=9)

    def test_a_full_batch_of_4b(self):
        row = floors.floor("4b", floors.Load(128, 4, 1024, 4), floors.Device(4.3e12, 790e12))
        self.assertAlmostEqual(row["fused_tokens_per_s"], 11735, delta=1)
        self.assertAlmostEqual(row["separate_tokens_per_s"], 10639, delta=1)
        self.assertAlmostEqual(row["denoise_ms"], 9.73, delta=0.01)
        # 512 rows: products are bound by arithmetic, 2 * 512 * 36 * 3 * 2560 * 9728 operations.
        self.assertAlmostEqual(row["stages_ms"]["mlp"], 2 * 512 * 36 * 3 * 2560 * 9728 / 790e12 * 1000, places=9)

    def test_a_full_batch_of_experts(self):
        row = floors.floor("30b-a3b", floors.Load(128, 4, 1024, 4), floors.Device(4.3e12, 790e12))
        self.assertAlmostEqual(row["fused_tokens_per_s"], 6967, delta=1)
        self.assertAlmostEqual(row["separate_tokens_per_s"], 5690, delta=1)

    def test_few_rows_touch_few_experts(self):
        shape = floors.SHAPES["30b-a3b"]
        self.assertAlmostEqual(floors.distinct_experts(shape, 1), 8)
        self.assertAlmostEqual(floors.distinct_experts(shape, 2), 8 + 8 * 120 / 128)
        self.assertAlmostEqual(floors.distinct_experts(shape, 4), 29, delta=0.5)
        self.assertEqual(floors.distinct_experts(floors.SHAPES["4b"], 4), 0)

    def test_fewer_steps_are_worth_more(self):
        rates = [floors.floor("30b-a3b", floors.Load(32, steps=steps), floors.Device())["fused_tokens_per_s"]
                 for steps in (4, 2, 1.5, 1)]
        self.assertEqual(rates, sorted(rates))

    def test_ranks_split_weights_and_add_all_reduces(self):
        one, four = (floors.floor("4b", floors.Load(32), floors.Device(ranks=ranks)) for ranks in (1, 4))
        self.assertAlmostEqual(four["stages_ms"]["mlp"], one["stages_ms"]["mlp"] / 4)
        self.assertNotIn("all-reduces", one["stages_ms"])
        # 128 rows of 2560 values are 655,360 bytes: one shot takes 10.3 us, by way of the switch 11.4.
        self.assertAlmostEqual(four["stages_ms"]["all-reduces"], 72 * 10.314e-3 + 0.01, delta=1e-3)


class Program(unittest.TestCase):
    def test_prints_a_row_for_every_combination(self):
        done = run("--shape=4b,8b", "--batch=1,8", "--context=256,1024", "--steps=1.5")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(done.stdout.splitlines()), 2 + 8)

    def test_writes_json(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "floors.json"
            self.assertEqual(run("--shape=4b", "--batch=128", f"--json={path}").returncode, 0)
            rows = json.loads(path.read_text())["floors"]
        self.assertEqual([(row["shape"], row["batch"]) for row in rows], [("4b", 128)])

    def test_tables_hold_every_shape(self):
        done = run("--tables")
        for name in floors.SHAPES:
            self.assertIn(f"| {name} | 1 | 128 | 16 | 16384 |", done.stdout)

    def test_a_wrong_option_is_named(self):
        for option in ("--shape=70b", "--batch=0", "--steps=0.5", "--peak=0", "--wrong=1"):
            with self.subTest(option):
                done = run(option)
                self.assertEqual(done.returncode, 2)
                self.assertIn(option.split("=")[0], done.stderr)


if __name__ == "__main__":
    unittest.main()
