# SPDX-License-Identifier: Apache-2.0
"""bench/scripts/torch_decode.py where there is no torch: what it says then, and of options that are wrong."""

import os
import pathlib
import subprocess
import sys
import unittest

SCRIPT = pathlib.Path(os.environ["SDAR_SOURCE_DIR"]) / "bench/scripts/torch_decode.py"


def run(*options):
    # -S: without the installed packages, of which one may be torch.
    return subprocess.run([sys.executable, "-I", "-S", SCRIPT, *options], capture_output=True, text=True, timeout=60)


class WithoutTorch(unittest.TestCase):
    def test_says_in_one_line_how_to_install_it(self):
        done = run()
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, r"^torch_decode\.py: torch cannot be imported .*pip install torch.*\n$")

    def test_help_names_every_option(self):
        done = run("--help")
        self.assertEqual(done.returncode, 0)
        for name in ("shape", "layers", "batch", "context", "block-length", "threads", "repeats", "json"):
            self.assertIn(f"--{name}", done.stdout)

    def test_a_wrong_option_is_named_in_one_line(self):
        for option in ("--shape=30b-a3b", "--shape=nope", "--layers=-1", "--layers=two", "--batch=0", "--batch=1,,8",
                       "--batch=513", "--context=-4", "--block-length=0", "--block-length=65", "--threads=-1",
                       "--repeats=0", "--json=/nowhere/now.json", "--wrong=1"):
            with self.subTest(option):
                done = run(option)
                self.assertEqual(done.returncode, 2)
                self.assertEqual(done.stdout, "")
                self.assertRegex(done.stderr, rf"^torch_decode\.py: .*{option.split('=')[0]}\b.*\n$")


if __name__ == "__main__":
    unittest.main()
