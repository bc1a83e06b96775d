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

    def test_what_happens_to_a_group_with_a_lost_pod_can_be_chosen(self):
        group = chart.only(chart.rendered(chart.MODES["every wish for pods"]), "LeaderWorkerSet")
        self.assertEqual(group["spec"]["leaderWorkerTemplate"]["restartPolicy"], "RecreateGroupAfterStart")
        older = {"leaderworkerset.sigs.k8s.io/experimental-recreate-group-after-start": True}
        values = chart.merged(chart.MODES["several groups"], {"workloadAnnotations": older})
        annotations = chart.only(chart.rendered(values), "LeaderWorkerSet")["metadata"]["annotations"]
        self.assertEqual(annotations, {
            "leaderworkerset.sigs.k8s.io/exclusive-topology": "topology.example.org/rack",
            "leaderworkerset.sigs.k8s.io/experimental-recreate-group-after-start": "true"})

    def test_a_final_error_stays_readable(self):
        for mode, _, _, template in chart.pods():
            with self.subTest(mode):
                for box in chart.containers(template):
                    self.assertEqual(box["terminationMessagePolicy"], "FallbackToLogsOnError")
                if mode.endswith(": leader"):
                    pause = chart.flag(template, "failure-pause")
                    self.assertEqual(pause, "60" if chart.flag(template, "lws-slots") else None)

    def test_the_leader_gives_up_on_its_peers_when_it_is_told_to(self):
        values = chart.merged(chart.MODES["several nodes"], {"launcher": {"peerTimeoutSeconds": 1700, "failurePauseSeconds": 5}})
        leader = chart.pod_templates(chart.rendered(values))["leader"]
        self.assertEqual(chart.flag(leader, "peer-timeout"), "1700")
        self.assertEqual(chart.flag(leader, "failure-pause"), "5")

    def test_no_proxy_of_a_service_mesh_gets_between_pods_of_a_group(self):
        for role in ("leader", "worker"):
            metadata = chart.pod_templates(self.objects)[role]["metadata"]
            self.assertEqual(metadata["labels"]["sidecar.istio.io/inject"], "false")
            self.assertEqual(metadata["labels"]["istio.io/dataplane-mode"], "none")
            self.assertEqual(metadata["annotations"]["linkerd.io/inject"], "disabled")

    def test_pods_see_a_new_key_in_the_secret(self):
        for role in ("leader", "worker"):
            mount = next(m for m in chart.container(chart.pod_templates(self.objects)[role])["volumeMounts"] if m["name"] == "ssh")
            self.assertNotIn("subPath", mount)  # a single file would stay as it was

    def test_one_node_needs_no_ssh(self):
        template = chart.pod_templates(chart.rendered(chart.MODES["gpus on one node"]))["leader"]
        self.assertNotIn("ssh", json.dumps(template))
        for name in ("peer-timeout", "failure-pause"):
            self.assertIsNone(chart.flag(template, name))

    def test_workers_are_probed_at_their_ssh_server_only(self):
        worker = chart.container(chart.pod_templates(self.objects)["worker"])
        self.assertEqual(worker["readinessProbe"]["tcpSocket"], {"port": "ssh"})
        self.assertNotIn("livenessProbe", worker)
        self.assertNotIn("startupProbe", worker)
        self.assertNotIn("lifecycle", worker)

    def test_pods_of_a_group_need_no_name_of_the_clusters_domain(self):
        self.assertNotIn("dnsConfig", json.dumps(self.objects))
        self.assertNotIn("cluster.local", json.dumps(self.objects))

    def test_ranks_on_other_pods_get_the_environment(self):
        objects = chart.rendered(chart.MODES["every wish for pods"])
        leader = chart.container(chart.pod_templates(objects)["leader"])
        forwarded = {a.split("=")[1] for a in leader["args"] if a.startswith("--env=")}
        self.assertEqual(forwarded, {e["name"] for e in leader["env"]} - {"HOME"})
        alone = chart.pod_templates(chart.rendered(chart.MODES["several nodes without gpus"]))["leader"]
        self.assertEqual([a for a in chart.container(alone)["args"] if a.startswith("--env=")], [])

    def test_traffic_between_pods_keeps_to_the_interfaces_that_are_named(self):
        expected = {"OMPI_MCA_btl_tcp_if_include": "eth0,eth1", "OMPI_MCA_oob_tcp_if_include": "eth0,eth1",
                    "NCCL_SOCKET_IFNAME": "=eth0,eth1", "NCCL_IB_HCA": "mlx5"}
        templates = chart.pod_templates(chart.rendered(chart.MODES["rdma"]))
        for role in ("leader", "worker"):
            self.assertEqual(chart.environment(templates[role]), {**expected, "HOME": "/home/sdar"})
        self.assertLessEqual({f"--env={name}" for name in expected}, set(chart.container(templates["leader"])["args"]))

    def test_a_variable_of_the_user_stands_in_for_the_charts(self):
        given = [{"name": "NCCL_SOCKET_IFNAME", "value": "ib0"}, {"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}]
        values = chart.merged(chart.MODES["several nodes without gpus"], {"network": {"interface": "eth0"}, "extraEnv": given})
        worker = chart.pod_templates(chart.rendered(values))["worker"]
        self.assertEqual(len(chart.environment(worker)), len(chart.container(worker)["env"]))
        self.assertEqual(chart.environment(worker)["NCCL_SOCKET_IFNAME"], "ib0")
        self.assertEqual(chart.environment(worker)["NVIDIA_VISIBLE_DEVICES"], "all")

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
        ports = {(p["port"], p["protocol"]) for rule in policy["egress"] if "to" not in rule for p in rule["ports"]}
        self.assertEqual(ports, {(number, protocol) for number in (53, 5353) for protocol in ("UDP", "TCP")})

    def test_the_policy_has_the_rules_of_the_user(self):
        policy = chart.only(chart.rendered(chart.MODES["every wish for pods"]), "NetworkPolicy")["spec"]
        self.assertIn({"ports": [{"port": 15008, "protocol": "TCP"}]}, policy["ingress"])
        self.assertIn({"ports": [{"port": 4318, "protocol": "TCP"}]}, policy["egress"])


if __name__ == "__main__":
    unittest.main()
