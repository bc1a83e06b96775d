# SPDX-License-Identifier: Apache-2.0
"""What the chart promises of several pods that are one copy of a model."""

import json
import unittest

import chart


class Groups(unittest.TestCase):
    def setUp(self):
        self.objects = chart.rendered(chart.MODES["several groups"])
        self.group = chart.only(self.objects, "LeaderWorkerSet")

    def test_workers_do_not_wait_for_the_leader_and_a_lost_pod_takes_its_group(self):
        self.assertEqual(self.group["spec"]["startupPolicy"], "LeaderCreated")
        template = self.group["spec"]["leaderWorkerTemplate"]
        self.assertEqual((template["size"], template["restartPolicy"]), (2, "RecreateGroupOnPodRestart"))

    def test_one_node_needs_no_ssh(self):
        template = chart.pod_templates(chart.rendered(chart.MODES["gpus on one node"]))["leader"]
        self.assertNotIn("ssh", json.dumps(template))

    def test_workers_are_probed_at_their_ssh_server_only(self):
        worker = chart.container(chart.pod_templates(self.objects)["worker"])
        self.assertEqual(worker["readinessProbe"]["tcpSocket"], {"port": "ssh"})
        self.assertNotIn("livenessProbe", worker)
        self.assertNotIn("startupProbe", worker)
        self.assertNotIn("lifecycle", worker)

    def test_pods_of_a_group_find_each_other_by_plain_names(self):
        for role in ("leader", "worker"):
            dns = chart.pod_templates(self.objects)[role]["spec"]["dnsConfig"]
            self.assertEqual(dns["searches"], [f"{self.group['metadata']['name']}.models.svc.cluster.local"])

    def test_ranks_on_other_pods_get_the_environment(self):
        objects = chart.rendered(chart.MODES["every wish for pods"])
        leader = chart.container(chart.pod_templates(objects)["leader"])
        forwarded = {a.split("=")[1] for a in leader["args"] if a.startswith("--env=")}
        self.assertEqual(forwarded, {e["name"] for e in leader["env"]})
        rdma = chart.container(chart.pod_templates(chart.rendered(chart.MODES["rdma"]))["leader"])
        self.assertLessEqual({"--env=NCCL_IB_HCA", "--env=NCCL_SOCKET_IFNAME"}, set(rdma["args"]))

    def test_a_group_can_be_tied_to_a_rack(self):
        self.assertEqual(self.group["metadata"]["annotations"]["leaderworkerset.sigs.k8s.io/exclusive-topology"],
                         "topology.example.org/rack")

    def test_the_policy_lets_a_group_talk_and_strangers_reach_client_ports_only(self):
        policy = chart.only(self.objects, "NetworkPolicy")["spec"]
        self.assertEqual(policy["policyTypes"], ["Ingress", "Egress"])
        unlimited = [rule for rule in policy["ingress"] if "ports" not in rule]
        self.assertEqual([rule["from"] for rule in unlimited], [[{"podSelector": policy["podSelector"]}]])
        self.assertIn({"to": [{"podSelector": policy["podSelector"]}]}, policy["egress"])
        alone = chart.only(chart.rendered(chart.MODES["cpu on one node"]), "NetworkPolicy")["spec"]
        self.assertFalse([rule for rule in alone["ingress"] if "ports" not in rule])

    def test_the_policy_lets_the_test_pod_in(self):
        policy = chart.only(chart.rendered(chart.MODES["every wish for pods"]), "NetworkPolicy")["spec"]
        labels = chart.pod_templates(self.objects)["test"]["metadata"]["labels"]
        peers = [p for p in policy["ingress"][0]["from"] if "podSelector" in p]
        self.assertTrue(any(chart.selects(p["podSelector"], labels) for p in peers))

    def test_the_policy_lets_pods_ask_dns(self):
        policy = chart.only(self.objects, "NetworkPolicy")["spec"]
        self.assertIn({"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}, policy["egress"])

    @unittest.skipUnless(shutil.which("ssh-keygen"), "there is no ssh-keygen")
    def test_ssh_reads_the_key_that_the_chart_makes(self):
        secret = next(o for o in chart.of_kind(self.objects, "Secret") if o["type"] == "kubernetes.io/ssh-auth")
        with tempfile.TemporaryDirectory() as folder:
            key = pathlib.Path(folder) / "key"
            key.touch(mode=0o600)
            key.write_bytes(base64.b64decode(secret["data"]["ssh-privatekey"]))
            public = subprocess.run(["ssh-keygen", "-y", "-f", key], capture_output=True, text=True, check=True).stdout
        self.assertTrue(public.startswith("ecdsa-sha2-nistp256 "), public)


if __name__ == "__main__":
    unittest.main()
