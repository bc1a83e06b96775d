# SPDX-License-Identifier: Apache-2.0
"""The files of deploy/ other than the chart: scripts, the image's stages, the unit of systemd, the job of Slurm."""

import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
import unittest

import chart

DEPLOY = chart.ROOT / "deploy"
DOCKER = DEPLOY / "docker"
TESTS = chart.ROOT / "tests" / "deploy"
SBATCH = DEPLOY / "slurm" / "sdar.sbatch"
UNIT = (DEPLOY / "systemd" / "sdar.service").read_text()
SCRIPTS = [*DOCKER.glob("*.sh"), *TESTS.glob("*.sh"), SBATCH]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def seconds(text, option):
    return int(re.search(rf"{option}[= ](\d+)", text).group(1))


def wait_for(condition, what):
    deadline = time.monotonic() + 30
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited 30 s for {what}")
        time.sleep(0.05)


class Scripts(unittest.TestCase):
    def test_bash_can_read_each(self):
        for script in SCRIPTS:
            with self.subTest(script.name):
                subprocess.run(["bash", "-n", script], check=True)

    def test_each_stops_at_an_error_and_may_be_executed(self):
        for script in SCRIPTS:
            with self.subTest(script.name):
                self.assertIn("\nset -euo pipefail\n", script.read_text())
                if script != SBATCH:
                    self.assertTrue(script.stat().st_mode & stat.S_IXUSR)

    @unittest.skipUnless(shutil.which("shellcheck"), "there is no shellcheck")
    def test_shellcheck_finds_nothing(self):
        subprocess.run(["shellcheck", "--shell=bash", *SCRIPTS], check=True)


class Dockerfile(unittest.TestCase):
    TEXT = (DOCKER / "Dockerfile").read_text().replace("\\\n", " ")

    def test_what_it_copies_and_runs_is_there(self):
        for line in re.findall(r"^COPY (?!--from)(.*)$", self.TEXT, re.M):
            for source in line.split()[:-1]:
                self.assertTrue((chart.ROOT / source).exists(), source)
        for run in re.findall(r"^RUN (.*)$", self.TEXT, re.M):
            for script in re.findall(r"/([\w-]+\.sh)", run):
                (found,) = [p for p in (DOCKER / script, chart.ROOT / "cmake" / script) if p.exists()]
                self.assertTrue(found.stat().st_mode & stat.S_IXUSR, script)

    def test_its_stages_stand_on_earlier_ones_for_each_backend(self):
        for backend in ("cpu", "cuda"):
            seen = {"${DEBIAN}"}
            for base, name in re.findall(r"^FROM (\S+) AS (\S+)$", self.TEXT, re.M):
                self.assertIn(base.replace("${BACKEND}", backend), seen)
                seen.add(name)
            self.assertIn("runtime", seen)

    def test_it_runs_the_launcher_as_the_user_that_is_made(self):
        self.assertIn('ENTRYPOINT ["/usr/local/bin/sdar-launch"]', self.TEXT)
        user = re.search(r"^USER (\d+):(\d+)$", self.TEXT, re.M).groups()
        self.assertIn("--uid {} --gid {}".format(*user), (DOCKER / "prepare_runtime.sh").read_text())

    def test_lists_of_packages_name_one_a_line_in_order(self):
        for path in DOCKER.glob("*-packages.txt"):
            lines = [line.split("#")[0].strip() for line in path.read_text().splitlines()]
            names = [line for line in lines if line]
            with self.subTest(path.name):
                self.assertTrue(all(re.fullmatch(r"[a-z0-9][a-z0-9.+-]+", name) for name in names), names)
                self.assertEqual(names, sorted(names))


