# SPDX-License-Identifier: Apache-2.0
"""Times and numbers of the chart add up."""

import re
import unittest

import chart


class Times(unittest.TestCase):
    def test_each_time_of_a_stop_is_longer_than_the_one_inside_it(self):
        for seconds, delay in ((1, 0), (30, 5), (120, 10), (86400, 3600)):
            for mode, nodes in (("cpu on one node", 1), ("several nodes", 2)):
                values = chart.merged(chart.MODES[mode], {"drain": {"timeoutSeconds": seconds, "delaySeconds": delay}})
                templates = chart.pod_templates(chart.rendered(values))
                leader = templates["leader"]
                grace = leader["spec"]["terminationGracePeriodSeconds"]
                stop = int(chart.flag(leader, "stop-timeout"))
                with self.subTest(f"{delay} s and {seconds} s on {nodes}"):
                    self.assertEqual(int(chart.flag(leader, "drain-delay")), delay)
                    self.assertEqual(int(chart.flag(leader, "drain-timeout")), seconds)
                    self.assertGreater(stop, delay + seconds + 10)  # the server's own bound of a drain
                    self.assertGreater(grace, stop)
                    self.assertNotIn("lifecycle", chart.container(leader))
                    if nodes > 1:
                        worker = templates["worker"]
                        self.assertEqual(worker["spec"]["terminationGracePeriodSeconds"], grace)
                        self.assertGreater(int(chart.flag(worker, "grace")), stop)
                        self.assertLess(int(chart.flag(worker, "grace")), grace)

    def test_probes_allow_at_least_the_budgets(self):
        for startup, liveness in ((1800, 300), (15, 31)):
            values = chart.merged(chart.MODES["several nodes"], {
                "probes": {"startupBudgetSeconds": startup, "livenessBudgetSeconds": liveness}})
            leader = chart.pod_templates(chart.rendered(values))["leader"]
            for name, budget in (("startupProbe", startup), ("livenessProbe", liveness)):
                probe = chart.container(leader)[name]
                self.assertGreaterEqual(probe["failureThreshold"] * probe["periodSeconds"], budget)
            self.assertTrue(0 < int(chart.flag(leader, "peer-timeout")) < startup)

    def test_a_rollout_may_take_a_drain_and_a_start(self):
        deployment = chart.only(chart.rendered(chart.MODES["cpu on one node"]), "Deployment")
        pod = deployment["spec"]["template"]
        self.assertGreater(deployment["spec"]["progressDeadlineSeconds"],
                           1800 + pod["spec"]["terminationGracePeriodSeconds"])

    def test_the_test_waits_for_a_drain_and_a_start_and_ends_itself_before_its_deadline(self):
        for values in ({}, {"probes": {"startupBudgetSeconds": 7200}, "drain": {"timeoutSeconds": 3600}}):
            templates = chart.pod_templates(chart.rendered(chart.merged(chart.MODES["cpu on one node"], values)))
            budget = values.get("probes", {}).get("startupBudgetSeconds", 1800)
            waits = int(re.search(r"-ge (\d+)", chart.container(templates["test"])["args"][0]).group(1))
            self.assertGreaterEqual(waits, budget + templates["leader"]["spec"]["terminationGracePeriodSeconds"])
            self.assertGreater(templates["test"]["spec"]["activeDeadlineSeconds"], waits + 600)

    def test_pods_leave_a_lost_node_soon_unless_the_user_says_when(self):
        lost = {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}
        for given, seconds in (([], 60), ([{"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}
                                           for key in lost], 5)):
            values = chart.merged(chart.MODES["several nodes"], {"tolerations": given})
            for role in ("leader", "worker"):
                tolerations = chart.pod_templates(chart.rendered(values))[role]["spec"]["tolerations"]
                self.assertEqual({t["key"] for t in tolerations}, lost)
                self.assertEqual([(t["effect"], t["tolerationSeconds"]) for t in tolerations], [("NoExecute", seconds)] * 2)


class Numbers(unittest.TestCase):
    def test_a_budget_lets_one_pod_go_whatever_the_number_of_copies(self):
        for mode in ("cpu on one node", "several nodes", "several groups", "hpa of groups"):
            with self.subTest(mode):
                budget = chart.only(chart.rendered(chart.MODES[mode]), "PodDisruptionBudget")["spec"]
                self.assertEqual(budget["maxUnavailable"], 1)
                self.assertNotIn("minAvailable", budget)
                self.assertEqual(budget["unhealthyPodEvictionPolicy"], "AlwaysAllow")
        wished = chart.only(chart.rendered(chart.MODES["every wish for pods"]), "PodDisruptionBudget")["spec"]
        self.assertEqual(wished["maxUnavailable"], "50%")

    def test_there_is_a_rank_for_each_gpu_or_as_many_as_asked_for(self):
        for mode, name, ranks in (("cpu on one node", "ranks", 1), ("gpus on one node", "ranks", 4),
                                  ("several nodes", "lws-slots", 8), ("several nodes without gpus", "lws-slots", 2)):
            with self.subTest(mode):
                self.assertEqual(int(chart.flag(chart.pod_templates(chart.rendered(chart.MODES[mode]))["leader"], name)), ranks)

    def test_requests_are_the_limits_unless_said_otherwise(self):
        for mode, values, _, template in chart.pods():
            if mode.endswith(": test"):
                continue
            with self.subTest(mode):
                resources = chart.container(template)["resources"]
                differ = set(values.get("resources", {}).get("requests", {}))
                self.assertEqual({n for n, v in resources["requests"].items() if v != resources["limits"][n]}, differ)
                self.assertEqual(int(resources["limits"].get("nvidia.com/gpu", 0)), values.get("gpu", {}).get("count", 0))
                self.assertEqual(int(resources["limits"].get("rdma/hca", 0)), 1 if "rdma" in values else 0)

    def test_resources_are_numbers_or_texts_and_may_differ(self):
        template = chart.pod_templates(chart.rendered(chart.MODES["every wish for pods"]))["worker"]
        self.assertEqual(chart.container(template)["resources"], {
            "requests": {"cpu": "0.5", "memory": "16Gi", "ephemeral-storage": "10Gi", "hugepages-2Mi": "1Gi", "nvidia.com/gpu": "8"},
            "limits": {"cpu": "32", "memory": "16Gi", "ephemeral-storage": "10Gi", "hugepages-2Mi": "1Gi", "nvidia.com/gpu": "8"}})
        values = {"resources": {"cpu": "", "memory": 17179869184, "requests": {"cpu": 0}}}
        template = chart.pod_templates(chart.rendered(chart.merged(chart.MODES["cpu on one node"], values)))["leader"]
        self.assertEqual(chart.container(template)["resources"], {
            "requests": {"cpu": "0", "memory": "17179869184"}, "limits": {"memory": "17179869184"}})

    def test_a_rollout_needs_no_spare_gpus_or_causes_no_outage(self):
        for rollout, expected in (({}, (0, 1)), ({"maxSurge": 1}, (1, 0)), ({"maxSurge": "25%"}, ("25%", 0)),
                                  ({"maxSurge": "2", "maxUnavailable": "50%"}, (2, "50%"))):
            for mode in ("gpus on one node", "several groups"):
                objects = chart.rendered(chart.merged(chart.MODES[mode], {"rollout": rollout}))
                with self.subTest(f"{mode}: {rollout}"):
                    if mode == "several groups":
                        found = chart.only(objects, "LeaderWorkerSet")["spec"]["rolloutStrategy"]["rollingUpdateConfiguration"]
                    else:
                        found = chart.only(objects, "Deployment")["spec"]["strategy"]["rollingUpdate"]
                    self.assertEqual((found["maxSurge"], found["maxUnavailable"]), expected)


class Devices(unittest.TestCase):
    def test_the_server_computes_on_the_gpus_that_its_pod_has(self):
        for mode, values, _, template in chart.pods():
            if not mode.endswith(": leader"):
                continue
            with self.subTest(mode):
                gpus = values.get("gpu", {}).get("count", 0) > 0
                self.assertEqual(chart.flag(template, "device"), "cuda" if gpus else "cpu")
                given = values.get("server", {}).get("kvMemory")
                self.assertEqual(chart.flag(template, "kv-memory"), given or ("0.85" if gpus else None))

    def test_pods_without_gpus_see_none(self):
        for mode, values, _, template in chart.pods():
            gpus = values.get("gpu", {}).get("count", 0) > 0 and not mode.endswith(": test")
            with self.subTest(mode):
                self.assertEqual(chart.environment(template).get("NVIDIA_VISIBLE_DEVICES"), None if gpus else "void")

    def test_the_server_finds_the_number_of_threads_itself(self):
        for mode, _, _, template in chart.pods():
            with self.subTest(mode):
                self.assertIsNone(chart.flag(template, "threads"))


if __name__ == "__main__":
    unittest.main()
