# SPDX-License-Identifier: Apache-2.0
"""The values of docs/kubernetes.md: each platform's page is short, and the chart renders what it says."""

import json
import re
import unittest

import yaml

import chart
from chart_schema_test import validate

PAGE = (chart.ROOT / "docs/kubernetes.md").read_text()
PLATFORMS = ("OpenShift", "IPv6-only clusters", "Service meshes", "GitOps", "Kueue")


def section(title):
    return re.search(rf"(?ms)^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE).group(1).strip()


def values_of(title):
    (block,) = re.findall(r"(?ms)^```yaml\n(.*?)^```$", section(title))
    return chart.merged(chart.MODES["cpu on one node"], yaml.safe_load(block))


def pods_of(title):
    templates = chart.pod_templates(chart.rendered(values_of(title)))
    return {role: template for role, template in templates.items() if role != "test"}


class Pages(unittest.TestCase):
    def test_each_has_at_most_twenty_lines(self):
        for title in PLATFORMS:
            with self.subTest(title):
                self.assertLessEqual(len(section(title).splitlines()), 20)

    def test_helm_takes_the_values_of_each_and_every_object_fits_its_schema(self):
        for title in PLATFORMS:
            with self.subTest(title):
                result = chart.helm("lint", values_of(title), arguments=["--strict"])
                self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
                for thing in chart.rendered(values_of(title)):
                    validate(thing)

    def test_values_that_it_names_are_values_of_the_chart(self):
        schema = json.loads((chart.CHART / "values.schema.json").read_text())
        for path in re.findall(r"`([a-z][A-Za-z]+(?:\.[A-Za-z]+)+)(?:=[^`]*)?`", PAGE):
            node = schema
            for key in path.split("."):
                self.assertIn(key, node["properties"].keys(), path)
                node = node["properties"][key]
                node = schema["definitions"][node["$ref"].split("/")[-1]] if "$ref" in node else node

    def test_what_is_linked_is_there(self):
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", PAGE):
            self.assertTrue((chart.ROOT / "docs" / target).exists(), target)

    def test_arguments_that_it_shows_are_taken(self):
        arguments = [a.split(" ", 1)[1].strip("'") for a in re.findall(r"(?m)^ +(--set .*)$", PAGE)]
        self.assertGreaterEqual(len(arguments), 2)
        mode = chart.MODES["several nodes"]
        line = [part for argument in arguments for part in ("--set", argument)]
        result = chart.helm("template", mode, arguments=line)
        self.assertEqual(result.returncode, 0, result.stderr)
        objects = [o for o in yaml.safe_load_all(result.stdout) if o]
        box = chart.container(chart.pod_templates(objects)["worker"])
        self.assertIn("IPC_LOCK", box["securityContext"]["capabilities"]["add"])


class OpenShift(unittest.TestCase):
    def test_the_user_is_left_to_the_namespace(self):
        for template in pods_of("OpenShift").values():
            self.assertFalse({"runAsUser", "runAsGroup", "fsGroup"} & set(template["spec"]["securityContext"]))
            self.assertIs(template["spec"]["securityContext"]["runAsNonRoot"], True)

    def test_its_router_its_dns_and_its_monitoring_pass_the_policy(self):
        policy = chart.only(chart.rendered(values_of("OpenShift")), "NetworkPolicy")["spec"]
        clients, metrics = policy["ingress"][:2]
        router = {"policy-group.network.openshift.io/ingress": ""}
        self.assertIn({"namespaceSelector": {"matchLabels": router}}, clients["from"])
        self.assertIn("openshift-user-workload-monitoring", json.dumps(metrics["from"]))
        self.assertIn({"port": 5353, "protocol": "UDP"}, policy["egress"][0]["ports"])

    def test_keda_shows_a_token_to_thanos(self):
        trigger = chart.only(chart.rendered(chart.MODES["keda of groups"]), "ScaledObject")["spec"]["triggers"][0]
        self.assertEqual(trigger["authenticationRef"], {"name": "given-token"})
        self.assertEqual(trigger["metadata"]["authModes"], "bearer")
        plain = chart.only(chart.rendered(chart.MODES["keda"]), "ScaledObject")["spec"]["triggers"][0]
        self.assertNotIn("authenticationRef", plain)
        self.assertNotIn("authModes", plain["metadata"])


class Ipv6(unittest.TestCase):
    def test_every_port_is_on_addresses_of_both_kinds(self):
        (leader,) = pods_of("IPv6-only clusters").values()
        self.assertEqual((chart.flag(leader, "host"), chart.flag(leader, "admin-host")), ("::", "::"))


class Meshes(unittest.TestCase):
    def test_a_proxy_lives_as_long_as_a_drain(self):
        (leader,) = pods_of("Service meshes").values()
        annotations = leader["metadata"]["annotations"]
        drain = int(chart.flag(leader, "drain-delay")) + int(chart.flag(leader, "drain-timeout"))
        istio = int(json.loads(annotations["proxy.istio.io/config"])["terminationDrainDuration"].rstrip("s"))
        linkerd = int(annotations["config.alpha.linkerd.io/proxy-wait-before-exit-seconds"])
        for proxy in (istio, linkerd):
            self.assertTrue(drain < proxy < leader["spec"]["terminationGracePeriodSeconds"])

    def test_the_tunnel_of_the_ambient_mode_passes_the_policy(self):
        policy = chart.only(chart.rendered(values_of("Service meshes")), "NetworkPolicy")["spec"]
        self.assertIn({"ports": [{"port": 15008, "protocol": "TCP"}]}, policy["ingress"])


class GitOps(unittest.TestCase):
    def test_two_renderings_are_the_same_and_hold_no_secret(self):
        texts = {chart.helm("template", values_of("GitOps")).stdout for _ in range(2)}
        self.assertEqual(len(texts), 1)
        self.assertFalse(chart.of_kind(chart.rendered(values_of("GitOps")), "Secret"))


class Kueue(unittest.TestCase):
    def test_the_queue_is_a_label_of_the_group_and_not_of_its_pods(self):
        label = "kueue.x-k8s.io/queue-name"
        group = chart.only(chart.rendered(values_of("Kueue")), "LeaderWorkerSet")
        self.assertEqual(group["metadata"]["labels"][label], "gpus")
        for template in pods_of("Kueue").values():
            self.assertNotIn(label, template["metadata"]["labels"])
        self.assertEqual(group["spec"]["leaderWorkerTemplate"]["restartPolicy"], "RecreateGroupAfterStart")

    def test_the_first_pod_waits_as_long_as_the_page_says(self):
        self.assertIn(f"for up to {chart.flag(pods_of('Kueue')['leader'], 'peer-timeout')} s", section("Kueue"))


if __name__ == "__main__":
    unittest.main()
