# SPDX-License-Identifier: Apache-2.0
"""bench/scripts/gpu_table.py joins the results of several programs by model and load."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(os.environ["SDAR_SOURCE_DIR"]) / "bench/scripts/gpu_table.py"


def end_to_end(shape, decoding, **more):
    return {"shape": shape, "backend": "cuda", "context": 1024, "block_length": 4, "decoding": decoding, **more}


class GpuTable(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def write(self, name, results):
        (pathlib.Path(self.folder.name) / name).write_text(json.dumps(results))

    def run_script(self):
        return subprocess.run([sys.executable, SCRIPT, self.folder.name], capture_output=True, text=True, timeout=60)

    def rows(self):
        done = self.run_script()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, (pathlib.Path(self.folder.name) / "results.md").read_text())
        return json.loads((pathlib.Path(self.folder.name) / "results.json").read_text())["decoding"]

    def test_a_row_has_its_floor_its_goal_and_torch(self):
        self.write("end-to-end-4b.json", end_to_end("4b", [
            {"batch": 128, "fused": True, "steps": 4, "tokens_per_s": 5000},
            {"batch": 128, "fused": False, "steps": 4, "tokens_per_s": 4000},
            {"batch": 128, "fused": True, "steps": 1.5, "tokens_per_s": 9000}]))
        torch = [{"batch": 128, "fused": True, "tokens_per_s": 2000},
                 {"batch": 128, "fused": False, "tokens_per_s": 2500}]
        self.write("torch-4b-graphs.json", end_to_end("4b", torch, eager=False))
        fused, separate, fewer = self.rows()
        self.assertAlmostEqual(fused["floor"], 11735, delta=1)
        self.assertEqual((fused["goal"], fused["torch_graphs"], fused["torch_eager"]), (9100, 2500, None))
        self.assertAlmostEqual(separate["floor"], 10639, delta=1)
        self.assertIsNone(separate["goal"])
        # Other steps have another floor, and torch's do not compare.
        self.assertGreater(fewer["floor"], 20000)
        self.assertEqual((fewer["goal"], fewer["torch_graphs"]), (None, None))

    def test_without_a_floor_there_is_a_row_all_the_same(self):
        decoding = [{"batch": 8, "fused": True, "tokens_per_s": 300}]
        self.write("end-to-end-a.json", end_to_end("30b-a3b", decoding, routing="hot"))
        self.write("end-to-end-b.json", end_to_end("models/sdar-tiny/config.json", decoding))
        self.assertEqual([(row["floor"], row["goal"]) for row in self.rows()], [(None, None)] * 2)

    def test_results_that_were_cut_off_are_left_out_by_name(self):
        self.write("end-to-end-a.json", end_to_end("4b", [{"batch": 8, "fused": True, "tokens_per_s": 300}]))
        (pathlib.Path(self.folder.name) / "end-to-end-b.json").write_text("{")
        done = self.run_script()
        self.assertEqual(done.returncode, 0)
        self.assertIn("end-to-end-b.json: not complete", done.stdout)

    def test_it_says_when_there_is_nothing(self):
        done = self.run_script()
        self.assertEqual((done.returncode, done.stderr), (1, "gpu_table.py: no end-to-end-*.json there\n"))


if __name__ == "__main__":
    unittest.main()
