# SPDX-License-Identifier: Apache-2.0
"""What the chart renders, played by podman: the pod of a Deployment, and groups of two and three pods as the controller
of LeaderWorkerSet makes them, with their limits, TLS, API keys and ssh Secret."""

import contextlib
import os
import pathlib
import signal
import time

import real_parts
import podman
from pods import VALUES, own, pods, secret, ssh_key
from real_parts import BIN, FOLDER, Callers, Server, in_background, run, wait_until
from tls_files import Authority

KEY = "a-key-that-is-long-enough"


def certificate(folder):
    """An authority, and the Secret `given-tls` with a certificate for the pods' addresses."""
    folder.mkdir(exist_ok=True)
    authority = Authority(folder, "authority")
    key, signed = authority.sign("server", 1, names=",".join(f"IP:{podman.SUBNET}.{n}" for n in (10, 11, 12)))
    secret("given-tls", {"tls.crt": signed.read_text(), "tls.key": key.read_text()})
    return authority.certificate


def at_once(calls):
    with contextlib.ExitStack() as stack:
        for call in calls:
            stack.enter_context(in_background(call))


class PodTest(real_parts.CleanTest):
    """The tests of a class share the pods of VALUES, which they leave ready."""

    VALUES = {}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        podman.make_network()
        cls.addClassCleanup(podman.remove_network)
        cls.authority = certificate(FOLDER / "authority")
        secret("given-keys", {"keys": KEY + "\n"})
        secret("given-ssh", {"ssh-privatekey": ssh_key()})
        secure = {"tls": {"existingSecret": "given-tls"}, "apiKeys": {"existingSecret": "given-keys"},
                  "ssh": {"existingSecret": "given-ssh"}}
        cls.pods = pods({**secure, **cls.VALUES})
        cls.leader, *cls.workers = cls.pods
        cls.server = Server(cls.leader.address, authority=cls.authority, key=KEY)
        cls.addClassCleanup(lambda: [pod.remove() for pod in cls.pods])
        for pod in reversed(cls.pods):
            pod.remove()
            pod.start()
        cls.wait_for_ready()

    @classmethod
    def wait_for_ready(cls):
        wait_until(cls.server.is_ready, lambda: "ready\n" + "\n".join(pod.logs()[-3000:] for pod in cls.pods))

    def check_the_job_starts_again(self, lost, help_up=lambda: None):
        """After something was killed: it is noticed, and the job serves again."""
        begin = time.monotonic()
        wait_until(lambda: not self.server.is_ready(), f"the {lost} is missed", 10, 0.01)
        missed = time.monotonic() - begin
        help_up()
        self.wait_for_ready()
        print(f"    a killed {lost} is noticed after {missed:.2f} s, ready again after {time.monotonic() - begin:.1f} s")

    def check_answer(self):
        status, text = self.server.complete()
        self.assertEqual(status, 200, text)

    def check_every_call_ended_well_or_was_told_to_try_again(self, callers):
        self.assertGreater(callers.outcomes[200], 0, callers.texts)
        self.assertLessEqual(set(callers.outcomes), {0, 200, 503}, callers.texts)

    def drain(self):
        """Stops the pods at the same time under callers, while a long request runs."""
        self.addCleanup(self.start_again)
        long_call = self.server.long_call(3)
        with Callers(lambda: self.server.complete(timeout=5)) as callers:
            at_once([pod.run_hook for pod in self.pods])
            with in_background(long_call) as long:
                time.sleep(0.5)
                begin = time.monotonic()
                at_once([pod.stop for pod in self.pods])
        print(f"    drained in {time.monotonic() - begin:.1f} s; calls by status: {dict(callers.outcomes)}")
        self.assertEqual(long[0][0], 200, long[0][1][-500:])
        self.check_every_call_ended_well_or_was_told_to_try_again(callers)
        for pod in self.pods:
            self.assertEqual(pod.state()["ExitCode"], 0, pod.logs()[-2000:])
            self.assertFalse(pod.state()["Running"])

    def start_again(self):
        for pod in reversed(self.pods):
            podman.podman("pod", "start", pod.name)
        self.wait_for_ready()
        self.check_answer()


