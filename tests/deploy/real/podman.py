# SPDX-License-Identifier: Apache-2.0
"""podman with a storage of its own, and the image that the Dockerfile makes."""

import json
import pathlib
import subprocess

from real_parts import FOLDER, IMAGE, ROOT, run

NETWORK, SUBNET = "sdar-real-parts", "10.79.0"

# crun refuses control groups of both versions at once. Unlimited locked memory and processes need a capability that a
# container may lack.
SETTINGS = """\
[containers]
default_ulimits = ["nofile=10000:10000", "nproc=20000:20000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


def _command(*arguments):
    place = FOLDER / "podman"
    return ["podman", "--root", place / "storage", "--runroot", place / "run", "--tmpdir", place / "tmp",
            "--network-config-dir", place / "networks", *arguments]


def podman(*arguments, **options):
    """What podman printed."""
    (FOLDER / "podman").mkdir(exist_ok=True)
    (FOLDER / "podman/containers.conf").write_text(SETTINGS)
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "CONTAINERS_CONF": str(FOLDER / "podman/containers.conf")}
    return run(*_command(*arguments), env=environment, **options)


def logs(container):
    """Both streams of a container's log."""
    result = subprocess.run([str(w) for w in _command("logs", container)], capture_output=True, text=True, check=False,
                            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "CONTAINERS_CONF": str(FOLDER / "podman/containers.conf")})
    return result.stdout + result.stderr


def inspect(name, kind="container"):
    return json.loads(podman("inspect", "--type", kind, name))[0]


def make_network():
    """A network with fixed addresses; a second call finds it."""
    if NETWORK not in podman("network", "ls", "--quiet").split():
        podman("network", "create", "--disable-dns", "--subnet", f"{SUBNET}.0/24", NETWORK)
    # While no pod runs there is no bridge: what is sent to one must not leave the machine.
    run("ip", "route", "replace", "unreachable", f"{SUBNET}.0/24", "metric", "10000")


def remove_network():
    podman("network", "rm", "--force", NETWORK, check=False)
    run("ip", "route", "del", "unreachable", f"{SUBNET}.0/24", "metric", "10000", check=False)


def build_image(folder, *arguments):
    """Builds the Dockerfile. The folder holds programs/, which stand in for the stage that compiles."""
    return podman("build", "--network", "host", "--build-context", f"build-cpu={folder}", *arguments,
                  "--file", ROOT / "deploy/docker/Dockerfile", "--tag", IMAGE, ROOT, timeout=300)


def base_image():
    """Debian 12, made here by mmdebstrap from where this machine's apt takes its packages, under the name that the
    Dockerfile asks for."""
    archive = FOLDER / "base.tar"
    if not archive.exists():
        targets = run("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages")
        sources = sorted({f"deb {line}" for line in targets.splitlines()
                          if line.split()[1] in ("bookworm", "bookworm-updates", "bookworm-security") and line.endswith(" main")})
        made = archive.with_suffix(".new.tar")
        run("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "bookworm", made, *sources, timeout=300)
        pathlib.Path(made).rename(archive)
    podman("import", archive, "docker.io/library/debian:bookworm-slim")
