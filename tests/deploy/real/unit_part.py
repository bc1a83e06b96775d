# SPDX-License-Identifier: Apache-2.0
"""sdar.service under a real systemd, which runs in a container."""

import json
import shutil
import time

import real_parts
from real_parts import FOLDER, IMAGE, MODEL, ROOT, in_background, wait_until
from podman import logs, podman

NAME = "sdar-unit"
UNIT_IMAGE = "localhost/sdar-systemd:test"
CONTAINERFILE = f"""\
FROM {IMAGE}
USER root
RUN apt-get update -q && apt-get install -q -y --no-install-recommends systemd dbus procps && rm -rf /var/lib/apt/lists/*
ENTRYPOINT ["/lib/systemd/systemd"]
"""


def settings(**changes):
    """sdar.env.example with these values."""
    values = {"SDAR_MODEL": "/srv/models/sdar-tiny", **changes}
    lines = (ROOT / "deploy/systemd/sdar.env.example").read_text().splitlines()
    return "\n".join(f"{n}={values[n]}" if (n := line.split("=")[0]) in values else line for line in lines) + "\n"


class Unit(real_parts.CleanTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = FOLDER / "unit"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "etc").mkdir(parents=True)
        (folder / "Containerfile").write_text(CONTAINERFILE)
        podman("build", "--network", "host", "--file", folder / "Containerfile", "--tag", UNIT_IMAGE, folder, timeout=300)
        shutil.copy(ROOT / "deploy/systemd/sdar.service", folder)
        cls.environment = folder / "etc/sdar.env"
        cls.environment.write_text(settings())
        podman("rm", "--force", "--time", "0", NAME, check=False)
        cls.addClassCleanup(podman, "rm", "--force", "--time", "0", NAME, check=False)
        podman("run", "--detach", "--systemd", "always", "--network", "none", "--name", NAME, "--stop-signal", "SIGRTMIN+3",
               "--volume", f"{folder}/sdar.service:/usr/local/lib/systemd/system/sdar.service:ro",
               "--volume", f"{folder}/etc:/etc/sdar:ro", "--volume", f"{MODEL.parent}:/srv/models:ro", UNIT_IMAGE)
        wait_until(lambda: cls.systemctl("is-system-running", check=False).strip() in ("running", "degraded"),
                   lambda: logs(NAME), 30, 0.2)

    @classmethod
    def inside(cls, *command, **options):
        return podman("exec", NAME, *command, **options)

    @classmethod
    def systemctl(cls, *arguments, **options):
        return cls.inside("systemctl", *arguments, **options)

    def setUp(self):
        self.environment.write_text(settings())
        self.systemctl("reset-failed", check=False)

    def tearDown(self):
        self.systemctl("stop", "sdar", check=False)
        self.assertEqual(self.inside("pgrep", "-u", "sdar", check=False), "")
        self.assertEqual(self.inside("find", "/dev/shm", "/var/lib/sdar", "-type", "f", check=False), "")

    def show(self, name):
        return self.systemctl("show", "--value", "--property", name, "sdar").strip()

    def status(self):
        return self.systemctl("status", "--no-pager", "--full", "sdar", check=False)

    def is_ready(self):
        return "200" == self.inside("curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}",
                                    "http://127.0.0.1:8001/readyz", check=False)

    def start(self):
        self.systemctl("start", "sdar")
        wait_until(self.is_ready, self.status, 60, 0.1)

    def complete(self, **fields):
        """The status of a completion."""
        body = json.dumps({"prompt": "The capital of", "max_tokens": 4, "temperature": 0, **fields})
        return self.inside("curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--data", body,
                           "http://127.0.0.1:8000/v1/completions", check=False)

    def test_it_starts_and_answers(self):
        begin = time.monotonic()
        self.start()
        print(f"    ready {time.monotonic() - begin:.1f} s after `systemctl start`")
        self.assertEqual(self.complete(), "200")
        self.assertEqual(self.show("ActiveState"), "active")

    def test_it_sees_the_machines_devices(self):
        for name, value in (("DevicePolicy", "auto"), ("DeviceAllow", ""), ("PrivateDevices", "no")):
            self.assertEqual(self.show(name), value)

    def test_a_stop_lets_running_requests_end(self):
        self.start()
        with in_background(lambda: self.complete(n=4, max_tokens=1500, ignore_eos=True)) as long:
            time.sleep(0.5)
            begin = time.monotonic()
            self.systemctl("stop", "sdar")
        print(f"    stopped after {time.monotonic() - begin:.1f} s")
        self.assertEqual(long, ["200"])
        self.assertEqual((self.show("Result"), self.show("ExecMainStatus")), ("success", "0"))
        self.assertIn("draining: 1 open call", self.inside("journalctl", "--unit", "sdar", "--lines", "50"))

    def test_a_killed_rank_starts_the_job_again_within_the_unit(self):
        self.start()
        self.inside("bash", "-c", "kill -KILL $(pgrep -x sdar-serve | tail -1)")
        begin = time.monotonic()
        wait_until(lambda: not self.is_ready(), "the rank is missed", 10)
        wait_until(self.is_ready, self.status, 60, 0.1)
        print(f"    ready again {time.monotonic() - begin:.1f} s after a rank was killed")
        self.assertEqual(self.complete(), "200")
        self.assertEqual(self.show("NRestarts"), "0")

    def test_a_stop_removes_shared_memory_that_a_killed_job_left(self):
        self.inside("runuser", "-u", "sdar", "--", "touch", "/dev/shm/vader_segment.left")
        self.start()
        self.systemctl("stop", "sdar")
        self.assertEqual(self.inside("ls", "/dev/shm"), "")

    def check_final(self, sentence):
        self.systemctl("start", "sdar", check=False)
        wait_until(lambda: self.show("ActiveState") != "active", self.status, 30)
        self.assertEqual([self.show(name) for name in ("ActiveState", "SubState", "ExecMainStatus", "NRestarts")],
                         ["failed", "failed", "2", "0"])
        self.assertIn(sentence, self.status())

    def test_a_missing_model_is_final_and_its_error_is_in_the_status(self):
        self.environment.write_text(settings(SDAR_MODEL="/srv/models/no-such-model"))
        self.check_final("/srv/models/no-such-model")

    def test_a_bad_flag_is_final_and_its_error_is_in_the_status(self):
        self.environment.write_text(settings(SDAR_SERVE_OPTIONS="--no-such-flag"))
        self.check_final("no-such-flag")


if __name__ == "__main__":
    real_parts.main("podman", "runc")
