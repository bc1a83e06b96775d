# SPDX-License-Identifier: Apache-2.0
"""Renders the chart with helm, and takes what it renders apart."""

import functools
import json
import os
import pathlib
import subprocess
import tempfile

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "helm" / "sdar"
NAMESPACE = "models"

_CLAIM = {"model": {"existingClaim": "given-model"}}


def merged(*values):
    """Values with later ones over earlier ones, maps member by member."""
    result = {}
    for value in values:
        for key, member in value.items():
            both = isinstance(member, dict) and isinstance(result.get(key), dict)
            result[key] = merged(result[key], member) if both else member
    return result


_TLS = {"tls": {"existingSecret": "given-tls"}}
_GROUP = {"nodes": 2, "gpu": {"count": 8}}

# Ways to use the chart that differ in what it renders. Names of what the user has to bring begin with `given-`.
MODES = {
    name: merged(_CLAIM, values)
    for name, values in {
        "cpu on one node": {},
        "gpus on one node": {"gpu": {"count": 4}, "replicas": 3, "server": {"tensorParallel": 2}},
        "several nodes": _GROUP,
        "several groups": merged(_GROUP, {"replicas": 3, "exclusiveTopology": "topology.example.org/rack"}),
        "several nodes without gpus": {"nodes": 3, "ranksPerNode": 2, "ssh": {"existingSecret": "given-ssh"}},
        "tls and keys": merged(_TLS, {"apiKeys": {"existingSecret": "given-keys", "key": "list"}}),
        "tls and keys on several nodes": merged(_TLS, _GROUP, {"apiKeys": {"keys": ["key-of-one-client", "key-of-another-one"]}}),
        "certificates of clients": merged(
            _TLS, {"tls": {"verifyClients": True}, "monitoring": {"serviceMonitor": {"enabled": True}}}),
        "certificates of clients and a test": merged(
            _TLS, {"tls": {"verifyClients": True, "clientSecret": "given-client"}}),
        "hpa": {"autoscaling": {"kind": "hpa"}},
        "hpa of groups": merged(_GROUP, {"autoscaling": {"kind": "hpa", "minReplicas": 2}}),
        "keda": {"autoscaling": {"kind": "keda", "keda": {"prometheusAddress": "http://prometheus:9090"}}},
        "keda of groups": merged(
            _GROUP, {"autoscaling": {"kind": "keda", "keda": {"prometheusAddress": "http://p:9090", "query": "sum(x)"}}}),
        "monitoring": {"monitoring": {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}}},
        "monitoring over tls": merged(
            _TLS, {"monitoring": {"serviceMonitor": {"enabled": True}}}),
        "rdma": merged(_GROUP, {"rdma": {"enabled": True, "hca": "mlx5", "socketInterface": "eth0"}}),
        "folder of the nodes": {"model": {"existingClaim": "", "hostPath": "/srv/models", "path": "SDAR-8B-Chat"}},
        "nothing optional": {
            "service": {"headless": False}, "networkPolicy": {"enabled": False},
            "podDisruptionBudget": {"enabled": False}, "serviceAccount": {"create": False}},
        "every wish for pods": merged(_GROUP, {
            "image": {"pullSecrets": ["given-registry"], "tag": "1.2"},
            "nodeSelector": {"pool": "gpu"}, "priorityClassName": "high", "runtimeClassName": "nvidia",
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "gpu", "operator": "In", "values": ["h100"]}]}]}}},
            "topologySpreadConstraints": [{
                "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"app.kubernetes.io/component": "leader"}}}],
            "podLabels": {"team": "a"}, "podAnnotations": {"note": "b"}, "supplementalGroups": [2000],
            "extraEnv": [{"name": "NCCL_DEBUG", "value": "INFO"},
                         {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            "extraArgs": ["--max-waiting=100"], "launcher": {"mpirunArgs": ["--mca", "btl_tcp_if_include", "eth0"]},
            "server": {"maxSequences": 64, "kvMemory": "4GiB", "device": "cuda"},
            "model": {"servedName": "sdar-8b", "path": "a/b"}, "service": {"type": "LoadBalancer"},
            "networkPolicy": {"clients": [{"ipBlock": {"cidr": "192.0.2.0/24"}}],
                              "extraEgress": [{"ports": [{"port": 4318, "protocol": "TCP"}]}]}}),
    }.items()
}


def helm(command, values, chart=CHART, arguments=()):
    """Runs `helm lint CHART` or `helm template RELEASE CHART` with the values."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump(values, file)
        file.flush()
        name = ["chat"] if command == "template" else []
        environment = dict(os.environ, HELM_NAMESPACE=NAMESPACE)
        return subprocess.run(
            ["helm", command, *name, str(chart), "--values", file.name, *arguments],
            capture_output=True, text=True, check=False, env=environment)


@functools.cache
def _text(values, chart):
    result = helm("template", json.loads(values), chart)
    if result.returncode != 0:
        raise AssertionError(f"helm template failed: {result.stderr}")
    return result.stdout


def rendered(values, chart=CHART):
    """The objects of the chart."""
    documents = yaml.safe_load_all(_text(json.dumps(values, sort_keys=True), chart))
    return [document for document in documents if document is not None]


def refusal(values):
    """What helm says to values that it must not take."""
    result = helm("template", values)
    if result.returncode == 0:
        raise AssertionError(f"helm took {values}")
    return result.stderr


def of_kind(objects, *kinds):
    return [o for o in objects if o["kind"] in kinds]


def only(objects, kind):
    """The only object of a kind."""
    found = of_kind(objects, kind)
    if len(found) != 1:
        raise AssertionError(f"{len(found)} objects of kind {kind}, expected 1")
    return found[0]


def pod_templates(objects):
    """Pods that the objects are or make, by role: leader, worker or test."""
    templates = {}
    for o in objects:
        if o["kind"] == "Deployment":
            templates["leader"] = o["spec"]["template"]
        elif o["kind"] == "LeaderWorkerSet":
            templates["leader"] = o["spec"]["leaderWorkerTemplate"]["leaderTemplate"]
            templates["worker"] = o["spec"]["leaderWorkerTemplate"]["workerTemplate"]
        elif o["kind"] == "Pod":
            templates["test"] = {"metadata": o["metadata"], "spec": o["spec"]}
    return templates


def container(template):
    (result,) = template["spec"]["containers"]
    return result


def flag(template, name):
    """The value of --name=value among a container's arguments; None when it is not there."""
    for argument in container(template)["args"]:
        if argument.startswith(f"--{name}="):
            return argument.split("=", 1)[1]
    return None


def selects(selector, labels):
    """Whether a label selector selects what has the labels."""
    if "matchLabels" not in selector and "matchExpressions" not in selector and selector:
        selector = {"matchLabels": selector}
    fits = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In", expression
        fits = fits and labels.get(expression["key"]) in expression["values"]
    return fits
