# SPDX-License-Identifier: Apache-2.0
"""Removes what the tests with real parts keep between them: images, the base of the image, their folder."""

import pathlib
import shutil

import real_parts
from podman import podman, remove_network
from real_parts import FOLDER, run

if __name__ == "__main__":
    if not FOLDER.exists():
        real_parts.skip("no real part has run")
    if shutil.which("podman") and (FOLDER / "podman").exists():
        podman("pod", "rm", "--all", "--force", "--time", "0", check=False)
        podman("rm", "--all", "--force", "--time", "0", check=False)
        podman("volume", "prune", "--force", check=False)
        podman("rmi", "--all", "--force", check=False)
        remove_network()
        for line in reversed(pathlib.Path("/proc/mounts").read_text().splitlines()):
            place = line.split()[1]
            if place.startswith(f"{FOLDER}/"):
                run("umount", place, check=False)
    shutil.rmtree(FOLDER)