class Deployment(PodTest):
    def test_it_answers_over_tls_to_who_has_a_key(self):
        self.check_answer()
        self.assertEqual(self.server.complete(key="another-key-of-that-length")[0], 401)
        self.assertEqual(Server(self.leader.address).complete()[0], 0)

    def test_it_answers_over_grpc(self):
        key = FOLDER / "key"
        key.write_text(KEY)
        client = [BIN / "sdar-client", f"--server={self.leader.address}:50051", f"--tls-ca={self.authority}", f"--api-key-file={key}"]
        self.assertIn("sdar-tiny", run(*client, "--info"))
        self.assertTrue(run(*client, "--temperature=0", "--max-tokens=4", "The capital of"))

    def test_every_probe_says_yes(self):
        probes = [self.leader.main[probe]["httpGet"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")]
        for probe in probes:
            self.assertEqual(probe["port"], "admin")
            self.assertEqual(self.server.get(probe["path"])[0], 200)

    def test_it_has_its_limits_and_no_right(self):
        status = pathlib.Path(f"/proc/{self.leader.ranks()[0]}/status").read_text()
        for line in ("Uid:\t10001", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"):
            self.assertIn(f"\n{line}", status)
        limits = podman.inspect(self.leader.container)["HostConfig"]
        self.assertEqual(limits["Memory"], 512 << 20)
        self.assertEqual(limits["CpuQuota"], limits["CpuPeriod"])
        self.assertTrue(limits["ReadonlyRootfs"])
        self.assertIn("a control group allows 1.0: 1 thread(s) a rank", self.leader.logs())

    def test_a_killed_rank_is_noticed_and_the_job_starts_again(self):
        files, ranks = len(self.leader.files()), self.leader.ranks()
        self.assertEqual(len(ranks), 2)
        with Callers(self.server.complete) as callers:
            time.sleep(0.3)
            os.kill(ranks[1], signal.SIGKILL)
            self.check_the_job_starts_again("rank")
        self.check_every_call_ended_well_or_was_told_to_try_again(callers)
        self.assertFalse(set(ranks) & set(self.leader.ranks()))
        self.assertEqual(len(self.leader.files()), files, self.leader.files())
        self.check_answer()

    def test_a_killed_pod_comes_back(self):
        podman.podman("kill", "--signal", "KILL", self.leader.container)
        if not self.leader.state()["Running"]:
            podman.podman("start", self.leader.container)  # podman leaves alone what it has killed itself
        self.wait_for_ready()
        self.check_answer()

    def test_a_drain_lets_running_requests_end(self):
        self.drain()


class EndsAtOnce(real_parts.CleanTest):
    """Pods that cannot serve, whose containers are not started again here."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        podman.make_network()
        cls.addClassCleanup(podman.remove_network)

    def ended(self, values, seconds=30):
        """Exit code and log of the container."""
        (pod,) = pods({"fullnameOverride": "wrong", **values}, restart="Never")
        self.addCleanup(pod.remove)
        pod.remove()
        pod.start()
        wait_until(lambda: not pod.state()["Running"], "the pod has ended", seconds, 0.1)
        return pod.state()["ExitCode"], pod.logs()

    def test_a_bad_flag(self):
        code, log = self.ended({"extraArgs": ["--no-such-flag=1"]})
        self.assertEqual(code, 2, log)
        self.assertIn("no-such-flag", log)

    def test_a_missing_model(self):
        code, log = self.ended({"model": {**VALUES["model"], "path": "no-such-model"}})
        self.assertEqual(code, 2, log)
        self.assertIn("/models/no-such-model", log)

    def test_a_memory_limit_that_is_hit_is_named(self):
        values = {"fullnameOverride": "small", "resources": {"cpu": "1", "memory": "28Mi"}}
        (pod,) = pods(values, restart="Never")
        self.addCleanup(pod.remove)
        pod.remove()
        pod.start()
        wait_until(lambda: "memory has run out: limit 28 MiB" in pod.logs(), lambda: pod.logs()[-3000:], 20, 0.2)


class GroupOfTwo(PodTest):
    VALUES = {"nodes": 2, "ranksPerNode": 1}

    def test_it_answers(self):
        self.check_answer()
        self.assertEqual([len(pod.ranks()) for pod in self.pods], [1] * len(self.pods))

    def test_a_killed_rank_of_a_worker_is_noticed_and_the_job_starts_again(self):
        files = [len(pod.files()) for pod in self.pods]
        ranks = self.workers[-1].ranks()
        os.kill(ranks[0], signal.SIGKILL)
        self.check_the_job_starts_again("rank")
        self.check_answer()
        self.assertEqual([len(pod.files()) for pod in self.pods], files)

    def test_a_drain_lets_running_requests_end_on_all_pods(self):
        self.drain()

    def test_a_new_key_in_the_secret_reaches_the_pods(self):
        file = FOLDER / "secrets/given-ssh/ssh-privatekey"
        before = [pod.logs() for pod in self.workers]
        # As the kubelet does it: what the pod sees changes at once, and whole.
        (file.parent / "new").write_bytes(ssh_key())
        own(file.parent)
        (file.parent / "new").rename(file)
        for pod, log in zip(self.workers, before):
            wait_until(lambda: "takes the new one" in pod.logs()[len(log):], lambda: pod.logs(), 20)
        os.kill(self.leader.ranks()[0], signal.SIGKILL)
        wait_until(lambda: not self.server.is_ready(), "the rank is missed", 10, 0.01)
        self.wait_for_ready()  # over ssh with the new key
        self.check_answer()


class GroupOfThree(PodTest):
    VALUES = {"nodes": 3, "ranksPerNode": 1, "server": {"tensorParallel": 1}}

    def test_it_answers(self):
        self.check_answer()
        self.assertEqual([len(pod.ranks()) for pod in self.pods], [1] * len(self.pods))

    def test_a_killed_worker_is_noticed_and_the_job_starts_again_with_it(self):
        worker = self.workers[-1]
        podman.podman("kill", "--signal", "KILL", worker.container)
        self.check_the_job_starts_again("worker", lambda: worker.state()["Running"] or podman.podman("start", worker.container))
        self.check_answer()


if __name__ == "__main__":
    real_parts.main("podman", "runc", "iptables", "helm", "ssh-keygen")
