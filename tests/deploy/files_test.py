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
SCRIPTS = [*DOCKER.glob("*.sh"), *TESTS.glob("**/*.sh"), SBATCH]
CUDA_MODULE = re.search(r'kCudaModuleFile\[\] = "(.*?)"', (chart.ROOT / "launcher/cuda/cuda_module.h").read_text()).group(1)


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

    def stages(self):
        """The base of each stage, in order."""
        return {name: base for base, name in re.findall(r"^FROM (\S+) AS (\S+)$", self.TEXT, re.M)}

    def test_its_stages_stand_on_earlier_ones_by_name(self):
        # podman drops a stage whose name stands in an argument.
        seen = {"${DEBIAN}"}
        for name, base in self.stages().items():
            self.assertIn(base, seen)
            seen.add(name)
        for source in re.findall(r"--from=(\S+)", self.TEXT):
            self.assertIn(source, seen)

    def test_each_backend_is_a_target_and_the_cpu_is_the_last(self):
        stages = self.stages()
        self.assertEqual(list(stages)[-2:], ["cuda", "cpu"])
        for backend in ("cpu", "cuda"):
            self.assertEqual(stages[backend], "runtime")
            text = re.search(rf"^FROM runtime AS {backend}$(.*?)(?=^FROM|\Z)", self.TEXT, re.M | re.S).group(1)
            self.assertIn(f"COPY --from=build-{backend} /programs/ /usr/local/bin/", text)
            self.assertIn("\nUSER 10001:10001", text)
            self.assertEqual("NVIDIA_VISIBLE_DEVICES" in text, backend == "cuda")
        self.assertEqual(self.TEXT.count("NVIDIA_VISIBLE_DEVICES"), 1)

    def test_every_module_is_installed_and_a_build_for_cuda_without_it_fails(self):
        with tempfile.TemporaryDirectory() as name:
            checkout = pathlib.Path(name)
            (checkout / "deploy/docker").mkdir(parents=True)
            shutil.copy(DOCKER / "build_programs.sh", checkout / "deploy/docker")
            built, out = checkout / "build/release/bin", checkout / "out"
            built.mkdir(parents=True)
            for file in ("sdar-serve", "libsdar_loopback.so"):
                (built / file).touch()
            fakes = checkout / "fakes"
            fakes.mkdir()
            for tool, text in (("cmake", 'echo "$@"'), ("strip", "")):
                (fakes / tool).write_text(f"#!/bin/sh\n{text}\n")
                (fakes / tool).chmod(0o755)

            def build(*arguments):
                return subprocess.run([checkout / "deploy/docker/build_programs.sh", out, *arguments], text=True, capture_output=True,
                                      env={"PATH": f"{fakes}:{os.environ['PATH']}"}, check=False)
            self.assertIn("-DSDAR_CUDA=OFF", build("cpu").stdout)
            without = build("cuda", "80-real")
            self.assertEqual(without.returncode, 1)
            self.assertIn(f"made no {CUDA_MODULE}", without.stderr)
            self.assertIn("-DSDAR_CUDA_ARCHITECTURES=80-real", without.stdout)
            (built / CUDA_MODULE).touch()
            self.assertEqual(build("cuda").returncode, 0)
            self.assertEqual({f.name for f in out.iterdir()}, {"sdar-serve", "libsdar_loopback.so", CUDA_MODULE})
            self.assertEqual(build("gpu").returncode, 2)

    def test_nvidias_repository_follows_the_architecture(self):
        for architecture, ending in (("amd64", "debian12/x86_64"), ("arm64", "debian12/sbsa")):
            with tempfile.TemporaryDirectory() as folder:
                dpkg = pathlib.Path(folder) / "dpkg"
                dpkg.write_text(f"#!/bin/sh\necho {architecture}\n")
                dpkg.chmod(0o755)
                printed = subprocess.run([DOCKER / "add_cuda_repository.sh", "--print"], capture_output=True, text=True, check=True,
                                         env={"PATH": f"{folder}:{os.environ['PATH']}"}).stdout
            self.assertTrue(printed.strip().endswith(ending), printed)

    def test_a_snapshot_is_all_that_apt_takes_packages_from(self):
        with tempfile.TemporaryDirectory() as folder:
            sources = pathlib.Path(folder) / "etc/apt/sources.list.d"
            sources.mkdir(parents=True)
            (sources.parent / "apt.conf.d").mkdir()
            (sources / "debian.sources").touch()
            script = DOCKER / "use_snapshot.sh"
            subprocess.run([script, "", folder], check=True)
            self.assertTrue((sources / "debian.sources").exists())
            self.assertEqual(subprocess.run([script, "yesterday", folder], capture_output=True, check=False).returncode, 2)
            subprocess.run([script, "20261101T000000Z", folder], check=True)
            self.assertEqual(list(sources.iterdir()), [])
            lines = (sources.parent / "sources.list").read_text().splitlines()
            # A snapshot's index is older than it says it is good for.
            self.assertIn('Check-Valid-Until "false"', (sources.parent / "apt.conf.d/80snapshot").read_text())
        self.assertEqual(len(lines), 3)
        for line in lines:
            self.assertRegex(line, r"^deb http://snapshot\.debian\.org/archive/debian(-security)?/20261101T000000Z bookworm")

    def test_it_is_labelled_with_the_projects_version(self):
        version = re.search(r"project\(sdar VERSION (\S+)", (chart.ROOT / "CMakeLists.txt").read_text()).group(1)
        self.assertIn(f"\nARG VERSION={version}\n", self.TEXT)
        for label in ("title", "description", "licenses", "version", "revision", "base.name"):
            self.assertIn(f"org.opencontainers.image.{label}=", self.TEXT)

    def test_it_runs_the_launcher_as_the_user_that_is_made(self):
        self.assertIn('ENTRYPOINT ["/usr/local/bin/sdar-launch"]', self.TEXT)
        user = re.search(r"^USER (\d+):(\d+)$", self.TEXT, re.M).groups()
        self.assertIn("--uid {} --gid {}".format(*user), (DOCKER / "prepare_runtime.sh").read_text())

    def test_lists_of_packages_name_one_a_line_in_order(self):
        for path in DOCKER.glob("*-packages.txt"):
            lines = [line.split("#")[0].strip() for line in path.read_text().splitlines()]
            names = [line for line in lines if line]
            with self.subTest(path.name):
                self.assertTrue(all(re.fullmatch(r"[a-z0-9][a-z0-9.+-]+(=\S+)?", name) for name in names), names)
                self.assertEqual(names, sorted(names))

    def test_nvidias_packages_are_of_one_version(self):
        for path in DOCKER.glob("cuda-*-packages.txt"):
            for name in re.findall(r"^[^#\s]+", path.read_text(), re.M):
                with self.subTest(f"{path.name}: {name}"):
                    self.assertRegex(name, r"-13-0$|=.*\+cuda13\.0$")


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

    def start(self, *arguments, sshd=None):
        """worker.sh; with `sshd` the text of a program that takes its place."""
        path = os.environ["PATH"]
        if sshd:
            (self.home / "bin").mkdir()
            (self.home / "bin/sshd").write_text(f"#!/usr/bin/env bash\n{sshd}\n")
            (self.home / "bin/sshd").chmod(0o755)
            path = f"{self.home}/bin:{path}"
        environment = {"PATH": path, "HOME": str(self.home), "HOSTNAME": "worker"}
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

    def test_an_sshd_that_knows_penalties_has_none(self):
        # OpenSSH before 9.8 refuses the option.
        for refused, line in (("false", "PerSourcePenalties no\n"), ("[[ \"$*\" == *PerSource* ]]", "")):
            with self.subTest(refused):
                shutil.rmtree(self.home / "bin", ignore_errors=True)
                worker = self.start(f"--key={self.key}", "--grace=1",
                                    sshd=f'if [ "$1" = -t ]; then ! {{ {refused}; }}; exit; fi; touch "$HOME/runs"; exec sleep 60')
                wait_for((self.home / "runs").exists, "the server")
                worker.send_signal(signal.SIGTERM)
                worker.communicate(timeout=30)
                (self.home / "runs").unlink()
                self.assertTrue((self.home / ".ssh/sshd_config").read_text().endswith(f"LogLevel ERROR\n{line}"))

    def test_a_key_that_changes_is_taken_without_a_restart(self):
        worker = self.start(f"--key={self.key}", "--grace=1",
                            sshd='[ "$1" != -t ] || exit 1; trap "touch $HOME/again" HUP; touch "$HOME/runs"; '
                                 'while :; do sleep 0.1; done')
        wait_for((self.home / "runs").exists, "the server")
        new = self.home / "new"
        subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-C", "", "-f", new], check=True)
        new.rename(self.key)
        wait_for((self.home / "again").exists, "the server reads its configuration again")
        worker.send_signal(signal.SIGTERM)
        self.assertIn("takes the new one", worker.communicate(timeout=30)[1])
        public = new.with_suffix(".pub").read_text().strip()
        self.assertEqual((self.home / ".ssh/authorized_keys").read_text().strip(), f"restrict {public}")
        certificate = subprocess.run(["ssh-keygen", "-L", "-f", self.home / ".ssh/host_key-cert.pub"], capture_output=True, text=True,
                                     check=True).stdout
        fingerprint = subprocess.run(["ssh-keygen", "-l", "-f", new.with_suffix(".pub")], capture_output=True, text=True,
                                     check=True).stdout.split()[1]
        self.assertIn(fingerprint, certificate)

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
        example = (DEPLOY / "systemd" / "sdar.env.example").read_text()
        delay = int(re.search(r"load balancer: longer than\n#.*at most (\d+)\.", example).group(1))
        self.assertLess(delay + drain, stop)
        self.assertLess(stop, end)

    def test_only_the_launcher_is_told_to_stop(self):
        self.assertIn("\nKillMode=mixed\n", UNIT)

    def test_probes_have_a_port_of_loopback(self):
        self.assertIn("--admin-port=8001", (DEPLOY / "systemd" / "sdar.env.example").read_text())
        self.assertNotIn("--admin-host", (DEPLOY / "systemd" / "sdar.env.example").read_text())

    def test_no_option_hides_devices(self):
        # ProtectClock does in systemd 252 and older.
        for option in ("ProtectClock", "PrivateDevices", "DeviceAllow", "DevicePolicy"):
            self.assertNotRegex(UNIT, rf"(?m)^{option}=")

    def test_what_is_final_is_not_tried_again(self):
        self.assertIn("\nRestartPreventExitStatus=2\n", UNIT)

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
    """sdar.sbatch with an srun or mpirun that only notes what it gets."""

    def start(self, script, *arguments, starter="mpirun", **environment):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        plugins = "echo none" if starter == "mpirun" else "echo pmix"
        for name in ("srun", "mpirun"):
            program = self.folder / name
            program.write_text(f'#!/usr/bin/env bash\nif [ "$1" = --mpi=list ]; then {plugins}; exit; fi\n{script}')
            program.chmod(0o755)
        (self.folder / "scontrol").write_text("#!/bin/sh\necho 'KillWait                = 40 sec'\n")
        (self.folder / "scontrol").chmod(0o755)
        environment = {**os.environ, "PATH": f"{folder.name}:{os.environ['PATH']}", "SLURM_JOB_ID": "12345", **environment}
        return subprocess.Popen(["bash", SBATCH, *arguments], env=environment, text=True, cwd=folder.name,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def lines(self, *arguments, **options):
        """What the starter got."""
        return self.start('printf "%s\n" "$@"', *arguments, **options).communicate(timeout=30)[0].splitlines()

    def test_it_wants_a_model(self):
        job = self.start("")
        self.assertIn("usage: sbatch", job.communicate()[1])
        self.assertEqual(job.returncode, 2)

    def test_it_passes_model_and_flags_on_and_ends_with_a_final_error(self):
        for starter in ("mpirun", "srun"):
            job = self.start('printf "%s\n" "$@"; exit 2', "/srv/a model", "--max-sequences=3", starter=starter)
            output = job.communicate(timeout=30)[0]
            self.assertIn("\n--model=/srv/a model\n", output)
            self.assertIn("\n--max-sequences=3\n", output)
            self.assertEqual(job.returncode, 2)

    def test_what_failed_is_started_again(self):
        job = self.start('echo started; [ -f again ] && exit 0; touch again; exit 137', "/srv/model")
        output, errors = job.communicate(timeout=30)
        self.assertEqual(output.count("started"), 2)
        self.assertIn("ended with status 137; it starts again in 1 s", errors)
        self.assertEqual(job.returncode, 0)

    def test_srun_starts_ranks_where_it_can_and_its_sigterm_drains(self):
        lines = self.lines("/srv/model", starter="srun", SLURM_CPUS_PER_TASK="7")
        for argument in ("--mpi=pmix", "--cpus-per-task=7", "--sigterm=drain"):
            self.assertIn(argument, lines)
        self.assertNotIn("--sigterm=drain", self.lines("/srv/model"))
        self.assertIn("--bind-to", self.lines("/srv/model", starter="srun", SDAR_START="mpirun"))

    def test_ports_follow_from_the_jobs_number_unless_they_are_given(self):
        lines = self.lines("/srv/model", "--http-port=8000")
        for argument in ("--port=21035", "--admin-port=21037", "--http-port=8000"):
            self.assertIn(argument, lines)
        self.assertNotIn("--http-port=21036", lines)

    def test_a_drain_fits_into_kill_wait_unless_it_is_given(self):
        self.assertIn("--drain-timeout=35", self.lines("/srv/model"))
        self.assertNotIn("--drain-timeout=35", self.lines("/srv/model", "--drain-timeout=120"))
        lines = self.lines("/srv/model", SDAR_DRAIN_DELAY="08")
        self.assertIn("--drain-delay=08", lines)
        self.assertIn("--drain-timeout=27", lines)

    def test_parameters_reach_open_mpi_4_and_5(self):
        job = self.start("env", "/srv/model")
        output = job.communicate(timeout=30)[0].splitlines()
        for line in ("OMPI_MCA_btl=self,vader,tcp", "OMPI_MCA_oob_tcp_keepalive_time=1", "PRTE_MCA_oob_tcp_keepalive_time=1"):
            self.assertIn(line, output)

    def test_a_signal_becomes_a_drain_that_it_waits_for(self):
        for starter in ("mpirun", "srun"):
            for number in (signal.SIGTERM, signal.SIGUSR1):
                with self.subTest(f"{starter} {number}"):
                    job = self.start("trap 'sleep 0.5; echo drained; exit 0' USR1; touch ready; while :; do sleep 0.05; done",
                                     "/srv/model", starter=starter)
                    wait_for((self.folder / "ready").exists, starter)
                    job.send_signal(number)
                    self.assertIn("drained", job.communicate(timeout=30)[0])
                    self.assertEqual(job.returncode, 0)

    def test_a_signal_ends_the_pause_between_two_starts(self):
        job = self.start("exit 1", "/srv/model")
        wait_for(lambda: "in 2 s" in job.stderr.readline(), "the second pause")
        job.send_signal(signal.SIGTERM)
        job.communicate(timeout=10)
        self.assertEqual(job.returncode, 1)

    def test_slurm_signals_it_before_the_time_is_over_and_keeps_its_log(self):
        text = SBATCH.read_text()
        self.assertLess(120, int(re.search(r"--signal=B:TERM@(\d+)", text).group(1)))
        self.assertIn("--drain-timeout=120", text)
        self.assertIn("\n#SBATCH --open-mode=append\n", text)


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
        serve.update(re.findall(r"--(?:model|host|port|http-port|admin-port|drain-delay|drain-timeout|sigterm)(?==)", SBATCH.read_text()))
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