@unittest.skipUnless(shutil.which("ssh-keygen"), "there is no ssh-keygen")
class Worker(unittest.TestCase):
    """worker.sh as far as it goes without a container; runtime_image_test.sh runs it in one."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.home = pathlib.Path(folder.name)
        self.key = self.home / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-C", "", "-f", self.key], check=True)
        self.public = self.key.with_suffix(".pub").read_text().strip()

    def start(self, *arguments):
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), "HOSTNAME": "worker"}
        return subprocess.Popen([DOCKER / "worker.sh", *arguments], env=environment, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def test_it_refuses_arguments_that_it_does_not_know(self):
        for arguments in (["--gracious=3"], ["--grace=long"], ["--grace="]):
            worker = self.start(*arguments)
            self.assertIn("worker: ", worker.communicate()[1])
            self.assertEqual(worker.returncode, 2)

    def test_it_says_which_key_it_cannot_read(self):
        worker = self.start("--key=/nowhere/key")
        self.assertIn("cannot read the private key /nowhere/key", worker.communicate()[1])
        self.assertEqual(worker.returncode, 1)

    def test_it_lets_the_key_in_and_has_it_sign_its_host_key(self):
        worker = self.start(f"--key={self.key}", f"--port={free_port()}", "--grace=1")
        folder = self.home / ".ssh"
        wait_for(lambda: (folder / "sshd_config").exists() and (folder / "sshd_config").read_text().endswith("ERROR\n"),
                 "the configuration")
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=30)
        self.assertEqual((folder / "authorized_keys").read_text().strip(), f"restrict {self.public}")
        self.assertEqual(stat.S_IMODE(folder.stat().st_mode), 0o700)
        certificate = subprocess.run(["ssh-keygen", "-L", "-f", folder / "host_key-cert.pub"],
                                     capture_output=True, text=True, check=True).stdout
        self.assertIn("host certificate", certificate)
        fingerprint = subprocess.run(["ssh-keygen", "-l", "-f", self.key], capture_output=True, text=True,
                                     check=True).stdout.split()[1]
        self.assertIn(f"Signing CA: ECDSA {fingerprint}", certificate)

    def test_ssh_trusts_what_the_key_signed(self):
        known = subprocess.run([DOCKER / "known_hosts.sh", self.key], capture_output=True, text=True, check=True).stdout
        self.assertEqual(known.strip(), f"@cert-authority * {self.public}")

    @unittest.skipUnless(shutil.which("ssh"), "there is no ssh")
    def test_ssh_takes_the_configuration(self):
        settings = subprocess.run(["ssh", "-G", "-F", DOCKER / "ssh_config", "pod"], capture_output=True, text=True,
                                  check=True).stdout.splitlines()
        for setting in ("port 2222", "user sdar", "stricthostkeychecking true", "batchmode yes"):
            self.assertIn(setting, settings)


class Systemd(unittest.TestCase):
    def test_each_time_of_a_stop_is_longer_than_the_one_inside_it(self):
        drain, stop, end = (seconds(UNIT, o) for o in ("--drain-timeout", "--stop-timeout", "TimeoutStopSec"))
        self.assertLess(drain, stop)
        self.assertLess(stop, end)

    def test_only_the_launcher_is_told_to_stop(self):
        self.assertIn("\nKillMode=mixed\n", UNIT)

    def test_probes_have_a_port_of_loopback(self):
        for path in (DEPLOY / "systemd" / "sdar.env.example", SBATCH):
            with self.subTest(path.name):
                self.assertIn("--admin-port=8001", path.read_text())
                self.assertNotIn("--admin-host", path.read_text())

    def test_the_example_sets_every_variable_of_the_unit_and_no_other(self):
        example = (DEPLOY / "systemd" / "sdar.env.example").read_text()
        used = set(re.findall(r"\$\{?(SDAR_\w+)", UNIT))
        self.assertEqual(used, set(re.findall(r"^(SDAR_\w+)=", example, re.M)))

    @unittest.skipUnless(shutil.which("systemd-analyze"), "there is no systemd-analyze")
    def test_systemd_takes_the_unit(self):
        with tempfile.TemporaryDirectory() as folder:
            unit = pathlib.Path(folder) / "sdar.service"
            unit.write_text(UNIT.replace("ExecStart=sdar-launch", "ExecStart=/bin/true"))
            result = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True,
                                    check=False)
        ours = [line for line in result.stderr.splitlines() if "sdar.service" in line]
        self.assertEqual(ours, [])


class Hostfile(unittest.TestCase):
    def test_each_line_is_a_host_and_its_slots(self):
        lines = [line for line in (DEPLOY / "hostfile.example").read_text().splitlines() if not line.startswith("#")]
        self.assertGreater(len(lines), 1)
        for line in lines:
            self.assertRegex(line, r"^\S+ slots=\d+$")


class Slurm(unittest.TestCase):
    """sdar.sbatch with an mpirun that only notes what it gets."""

    def start(self, script, *arguments):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        mpirun = self.folder / "mpirun"
        mpirun.write_text("#!/usr/bin/env bash\n" + script)
        mpirun.chmod(0o755)
        environment = dict(os.environ, PATH=f"{folder.name}:{os.environ['PATH']}")
        return subprocess.Popen(["bash", SBATCH, *arguments], env=environment, text=True, cwd=folder.name,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def test_it_wants_a_model(self):
        job = self.start("")
        self.assertIn("usage: sbatch", job.communicate()[1])
        self.assertEqual(job.returncode, 2)

    def test_it_passes_model_and_flags_on_and_ends_as_the_job_does(self):
        job = self.start('printf "%s\\n" "$@"; exit 7', "/srv/a model", "--max-sequences=3")
        output = job.communicate()[0]
        self.assertIn("\n--model=/srv/a model\n", output)
        self.assertIn("\n--max-sequences=3\n", output)
        self.assertEqual(job.returncode, 7)

    def test_a_signal_becomes_a_drain_that_it_waits_for(self):
        for number in (signal.SIGTERM, signal.SIGUSR1):
            with self.subTest(number):
                job = self.start("trap 'sleep 0.5; echo drained; exit 0' USR1; touch ready; while :; do sleep 0.05; done",
                                 "/srv/model")
                wait_for((self.folder / "ready").exists, "mpirun")
                job.send_signal(number)
                self.assertIn("drained", job.communicate(timeout=30)[0])
                self.assertEqual(job.returncode, 0)

    def test_slurm_signals_it_before_the_time_is_over_and_leaves_time_to_drain(self):
        text = SBATCH.read_text()
        self.assertLess(seconds(text, "--drain-timeout"), int(re.search(r"--signal=B:TERM@(\d+)", text).group(1)))


class Flags(unittest.TestCase):
    """The programs know the flags that are passed to them here."""

    def used(self):
        launch, serve = set(), set()
        for values in chart.MODES.values():
            arguments = chart.container(chart.pod_templates(chart.rendered(values))["leader"])["args"]
            launch.update(arguments[:arguments.index("--")])
            serve.update(arguments[arguments.index("--") + 2:])
        unit = re.search(r"^ExecStart=(.*\n.*)$", UNIT, re.M).group(1).split()
        launch.update(a for a in unit[:unit.index("--")] if a.startswith("--"))
        serve.update(a for a in unit[unit.index("--"):] if a.startswith("--") and a != "--")
        serve.update(re.findall(r"--(?:model|host|admin-port|drain-timeout)(?==)", SBATCH.read_text()))
        return {"sdar-launch": launch, "sdar-serve": serve}

    def test_each_flag_is_in_the_help_of_its_program(self):
        checked = False
        for program, arguments in self.used().items():
            path = pathlib.Path(os.environ.get("SDAR_BIN_DIR", "/nowhere")) / program
            if not path.exists():
                continue
            text = subprocess.run([path, "--help"], capture_output=True, text=True, check=True).stdout
            checked = True
            for flag in sorted({argument.split("=")[0] for argument in arguments}):
                with self.subTest(f"{program} {flag}"):
                    self.assertRegex(text, rf"(?m)^\s*{flag}\b")
        if not checked:
            self.skipTest("the programs are not built")


if __name__ == "__main__":
    unittest.main()
