# SPDX-License-Identifier: Apache-2.0
"""The image that podman makes from the Dockerfile. The programs were built before; they stand in for the stage build-cpu."""

import re
import shutil
import subprocess

import podman
import real_parts
from real_parts import BIN, FOLDER, IMAGE, ROOT

DOCKERFILE = (ROOT / "deploy/docker/Dockerfile").read_text()


class Image(real_parts.CleanTest):
    """Made once; the other parts use it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        podman.base_image()
        programs = FOLDER / "context/programs"
        shutil.rmtree(programs, ignore_errors=True)
        programs.mkdir(parents=True)
        built = [*BIN.glob("sdar-*"), BIN / "libsdar_loopback.so"]
        subprocess.run(["install", "-m", "755", "--strip", *built, programs], check=True)
        cls.output = podman.build_image(FOLDER / "context", "--build-arg", "REVISION=abc")
        cls.settings = podman.inspect(IMAGE, "image")

    def in_image(self, *command, **options):
        return podman.podman("run", "--rm", "--network", "none", "--read-only", "--entrypoint", command[0], IMAGE,
                             *command[1:], **options)

    def test_podman_visits_no_stage_of_another_backend(self):
        self.assertNotIn("cuda", self.output)
        self.assertIn("AS cpu", self.output)

    def test_it_is_labelled(self):
        labels = self.settings["Labels"]
        version = re.search(r"project\(sdar VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text()).group(1)
        expected = {"title": "SDAR", "licenses": "Apache-2.0", "version": version, "revision": "abc",
                    "base.name": "debian:bookworm-slim"}
        for name, value in expected.items():
            self.assertEqual(labels[f"org.opencontainers.image.{name}"], value)

    def test_its_user_is_a_number_and_can_log_in(self):
        self.assertEqual(self.settings["User"], "10001:10001")
        self.assertEqual(self.in_image("/usr/bin/id", "-un").strip(), "sdar")
        self.assertEqual(self.in_image("/bin/bash", "-c", "cd; pwd").strip(), "/home/sdar")

    def test_it_asks_the_runtime_for_no_gpu(self):
        self.assertFalse([v for v in self.settings["Config"]["Env"] if v.startswith("NVIDIA")])

    def test_it_holds_every_program_and_file_and_no_keys(self):
        listing = self.in_image("/usr/bin/find", "/usr/local", "/etc/ssh", "/install", check=False)
        for path in (BIN / "sdar-serve", BIN / "sdar-launch", BIN / "sdar-client", BIN / "libsdar_loopback.so"):
            self.assertIn(f"/usr/local/bin/{path.name}\n", listing)
        for name in ("worker.sh", "known_hosts.sh", "ssh_config"):
            self.assertIn(f"/usr/local/lib/sdar/{name}\n", listing)
        self.assertNotIn("ssh_host_", listing)
        self.assertNotIn("/install", listing)

    def test_every_program_finds_its_libraries(self):
        missing = self.in_image("/bin/bash", "-c", "ldd /usr/local/bin/sdar-* | grep 'not found' || true")
        self.assertEqual(missing, "")
        self.assertIn("sdar-launch", self.in_image("/usr/local/bin/sdar-launch", "--version"))

    def test_two_ranks_answer_with_a_read_only_root(self):
        question = '{"id": "a", "prompt": "The capital of", "max_tokens": 4, "temperature": 0}'
        podman_run = ["run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL", "--tmpfs", "/tmp:mode=1777",
                      "--volume", f"{real_parts.MODEL}:/model:ro", "--entrypoint", "/bin/bash", IMAGE, "-c"]
        answer = podman.podman(*podman_run, f"echo '{question}' > /tmp/in && mpirun -n 2 --oversubscribe --bind-to none "
                               "sdar-generate --model=/model --input=/tmp/in --output=/tmp/out --threads=1 >&2 && cat /tmp/out")
        self.assertIn('"id":"a"', answer.replace(" ", ""))

    def test_a_build_that_lacks_programs_fails(self):
        (FOLDER / "empty").mkdir(exist_ok=True)
        with self.assertRaisesRegex(AssertionError, "programs"):
            podman.build_image(FOLDER / "empty")


if __name__ == "__main__":
    real_parts.main("podman", "runc", "iptables", "mmdebstrap")
