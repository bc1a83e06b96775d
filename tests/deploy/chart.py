# SPDX-License-Identifier: Apache-2.0
"""Renders the chart with helm, and takes what it renders apart."""

import functools
import json
import os
import pathlib
import subprocess
import tempfile

import yaml

from chart_modes import MODES, merged

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "helm" / "sdar"
NAMESPACE = "models"


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


def modes():
    """Each mode with its values and objects."""
    for mode, values in MODES.items():
        yield mode, values, rendered(values)


def pods():
    """Each pod of each mode."""
    for mode, values, objects in modes():
        for role, template in pod_templates(objects).items():
            yield f"{mode}: {role}", values, objects, template


def container(template):
    """The chart's own container of a pod."""
    (result,) = [c for c in template["spec"]["containers"] if c["name"] in ("sdar", "test")]
    return result


def containers(template):
    """All containers of a pod, also those of the user."""
    return [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]


def environment(template):
    return {entry["name"]: entry.get("value") for entry in container(template).get("env", [])}


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
