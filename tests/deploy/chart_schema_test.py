# SPDX-License-Identifier: Apache-2.0
"""Every object of every mode is what its kind's schema allows, and wrong values are refused."""

import json
import pathlib
import unittest

import jsonschema
import kubernetes_validate
import yaml

import chart

KUBERNETES = "1.31"
CUSTOM = {
    kind: json.loads((pathlib.Path(__file__).parent / "schemas" / f"{kind.lower()}.json").read_text())
    for kind in ("LeaderWorkerSet", "ServiceMonitor", "ScaledObject", "HTTPRoute", "GRPCRoute", "InferencePool")
}


def validate(thing):
    """Checks an object against its kind's schema, in which no unknown field passes."""
    if thing["kind"] in CUSTOM:
        jsonschema.Draft7Validator(CUSTOM[thing["kind"]]).validate(thing)
    else:
        kubernetes_validate.validate(thing, KUBERNETES, strict=True)


class RenderedObjects(unittest.TestCase):
    def test_helm_lint_finds_nothing_in_any_mode(self):
        for mode, values in chart.MODES.items():
            with self.subTest(mode):
                result = chart.helm("lint", values, arguments=["--strict"])
                self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_every_object_fits_the_schema_of_its_kind(self):
        for mode, values in chart.MODES.items():
            for thing in chart.rendered(values):
                with self.subTest(f"{mode}: {thing['kind']} {thing['metadata']['name']}"):
                    validate(thing)

    def test_pod_templates_of_a_leader_worker_set_fit_the_schema_of_pod_templates(self):
        for mode, values in chart.MODES.items():
            objects = chart.rendered(values)
            if not chart.of_kind(objects, "LeaderWorkerSet"):
                continue
            for role in ("leader", "worker"):
                with self.subTest(f"{mode}: {role}"):
                    template = chart.pod_templates(objects)[role]
                    metadata = {"name": "checked"}
                    validate({"apiVersion": "v1", "kind": "PodTemplate", "metadata": metadata, "template": template})
                    validate({"apiVersion": "v1", "kind": "Pod", **template, "metadata": {**template["metadata"], **metadata}})

    def test_the_checks_themselves_see_a_misspelt_field(self):
        for mode, kind in (("cpu on one node", "Deployment"), ("several nodes", "LeaderWorkerSet"),
                           ("monitoring", "ServiceMonitor"), ("keda", "ScaledObject"), ("ingress", "Ingress"),
                           ("routes", "HTTPRoute"), ("routes", "GRPCRoute"), ("inference pool", "InferencePool")):
            with self.subTest(kind):
                thing = json.loads(json.dumps(chart.only(chart.rendered(chart.MODES[mode]), kind)))
                thing["spec"]["replicaz"] = 1
                with self.assertRaises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
                    validate(thing)


