# SPDX-License-Identifier: Apache-2.0
"""Builds the Python package, installs it into a fresh virtual environment, and runs the tests of this folder there.

    package_check.py [TEST...]      a test as unittest names it, such as client_test.ClientTest

Exits with 77, which ctest counts as skipped, where no package index can be reached.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import tomllib

SOURCE = pathlib.Path(os.environ["SDAR_SOURCE_DIR"])
HERE = pathlib.Path(__file__).resolve().parent
# For some of the tests; not in the fresh environment, which shows what the package needs.
EXTRAS = ["jinja2==3.1.4", "mypy==1.13.0", "transformers==4.52.4", "types-grpcio==1.0.0.20250703",
          "types-protobuf==5.29.1.20250403"]
INSTALL = ["install", "--no-compile", "--retries", "2", "--timeout", "30"]


def pip(python, *arguments):
    """A command of this Python's pip for another Python: environments without a pip of their own are made faster."""
    return [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--python", python, *arguments]


def skip_unless(fetched):
    if not fetched:
        print("skipped: no package index could be reached")
        sys.exit(77)


def fetch(python, *packages):
    """Installs packages of an index, or ends this program as skipped."""
    skip_unless(subprocess.run(pip(python, *INSTALL, *packages), check=False).returncode == 0)


def make_environment(folder):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder / "bin/python"


def copy_sources(folder):
    """Of the package and its .proto, where they lie in the repository: a build leaves files next to its sources."""
    ignored = shutil.ignore_patterns("build", "dist", "*.egg-info", "v1", "__pycache__")
    shutil.copytree(SOURCE / "python", folder / "python", ignore=ignored)
    proto = pathlib.Path("proto/sdar/v1/generation.proto")
    (folder / proto).parent.mkdir(parents=True)
    shutil.copy(SOURCE / proto, folder / proto)
    shutil.copy(SOURCE / "LICENSE", folder / "LICENSE")
    return folder / "python"


def build(scratch):
    """The wheel, and one that was made from the source distribution alone."""
    package = copy_sources(scratch / "source")
    python = make_environment(scratch / "builder")
    fetch(python, *tomllib.loads((package / "pyproject.toml").read_text())["build-system"]["requires"])
    wheel = pip(python, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir")
    subprocess.run([*wheel, scratch / "wheel", package], check=True)
    make_sdist = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    subprocess.run([python, "-c", make_sdist, scratch / "sdist"], cwd=package, check=True, stdout=subprocess.DEVNULL)
    (sdist,) = (scratch / "sdist").iterdir()
    subprocess.run([*wheel, scratch / "wheel-of-sdist", sdist], check=True)
    return [next((scratch / name).iterdir()) for name in ("wheel", "wheel-of-sdist")]


def main():
    with tempfile.TemporaryDirectory(prefix="sdar-package-") as name:
        scratch = pathlib.Path(name)
        extras = subprocess.Popen(pip(sys.executable, *INSTALL, "--target", scratch / "extras", *EXTRAS))
        try:
            wheel, wheel_of_sdist = build(scratch)
            python = make_environment(scratch / "fresh")
            fetch(python, wheel)
        except BaseException:
            extras.kill()
            raise
        finally:
            extras.wait()
        skip_unless(extras.returncode == 0)
        environment = {
            **os.environ, "PATH": f"{python.parent}:{os.environ['PATH']}", "PYTHONPATH": str(SOURCE / "tests/python"),
            "SDAR_WHEEL": str(wheel), "SDAR_WHEEL_OF_SDIST": str(wheel_of_sdist),
            "SDAR_EXTRAS": str(scratch / "extras")}
        tests = sys.argv[1:] or ["discover", "--pattern", "*_test.py"]
        return subprocess.run([python, "-m", "unittest", *tests], cwd=HERE, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
