# SPDX-License-Identifier: Apache-2.0
"""Clients that are programs."""

import os
import subprocess


def run_program(command, folder):
    """Runs a program of this environment in a folder, where it also finds its cache; it takes nothing from a hub."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder)}
    done = subprocess.run([str(word) for word in command], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
