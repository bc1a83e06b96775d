# SPDX-License-Identifier: Apache-2.0
"""What the chart brings for people: dashboards, notes and the pod of `helm test`."""

import http.server
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
import unittest

import chart


class Dashboards(unittest.TestCase):
    def render(self, files, values):
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder) / "sdar"
            shutil.copytree(chart.CHART, copy, ignore=shutil.ignore_patterns("dashboards"))
            for name, text in files.items():
                (copy / "dashboards").mkdir(exist_ok=True)
                (copy / "dashboards" / name).write_text(text)
            return chart.rendered(chart.merged(chart.MODES["cpu on one node"], values), copy)

    def test_there_is_no_config_map_without_a_dashboard(self):
        self.assertFalse(chart.of_kind(self.render({}, {}), "ConfigMap"))

    def test_a_dashboard_gets_into_a_config_map_as_it_is(self):
        text = json.dumps({"title": "{{model_name}} and $model"}, indent=1) + "\n"
        config = chart.only(self.render({"sdar.json": text}, {}), "ConfigMap")
        self.assertEqual(config["data"], {"sdar.json": text})
        self.assertEqual(config["metadata"]["labels"]["grafana_dashboard"], "1")

    def test_dashboards_can_be_left_out(self):
        values = {"monitoring": {"dashboard": {"enabled": False}}}
        self.assertFalse(chart.of_kind(self.render({"sdar.json": "{}"}, values), "ConfigMap"))


class HelmTest(unittest.TestCase):
    """The pod of `helm test`."""

    def test_it_is_left_out_only_where_it_has_no_certificate_to_show(self):
        for mode, _, objects in chart.modes():
            with self.subTest(mode):
                self.assertEqual(not chart.of_kind(objects, "Pod"), mode == "certificates of clients")

    def test_it_is_a_hook_whose_log_helm_can_read(self):
        pod = chart.only(chart.rendered(chart.MODES["cpu on one node"]), "Pod")
        self.assertEqual(pod["metadata"]["annotations"]["helm.sh/hook"], "test")
        # With hook-succeeded `helm test --logs` fails: it asks for the log after the pod is gone.
        self.assertEqual(pod["metadata"]["annotations"]["helm.sh/hook-delete-policy"], "before-hook-creation")
        self.assertEqual(pod["spec"]["restartPolicy"], "Never")

    def test_it_runs_where_the_image_does(self):
        templates = chart.pod_templates(chart.rendered(chart.MODES["every wish for pods"]))
        for field in ("imagePullSecrets", "nodeSelector", "tolerations"):
            self.assertEqual(templates["test"]["spec"][field], templates["worker"]["spec"][field])

    def test_no_proxy_of_a_service_mesh_outlives_it(self):
        metadata = chart.only(chart.rendered(chart.MODES["cpu on one node"]), "Pod")["metadata"]
        self.assertEqual(metadata["labels"]["sidecar.istio.io/inject"], "false")
        self.assertEqual(metadata["annotations"]["linkerd.io/inject"], "disabled")

    def test_its_script_is_a_script_in_every_mode(self):
        for mode, _, _, template in chart.pods():
            if mode.endswith(": test"):
                with self.subTest(mode):
                    box = chart.container(template)
                    self.assertEqual(box["command"][0], "bash")
                    subprocess.run(["bash", "-n"], input=box["args"][0], text=True, check=True)

    def run_script(self, statuses, patience=60):
        """Runs the pod's script with a server that answers so, by path; what it was asked, and how the script ended."""
        asked = []

        class Server(http.server.BaseHTTPRequestHandler):
            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                asked.append((self.command, self.path, self.headers.get("Authorization"), body))
                left = statuses[self.path]
                self.send_response(left.pop(0) if len(left) > 1 else left[0])
                self.end_headers()

            do_GET = do_POST = answer

            def log_message(self, *_):
                pass

        with http.server.HTTPServer(("127.0.0.1", 0), Server) as server, tempfile.TemporaryDirectory() as folder:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            keys = ["key-of-one-client", "key-of-another-one"]
            (pathlib.Path(folder) / "keys").write_text("# of clients\n\n" + "\n".join(keys) + "\n")
            values = chart.merged(chart.MODES["cpu on one node"], {"apiKeys": {"keys": keys}})
            box = chart.container(chart.pod_templates(chart.rendered(values))["test"])
            script = box["args"][0].replace("http://chat-sdar:8000", f"http://127.0.0.1:{server.server_port}")
            script = script.replace("/etc/sdar/api-keys", folder).replace("sleep 5", "sleep 0.1")
            script = re.sub(r"-ge \d+", f"-ge {patience}", script)
            result = subprocess.run([*box["command"], script], capture_output=True, text=True, check=False, timeout=60)
            server.shutdown()
        return asked, result

    @unittest.skipUnless(shutil.which("curl"), "there is no curl")
    def test_its_script_waits_until_the_server_is_ready_and_asks_for_one_answer(self):
        for status, passes in ((200, True), (503, False)):
            asked, result = self.run_script({"/readyz": [503, 503, 200], "/v1/chat/completions": [status]})
            with self.subTest(status):
                self.assertEqual(result.returncode == 0, passes, result.stderr)
                self.assertEqual([a[:3] for a in asked], [("GET", "/readyz", None)] * 3 + [
                    ("POST", "/v1/chat/completions", "Bearer key-of-one-client")])
                self.assertIn("messages", json.loads(asked[3][3]))

    @unittest.skipUnless(shutil.which("curl"), "there is no curl")
    def test_its_script_gives_up_on_a_server_that_is_never_ready_and_says_why(self):
        asked, result = self.run_script({"/readyz": [503]}, patience=1)
        self.assertEqual(result.returncode, 1)
        self.assertIn("not ready after", result.stderr)
        self.assertEqual({a[1] for a in asked}, {"/readyz"})


