# SPDX-License-Identifier: Apache-2.0
"""The files of deploy/kubernetes: the Job that fetches a model, and the rule for prometheus-adapter."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest
import urllib.request

import yaml

import chart
from chart_schema_test import validate

FOLDER = chart.ROOT / "deploy" / "kubernetes"
OBJECTS = list(yaml.safe_load_all((FOLDER / "model-job.yaml").read_text()))
ADAPTER = yaml.safe_load((FOLDER / "prometheus-adapter.yaml").read_text())

# What the endpoint picker of the Gateway API's inference extension reads by default.
PICKER = {"vllm:num_requests_waiting", "vllm:num_requests_running", "vllm:kv_cache_usage_perc", "vllm:cache_config_info"}


class ModelJob(unittest.TestCase):
    def setUp(self):
        self.claim = chart.only(OBJECTS, "PersistentVolumeClaim")
        self.pod = chart.only(OBJECTS, "Job")["spec"]["template"]["spec"]
        (self.box,) = self.pod["containers"]

    def test_its_objects_fit_the_schemas_of_their_kinds(self):
        for thing in OBJECTS:
            validate(thing)

    def test_it_writes_to_the_claim_that_the_chart_reads(self):
        (volume,) = [v for v in self.pod["volumes"] if v["name"] == "models"]
        self.assertEqual(volume["persistentVolumeClaim"], {"claimName": self.claim["metadata"]["name"]})
        text = (FOLDER / "model-job.yaml").read_text()
        model = next(e["value"] for e in self.box["env"] if e["name"] == "MODEL").split("/")[-1]
        self.assertIn(f"--set model.existingClaim={self.claim['metadata']['name']} --set model.path={model} ", text)

    def test_it_is_restricted_and_has_the_user_of_the_charts_pods(self):
        leader = chart.pod_templates(chart.rendered(chart.MODES["cpu on one node"]))["leader"]
        self.assertEqual(self.pod["securityContext"], leader["spec"]["securityContext"])
        self.assertEqual(self.box["securityContext"], chart.container(leader)["securityContext"])

    def run_script(self, folder, fetch):
        """Runs the container's command with folders of its own and a library that only does `fetch`."""
        packages, bin_folder = folder / "packages", folder / "bin"
        for path in (packages, bin_folder, folder / "models"):
            path.mkdir(exist_ok=True)
        (packages / "huggingface_hub.py").write_text(f"import os\ndef snapshot_download(model, revision, local_dir):\n{fetch}")
        (bin_folder / "pip").write_text("#!/bin/sh\n")
        (bin_folder / "pip").chmod(0o755)
        script = self.box["args"][0].replace("/tmp/packages", str(packages)).replace('"/models"', f'"{folder}/models"')
        environment = dict(os.environ, PATH=f"{bin_folder}:{os.environ['PATH']}", MODEL="JetLM/SDAR-8B-Chat", REVISION="main")
        return subprocess.run([*self.box["command"], script], env=environment, capture_output=True, text=True, check=False)

    def test_a_folder_has_its_name_when_it_is_complete_and_is_fetched_once(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            model = folder / "models" / "SDAR-8B-Chat"
            broken = self.run_script(folder, "  os.makedirs(local_dir)\n  raise SystemExit(3)\n")
            self.assertEqual(broken.returncode, 3)
            self.assertFalse(model.exists())
            fetch = "  open(os.path.join(local_dir, 'config.json'), 'w').write(model + ' ' + revision)\n"
            self.assertEqual(self.run_script(folder, fetch).returncode, 0)
            self.assertEqual((model / "config.json").read_text(), "JetLM/SDAR-8B-Chat main")
            again = self.run_script(folder, "  raise SystemExit(4)\n")
            self.assertEqual(again.returncode, 0, again.stderr)
            self.assertIn("SDAR-8B-Chat is complete", again.stdout)


class Metrics(unittest.TestCase):
    def queried(self):
        """Names of metrics that files here and the chart ask for."""
        texts = [rule["seriesQuery"] for rule in ADAPTER["rules"]["custom"]]
        trigger = chart.only(chart.rendered(chart.MODES["keda"]), "ScaledObject")["spec"]["triggers"][0]
        texts.append(trigger["metadata"]["query"])
        return set(re.findall(r"sdar_\w+", " ".join(texts)))

    def test_the_adapter_offers_what_the_autoscaler_asks_for_by_pod_and_namespace(self):
        (rule,) = ADAPTER["rules"]["custom"]
        scaler = chart.only(chart.rendered(chart.MODES["hpa"]), "HorizontalPodAutoscaler")
        asked = scaler["spec"]["metrics"][0]["pods"]["metric"]["name"]
        series, labels = re.fullmatch(r"(\w+)\{(.*)\}", rule["seriesQuery"]).groups()
        self.assertEqual(series, asked)
        self.assertNotIn("name", rule)  # the metric has the name of the series
        self.assertEqual(set(rule["resources"]["overrides"]), set(re.findall(r'(\w+)!=""', labels)))
        self.assertEqual(rule["resources"]["overrides"], {k: {"resource": k} for k in ("namespace", "pod")})
        for part in ("<<.Series>>", "<<.LabelMatchers>>", "by (<<.GroupBy>>)"):
            self.assertIn(part, rule["metricsQuery"])

    def test_the_server_has_every_metric_that_is_asked_for(self):
        if not (pathlib.Path(os.environ.get("SDAR_BIN_DIR", "/nowhere")) / "sdar-serve").exists():
            self.skipTest("the programs are not built")
        from served_job import ServedJob
        with ServedJob("--threads=1") as job:
            text = urllib.request.urlopen(f"http://{job.http_address}/metrics", timeout=30).read().decode()
        served = set(re.findall(r"(?m)^([a-zA-Z_:][\w:]*?)(?:\{| )", text))
        self.assertTrue(self.queried())
        self.assertLessEqual(self.queried() | PICKER, served)

    def test_the_document_names_what_an_endpoint_picker_reads(self):
        named = set(re.findall(r"vllm:\w+", (chart.ROOT / "docs/kubernetes.md").read_text()))
        self.assertTrue(named)
        self.assertLessEqual(named, PICKER)


if __name__ == "__main__":
    unittest.main()