class RefusedValues(unittest.TestCase):
    def refused(self, message, *values):
        text = chart.refusal(chart.merged({"model": {"existingClaim": "given-model"}}, *values))
        self.assertIn(message, text)

    def test_a_model_is_wanted_and_only_one(self):
        wanted = "set exactly one of model.existingClaim"
        self.refused(wanted, {"model": {"existingClaim": ""}})
        self.refused(wanted, {"model": {"hostPath": "/srv/models"}})
        self.refused(wanted, {"model": {"source": {"emptyDir": {}}}})
        self.refused("an emptyDir, which nothing fills", {"model": {"existingClaim": "", "source": {"emptyDir": {}}}})

    def test_unknown_values_are_named(self):
        self.refused("Additional property replicaz is not allowed", {"replicaz": 2})
        self.refused("Additional property timeout is not allowed", {"drain": {"timeout": 2}})
        self.refused("Additional property secret is not allowed", {"tls": {"secret": "x"}})

    def test_every_map_of_the_schema_says_what_it_may_hold(self):
        schema = json.loads((chart.CHART / "values.schema.json").read_text())
        free = {"global", "valueFrom", "nodeAffinity", "podAffinity", "podAntiAffinity", "objects", "namedObjects",
                "source", "podSecurityContext", "securityContext"}

        def check(node, path):
            if isinstance(node, list):
                for member in node:
                    check(member, path)
            elif isinstance(node, dict):
                if node.get("type") == "object" and not free & set(path):
                    self.assertIn("additionalProperties", node, "/".join(path))
                for key, member in node.items():
                    check(member, path + [key])

        check(schema, [])

    def test_every_value_has_a_place_in_the_schema_and_the_other_way_round(self):
        schema = json.loads((chart.CHART / "values.schema.json").read_text())
        values = yaml.safe_load((chart.CHART / "values.yaml").read_text())

        def check(node, value, path):
            known = set(node.get("properties", {})) - {"global"}
            if not known or not isinstance(value, dict) or path == "affinity":
                return
            self.assertEqual(known, set(value), path)
            for key in known:
                check(node["properties"][key], value[key], key)

        check(schema, values, "values")

    def test_every_value_has_a_comment_which_it_may_share_with_its_neighbours(self):
        explained = False
        for line in (chart.CHART / "values.yaml").read_text().splitlines():
            if not line.strip():
                explained = False
            elif line.lstrip().startswith("#"):
                explained = True
            elif not explained and not line.endswith(":") and not line.lstrip().startswith("- "):
                self.fail(f"no comment explains the value {line.strip()}")

    def test_numbers_out_of_range_are_refused(self):
        self.refused("nodes: Must be greater than or equal to 1", {"nodes": 0})
        self.refused("gpu.count: Must be greater than or equal to 0", {"gpu": {"count": -1}})
        self.refused("drain.timeoutSeconds: Must be greater than or equal to 1", {"drain": {"timeoutSeconds": 0}})
        self.refused("service.grpcPort: Must be less than or equal to 65535", {"service": {"grpcPort": 70000}})
        self.refused("scaleDownStabilizationSeconds: Must be less than or equal to 3600",
                     {"autoscaling": {"scaleDownStabilizationSeconds": 7200}})

    def test_words_that_are_none_of_the_choices_are_refused(self):
        self.refused("server.device must be one of the following", {"server": {"device": "tpu"}})
        self.refused("autoscaling.kind must be one of the following", {"autoscaling": {"kind": "both"}})
        self.refused("image.pullPolicy must be one of the following", {"image": {"pullPolicy": "Sometimes"}})

    def test_keys_that_the_server_would_refuse_are_refused(self):
        for key in ["short", "# read as a comment, not a key", "k" * 513]:
            self.refused("apiKeys.keys", {"apiKeys": {"keys": [key]}})

    def test_texts_of_a_wrong_form_are_refused(self):
        for path in ("../other", "/models/8b", "a//b", "a/"):
            self.refused(f"model.path: expected a folder within the volume, such as SDAR-8B-Chat or sdar/8b, got {path}",
                         {"model": {"path": path}})
        self.refused("resources.memory: Does not match pattern", {"resources": {"memory": "much"}})
        self.refused("image.digest: Does not match pattern", {"image": {"digest": "0a0a"}})
        self.refused("image.tag: Invalid type. Expected: [string,integer], given: number", {"image": {"tag": 1.1}})
        self.refused("rollout.maxSurge: Does not match pattern", {"rollout": {"maxSurge": "some"}})
        self.refused("ingress.hosts.0: Does not match pattern", {"ingress": {"hosts": ["https://chat.example.org"]}})
        self.refused("server.kvMemory: expected an amount such as 8GiB", {"server": {"kvMemory": "4 GiB"}})
        self.refused("extraArgs.0: Does not match pattern", {"extraArgs": ["max-waiting=1"]})

    def test_flags_that_the_chart_sets_are_refused_as_further_ones(self):
        for argument in ("--port=1", "--drain-timeout=5", "--drain-delay=5", "--tls-key=x"):
            self.refused(f"extraArgs: {argument} is a flag that the chart sets", {"extraArgs": [argument]})

    def test_values_that_contradict_each_other_are_refused(self):
        self.refused("set only one of apiKeys.existingSecret and apiKeys.keys",
                     {"apiKeys": {"existingSecret": "a", "keys": ["key-of-one-client"]}})
        self.refused("tls.verifyClients needs tls.existingSecret", {"tls": {"verifyClients": True}})
        self.refused("tls.clientSecret is for tls.verifyClients",
                     {"tls": {"existingSecret": "given-tls", "clientSecret": "given-client"}})
        self.refused("server.device is cuda, but gpu.count is 0", {"server": {"device": "cuda"}})
        self.refused("ranksPerNode is 4, but a pod has gpu.count = 2 GPUs", {"ranksPerNode": 4, "gpu": {"count": 2}})
        self.refused("server.tensorParallel is 3, which does not divide the job's 8 ranks",
                     {"nodes": 2, "ranksPerNode": 4, "server": {"tensorParallel": 3}})
        self.refused("server.device is cpu, but gpu.count = 4 GPUs would be reserved for nothing",
                     {"server": {"device": "cpu"}, "gpu": {"count": 4}})
        self.refused("resources.limits: set gpu.count instead of nvidia.com/gpu",
                     {"resources": {"limits": {"nvidia.com/gpu": 1}}})
        self.refused("both 0: an upgrade could not replace anything", {"rollout": {"maxSurge": 0, "maxUnavailable": "0%"}})
        self.refused("exclusiveTopology is for groups of several pods", {"exclusiveTopology": "rack"})
        self.refused("restartPolicy is for groups of several pods", {"restartPolicy": "None"})
        self.refused("autoscaling.minReplicas is above autoscaling.maxReplicas",
                     {"autoscaling": {"kind": "hpa", "minReplicas": 5, "maxReplicas": 4}})
        self.refused("keda needs autoscaling.keda.prometheusAddress", {"autoscaling": {"kind": "keda"}})

    def test_what_groups_cannot_do_is_refused(self):
        group = {"nodes": 2, "ssh": {"existingSecret": "given-ssh"}}
        self.refused("launcher.peerTimeoutSeconds (1800) must be below probes.startupBudgetSeconds (1800)",
                     group, {"launcher": {"peerTimeoutSeconds": 1800}})
        for user in (1000, None):
            self.refused("podSecurityContext.runAsUser has to be 10001", group, {"podSecurityContext": {"runAsUser": user}})

    def test_ways_in_that_the_network_policy_closes_are_refused(self):
        closed = "lets clients in from elsewhere, but the NetworkPolicy lets in the pods of this namespace only"
        parents = {"enabled": True, "parentRefs": [{"name": "given-gateway"}]}
        for values, name in (({"service": {"type": "LoadBalancer"}}, "service.type LoadBalancer"),
                             ({"ingress": {"enabled": True}}, "ingress"), ({"httpRoute": parents}, "httpRoute"),
                             ({"grpcRoute": parents, "service": {"type": "NodePort"}}, "service.type NodePort, grpcRoute"),
                             ({"inferencePool": {"enabled": True, "endpointPicker": {"name": "p"}}}, "inferencePool")):
            self.refused(f"{name} {closed}", values)
            taken = chart.merged(chart.MODES["cpu on one node"], values, {"networkPolicy": {"enabled": False}})
            self.assertTrue(chart.rendered(taken))

    def test_routes_and_pools_want_what_they_lead_to(self):
        self.refused("httpRoute needs httpRoute.parentRefs", {"httpRoute": {"enabled": True}})
        self.refused("grpcRoute needs grpcRoute.parentRefs", {"grpcRoute": {"enabled": True}})
        self.refused("inferencePool needs inferencePool.endpointPicker.name", {"inferencePool": {"enabled": True}})

    def test_two_routes_for_one_name_are_refused(self):
        route = {"enabled": True, "parentRefs": [{"name": "given-gateway"}]}
        both = {"httpRoute": route, "grpcRoute": route, "networkPolicy": {"enabled": False}}
        sentence = "httpRoute and grpcRoute need host names of their own"
        self.refused(sentence, both)
        self.refused(sentence, both, {"httpRoute": {"hostnames": ["a.example.org"]}})
        self.refused(sentence, both, {"httpRoute": {"hostnames": ["a.example.org"]},
                                      "grpcRoute": {"hostnames": ["b.example.org", "a.example.org"]}})
        listener = {"grpcRoute": {"parentRefs": [{"name": "given-gateway", "sectionName": "grpc"}]}}
        self.assertTrue(chart.rendered(chart.merged(chart.MODES["cpu on one node"], both, listener)))

    def test_names_that_the_chart_needs_itself_are_refused(self):
        for field in ("podLabels", "workloadLabels"):
            self.refused(f"{field}: the chart finds its own objects by the label app.kubernetes.io/name",
                         {field: {"app.kubernetes.io/name": "x"}})
        self.refused("extraVolumes: tmp is the name of a volume that the chart makes", {"extraVolumes": [{"name": "tmp"}]})
        self.refused("sdar is the name of the server's container", {"extraContainers": [{"name": "sdar"}]})


if __name__ == "__main__":
    unittest.main()
