# SPDX-License-Identifier: Apache-2.0
"""sdar.sbatch, and srun alone, on a Slurm of two nodes."""

import os
import pathlib
import pwd
import re
import shutil
import signal
import subprocess
import time

import real_parts
from real_parts import BIN, FOLDER, MODEL, ROOT, Callers, Server, in_background, run, wait_until

CLUSTER = FOLDER / "slurm"
SCRIPT = pathlib.Path(__file__).with_name("slurm_cluster.sh")
SBATCH = ROOT / "deploy/slurm/sdar.sbatch"
NODES = {"n1": "10.78.0.1", "n2": "10.78.0.2"}
KILL_WAIT_S = 20


class Job:
    """A job of a user who is not root, as Open MPI wants it."""

    def __init__(self, *command, **environment):
        self.log = None
        user = pwd.getpwnam("nobody")
        self.environment = {"PATH": f"{CLUSTER}/bin:/usr/bin:/bin:/usr/sbin", "HOME": str(CLUSTER / "home"),
                            "SLURM_CONF": str(CLUSTER / "slurm.conf"), **environment}
        self.process = subprocess.Popen([str(w) for w in command], cwd=CLUSTER / "home", env=self.environment, text=True,
                                        user=user.pw_uid, group=user.pw_gid, extra_groups=[],
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    @classmethod
    def batch(cls, *options, model=MODEL, flags=(), **environment):
        """A job of sdar.sbatch with two ranks on two nodes."""
        job = cls("sbatch", "--parsable", "--nodes=2", "--ntasks-per-node=1", *options, SBATCH, model, "--threads=1", *flags,
                  **environment)
        job.id = int(job.process.communicate(timeout=30)[0])
        job.log = CLUSTER / f"home/sdar-{job.id}.log"
        job.port = 20000 + 3 * (job.id % 4000)
        job.server = Server(NODES["n1"], port=job.port + 1, admin_port=job.port + 2)
        return job

    def text(self):
        return self.log.read_text() if self.log and self.log.exists() else ""

    def get(self, field):
        found = re.search(rf"\b{field}=(\S+)", slurm("scontrol", "show", "job", str(self.id)))
        return found.group(1) if found else ""

    def wait_for_ready(self, seconds=60):
        self.server_ready = wait_until(lambda: is_ready(self.server), lambda: f"ready: {self.text()}", seconds)

    def wait_for_end(self, seconds=60):
        """State and exit code of the job, as Slurm has them."""
        wait_until(lambda: self.get("JobState") not in ("RUNNING", "COMPLETING", "PENDING"), self.text, seconds, 0.2)
        wait_until(lambda: not real_parts.processes(("sdar-serve",)), "no rank is left", 10)
        return self.get("JobState"), self.get("ExitCode")


def is_ready(server):
    # /readyz listens on the node's loopback.
    url = f"http://127.0.0.1:{server.admin_port}/readyz"
    return subprocess.run(["nsenter", "--net=/run/netns/sdar-n1", "curl", "--silent", "--fail", "--max-time", "2", url],
                          capture_output=True, check=False).returncode == 0


def slurm(*command):
    return run(*command, env={**os.environ, "SLURM_CONF": str(CLUSTER / "slurm.conf")})


def ranks(node):
    """Ids of the ranks on a node."""
    network = os.stat(f"/run/netns/sdar-{node}").st_ino
    return [p for p in real_parts.processes(("sdar-serve",)) if os.stat(f"/proc/{p}/ns/net").st_ino == network]


class SlurmTest(real_parts.CleanTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        CLUSTER.mkdir(exist_ok=True)
        cls.addClassCleanup(run, SCRIPT, "stop", CLUSTER)
        cls.start()
        shutil.rmtree(CLUSTER / "bin", ignore_errors=True)
        shutil.rmtree(CLUSTER / "home", ignore_errors=True)
        (CLUSTER / "bin").mkdir()
        for program in (*BIN.glob("sdar-serve*"), BIN / "libsdar_loopback.so"):
            shutil.copy2(program, CLUSTER / "bin")
        (CLUSTER / "home").mkdir()
        os.chown(CLUSTER / "home", *pwd.getpwnam("nobody")[2:4])
        wait_until(lambda: "idle" in slurm("sinfo", "--noheader", "--format=%D %t").split("\n")[0] and
                   slurm("sinfo", "--noheader", "--format=%D %t").startswith("2 idle"), "two idle nodes", 30)

    @staticmethod
    def start():
        # The daemons keep what they inherit.
        with open(FOLDER / "slurm.log", "w") as log:
            subprocess.run([SCRIPT, "start", CLUSTER], check=True, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def tearDown(self):
        subprocess.run(["scancel", "--state=RUNNING"], env={**os.environ, "SLURM_CONF": str(CLUSTER / "slurm.conf")}, check=False)
        wait_until(lambda: not slurm("squeue", "--noheader").strip(), "no job is left", KILL_WAIT_S + 20, 0.2)
        self.check_nodes()

    def check_nodes(self):
        """No file and no shared memory of a job is left on the nodes."""
        def left():
            return [str(path) for node in NODES for folder in ("tmp", "shm") for path in (CLUSTER / f"{folder}-{node}").rglob("*")
                    if path.is_file()]
        wait_until(lambda: not left(), left, 10)

    def drain(self, job, order, **ending):
        """A long request ends well when the order comes, and those after it are told to try elsewhere."""
        long_call = job.server.long_call(4)
        with in_background(long_call) as long:
            time.sleep(0.5)
            begin = time.monotonic()
            with Callers(lambda: job.server.complete(timeout=5), number=2) as callers:
                order()
                state = job.wait_for_end()
        print(f"    drained in {time.monotonic() - begin:.1f} s; calls by status: {dict(callers.outcomes)}")
        self.assertEqual(long[0][0], 200, (long[0], job.text()))
        self.assertLessEqual(set(callers.outcomes), {0, 200, 503}, callers.texts)
        self.assertIn("draining", job.text())
        return state


class Batch(SlurmTest):
    def test_it_answers_and_a_killed_rank_starts_the_job_again_in_its_allocation(self):
        job = Job.batch()
        begin = time.monotonic()
        job.wait_for_ready()
        self.assertEqual(job.server.complete()[0], 200)
        self.assertEqual([len(ranks(node)) for node in NODES], [1, 1])
        print(f"    answers {time.monotonic() - begin:.1f} s after sbatch")
        for node in ("n2", "n1"):
            os.kill(ranks(node)[0], signal.SIGKILL)
            begin = time.monotonic()
            wait_until(lambda: not is_ready(job.server), "the rank is missed", 10)
            wait_until(lambda: job.text().count("it starts again in") > ("n2", "n1").index(node), job.text, 20)
            job.wait_for_ready()
            print(f"    ready again {time.monotonic() - begin:.1f} s after a rank on {node} was killed")
            self.assertEqual(job.server.complete()[0], 200)
        self.assertEqual(job.get("JobState"), "RUNNING")

    def test_plain_scancel_drains_within_kill_wait(self):
        job = Job.batch()
        job.wait_for_ready()
        state = self.drain(job, lambda: slurm("scancel", str(job.id)))
        self.assertEqual(state[0], "CANCELLED")
        self.assertIn(f"--drain-timeout={KILL_WAIT_S - 5}", job.text())

    def test_a_signal_to_the_batch_script_drains(self):
        job = Job.batch()
        job.wait_for_ready()
        state = self.drain(job, lambda: slurm("scancel", "--batch", "--signal=TERM", str(job.id)))
        self.assertEqual(state, ("COMPLETED", "0:0"))

    def test_the_time_limit_drains_before_it_comes(self):
        # Slurm looks at time limits every half minute or so; the signal may come up to a minute early.
        job = Job.batch("--time=2", "--signal=B:TERM@100")
        job.wait_for_ready()
        state = self.drain(job, lambda: None)
        self.assertEqual(state, ("COMPLETED", "0:0"))

    def test_errors_that_are_final_end_the_job(self):
        for job in (Job.batch(flags=["--no-such-flag"]), Job.batch(model="/no/such/model")):
            state = job.wait_for_end()
            self.assertEqual(state, ("FAILED", "2:0"), job.text())
            self.assertNotIn("starts again", job.text())

    def test_two_jobs_share_the_nodes_unless_one_is_exclusive(self):
        first, second = Job.batch(), Job.batch()
        for job in (first, second):
            job.wait_for_ready()
            self.assertEqual(job.server.complete()[0], 200)
        third = Job.batch("--exclusive")
        time.sleep(1)
        self.assertEqual(third.get("JobState"), "PENDING")
        slurm("scancel", str(third.id))

    def test_cores_of_a_rank_follow_cpus_per_task(self):
        job = Job.batch("--cpus-per-task=2")
        job.wait_for_ready()
        self.assertEqual(len(os.sched_getaffinity(ranks("n1")[0])), 2)

    def test_a_node_that_is_cut_off_is_noticed_and_the_job_comes_back_with_it(self):
        job = Job.batch()
        job.wait_for_ready()
        run("ip", "link", "set", "sdar-n2", "down")
        begin = time.monotonic()
        try:
            wait_until(lambda: not is_ready(job.server), "the node is missed", 10)
            print(f"    a node cut off is noticed after {time.monotonic() - begin:.1f} s")
            wait_until(lambda: not ranks("n1"), "the ranks on the other node end", 20)
        finally:
            run("ip", "link", "set", "sdar-n2", "up")
        job.wait_for_ready(90)
        print(f"    ready again {time.monotonic() - begin:.1f} s after the cut")
        self.assertEqual(job.server.complete()[0], 200)


class Mpirun(SlurmTest):
    """The same script where Slurm lacks the plugin pmix."""

    def test_it_answers_and_drains(self):
        job = Job.batch(SDAR_START="mpirun")
        job.wait_for_ready()
        self.assertEqual(job.server.complete()[0], 200)
        state = self.drain(job, lambda: slurm("scancel", "--batch", "--signal=TERM", str(job.id)))
        self.assertEqual(state, ("COMPLETED", "0:0"))

    def test_a_killed_rank_starts_the_job_again_in_its_allocation(self):
        job = Job.batch(SDAR_START="mpirun")
        job.wait_for_ready()
        os.kill(ranks("n2")[0], signal.SIGKILL)
        wait_until(lambda: "it starts again in" in job.text(), job.text, 20)
        job.wait_for_ready()
        self.assertEqual(job.server.complete()[0], 200)


class Srun(SlurmTest):
    def test_srun_alone_starts_the_ranks_and_drains(self):
        job = Job("srun", "--nodes=2", "--ntasks-per-node=1", "--mpi=pmix", "--kill-on-bad-exit=1", "sdar-serve", f"--model={MODEL}",
                  "--host=0.0.0.0", "--admin-port=8001", "--sigterm=drain", "--threads=1")
        self.addCleanup(job.process.stdout.close)
        server = Server(NODES["n1"])
        wait_until(lambda: is_ready(server), lambda: job.process.communicate(timeout=5)[0] if job.process.poll() else "ready", 60)
        self.assertEqual(server.complete()[0], 200)
        with in_background(server.long_call(3)) as long:
            time.sleep(0.5)
            slurm("scancel", "--state=RUNNING")
        self.assertEqual(long[0][0], 200, long)
        job.process.wait(30)


if __name__ == "__main__":
    real_parts.main("slurmctld", "slurmd", "munged", "ip", "mpirun", "curl")