class Notes(unittest.TestCase):
    def notes(self, *values):
        """What helm prints after an installation."""
        text = (chart.CHART / "templates/NOTES.txt").read_text()
        template = "{{- define \"notes\" }}" + text + "{{ end -}}\n" + """
apiVersion: v1
kind: ConfigMap
metadata: {name: notes}
data: {text: {{ include "notes" . | toJson }}}
"""
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder) / "sdar"
            shutil.copytree(chart.CHART, copy)
            (copy / "templates" / "notes.yaml").write_text(template)
            objects = chart.rendered(chart.merged(chart.MODES["cpu on one node"], *values), copy)
        return next(o for o in objects if o["metadata"]["name"] == "notes")["data"]["text"]

    def test_they_warn_of_what_is_open(self):
        notes = self.notes(chart.MODES["several nodes"], {"networkPolicy": {"enabled": False}})
        for text in ("No API keys are set", "TLS is off", "neither encrypted nor authenticated"):
            self.assertIn(text, notes)
        closed = self.notes(chart.MODES["tls and keys on several nodes"])
        for text in ("No API keys are set", "TLS is off", "neither encrypted nor authenticated"):
            self.assertNotIn(text, closed)

    def test_they_say_who_is_let_in(self):
        self.assertIn("lets in: pods of this namespace only (networkPolicy.clients", self.notes())
        self.assertIn("the namespace `monitoring`", self.notes())
        notes = self.notes(chart.MODES["ingress"])
        self.assertIn("lets in: the peers in networkPolicy.clients.", notes)
        self.assertIn("https://chat.example.org/v1", notes)
        self.assertIn("by a BackendTLSPolicy", self.notes(chart.MODES["ingress of every name"]))

    def test_they_wait_for_a_group_and_say_when_an_upgrade_is_an_outage(self):
        groups = self.notes(chart.MODES["several groups"])
        self.assertIn("wait leaderworkerset/chat-sdar-group --for condition=Available", groups)
        self.assertNotIn("outage", groups)
        self.assertIn("is an outage", self.notes())
        self.assertNotIn("outage", self.notes({"rollout": {"maxSurge": 1}}))

    def test_they_and_the_readme_give_the_test_as_long_as_it_may_take(self):
        deadline = chart.pod_templates(chart.rendered(chart.MODES["cpu on one node"]))["test"]["spec"]["activeDeadlineSeconds"]
        for text in (self.notes(), (chart.ROOT / "deploy/README.md").read_text()):
            self.assertRegex(text, rf"helm .*test chat --logs --timeout {deadline}s")


if __name__ == "__main__":
    unittest.main()
