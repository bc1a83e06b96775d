# SPDX-License-Identifier: Apache-2.0
"""The key that the chart makes for ssh, in a cluster, in a new one and in none."""

import base64
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import yaml

import chart
import fake_cluster

GROUP = {"model": {"existingClaim": "given-model"}, "nodes": 2}


class SshKey(unittest.TestCase):
    def setUp(self):
        self.cluster = fake_cluster.FakeCluster()
        self.addCleanup(self.cluster.close)

    def add_namespace(self):
        self.cluster.add(chart.NAMESPACE, "ConfigMap", "kube-root-ca.crt", data={})

    def install(self, *values):
        """The objects, as `helm install` or `helm upgrade` would render them in this cluster."""
        result = chart.helm("template", chart.merged(GROUP, *values), arguments=self.cluster.arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        return [o for o in yaml.safe_load_all(result.stdout) if o]

    def key(self, objects):
        (secret,) = [o for o in chart.of_kind(objects, "Secret") if o["type"] == "kubernetes.io/ssh-auth"]
        return secret["data"]["ssh-privatekey"]

    @unittest.skipUnless(shutil.which("ssh-keygen"), "there is no ssh-keygen")
    def test_an_installation_makes_a_key_that_ssh_reads(self):
        self.add_namespace()
        with tempfile.TemporaryDirectory() as folder:
            key = pathlib.Path(folder) / "key"
            key.touch(mode=0o600)
            key.write_bytes(base64.b64decode(self.key(self.install())))
            public = subprocess.run(["ssh-keygen", "-y", "-f", key], capture_output=True, text=True, check=True).stdout
        self.assertTrue(public.startswith("ecdsa-sha2-nistp256 "), public)

    def test_an_upgrade_keeps_the_key_and_starts_no_pod_anew(self):
        self.add_namespace()
        first = self.install()
        self.cluster.add(chart.NAMESPACE, "Secret", "chat-sdar-ssh", data={"ssh-privatekey": self.key(first)})
        second = self.install()
        self.assertEqual(self.key(second), self.key(first))
        self.assertEqual(second, first)

    def test_a_key_of_the_user_is_neither_made_nor_looked_for(self):
        objects = self.install({"ssh": {"existingSecret": "given-ssh"}})
        self.assertFalse(chart.of_kind(objects, "Secret"))
        self.assertEqual(self.cluster.asked, [])

    def test_no_key_is_made_where_none_could_be_kept(self):
        missing = chart.helm("template", GROUP, arguments=self.cluster.arguments)
        self.assertIn("no namespace models is to be seen", missing.stderr)
        self.assertIn("create the namespace first", missing.stderr)
        self.assertIn("With `helm template` or Argo CD: set ssh.existingSecret", chart.refusal(GROUP))

    def test_without_a_cluster_a_given_key_is_enough_and_every_rendering_is_the_same(self):
        values = chart.merged(GROUP, {"ssh": {"existingSecret": "given-ssh"}})
        texts = {chart.helm("template", values).stdout for _ in range(2)}
        self.assertEqual(len(texts), 1)
        self.assertNotIn("", texts)

    def test_one_node_looks_for_no_key(self):
        self.install({"nodes": 1})
        self.assertFalse([path for path in self.cluster.asked if "/secrets/" in path])


if __name__ == "__main__":
    unittest.main()
