# SPDX-License-Identifier: Apache-2.0
"""What runs on this machine, read from /proc."""

import glob


def descendants(pid):
    """The process and all that it started, directly or not."""
    children = {}
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path) as file:
                parent = int(file.read().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(path.split("/")[2]))
    found, left = [], [pid]
    while left:
        found.append(left.pop())
        left += children.get(found[-1], [])
    return found


def is_running(pid):
    """Whether there is such a process that has not ended; one that nobody has waited for has ended."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except OSError:
        return False
