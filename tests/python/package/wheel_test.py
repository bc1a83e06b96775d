# SPDX-License-Identifier: Apache-2.0
"""What the wheel holds and needs."""

import importlib.metadata
import os
import pathlib
import re
import subprocess
import sys
import unittest
import zipfile

import sdar
from sdar.v1 import generation_pb2

SOURCE = pathlib.Path(os.environ["SDAR_SOURCE_DIR"])


def names(wheel):
    return sorted(zipfile.ZipFile(os.environ[wheel]).namelist())


class WheelTest(unittest.TestCase):
    def test_it_holds_the_stubs_the_types_and_the_licence(self):
        files = names("SDAR_WHEEL")
        for file in ("sdar/py.typed", "sdar/v1/generation_pb2.py", "sdar/v1/generation_pb2.pyi",
                     "sdar/v1/generation_pb2_grpc.py"):
            self.assertIn(file, files)
        self.assertTrue([file for file in files if file.endswith("/licenses/LICENSE")])

    def test_the_source_distribution_is_enough_to_make_it(self):
        self.assertEqual(names("SDAR_WHEEL_OF_SDIST"), names("SDAR_WHEEL"))

    def test_the_version_is_the_projects(self):
        project = re.search(r"project\(sdar VERSION ([\d.]+)", (SOURCE / "CMakeLists.txt").read_text())[1]
        self.assertEqual(sdar.__version__, project)

    def test_it_needs_grpcio_and_protobuf_alone(self):
        lines = [line for line in importlib.metadata.requires("sdar") if "extra ==" not in line]
        self.assertEqual({re.match(r"[\w-]+", line)[0] for line in lines}, {"grpcio", "protobuf"})
        for absent in ("tqdm", "transformers", "grpc_tools"):
            with self.assertRaises(ImportError):
                __import__(absent)

    def test_it_asks_for_the_protobuf_that_the_stubs_were_made_for(self):
        made_for = re.search(r"Protobuf Python Version: ([\d.]+)",
                             pathlib.Path(generation_pb2.__file__).read_text())[1]
        lines = [line for line in importlib.metadata.requires("sdar") if line.startswith("protobuf")]
        self.assertTrue([line for line in lines if f">={made_for}" in line], f"{made_for} is in none of {lines}")

    def test_the_types_are_strict(self):
        extras = os.environ["SDAR_EXTRAS"]
        # mypy looks for packages next to the Python that it is told, and takes those of the extras from MYPYPATH.
        outcome = subprocess.run(
            [sys.executable, "-m", "mypy", f"--config-file={SOURCE / 'python/pyproject.toml'}",
             f"--cache-dir={extras}/.mypy", "--python-version=3.9", "-p", "sdar"],
            env={**os.environ, "PYTHONPATH": extras}, capture_output=True, text=True, timeout=300)
        self.assertEqual(outcome.returncode, 0, outcome.stdout + outcome.stderr)
