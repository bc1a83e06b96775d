# SPDX-License-Identifier: Apache-2.0
"""What the chart brings for people: dashboards, notes and the pod of `helm test`."""

import http.server
import json
import pathlib
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

    def test_it_is_a_hook_and_ends(self):
        pod = chart.only(chart.rendered(chart.MODES["cpu on one node"]), "Pod")
        self.assertEqual(pod["metadata"]["annotations"]["helm.sh/hook"], "test")
        self.assertEqual(pod["spec"]["restartPolicy"], "Never")
        self.assertIn("activeDeadlineSeconds", pod["spec"])

    def test_its_script_is_a_script_in_every_mode(self):
        for mode, _, _, template in chart.pods():
            if mode.endswith(": test"):
                with self.subTest(mode):
                    box = chart.container(template)
                    self.assertEqual(box["command"][0], "bash")
                    subprocess.run(["bash", "-n"], input=box["args"][0], text=True, check=True)

    @unittest.skipUnless(shutil.which("curl"), "there is no curl")
    def test_its_script_asks_for_health_and_one_answer_and_fails_when_refused(self):
        for status, passes in ((200, True), (503, False)):
            asked = []

            class Server(http.server.BaseHTTPRequestHandler):
                def answer(self):
                    body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                    asked.append((self.command, self.path, self.headers.get("Authorization"), body))
                    self.send_response(200 if self.path == "/health" else status)
                    self.end_headers()

                do_GET = do_POST = answer

                def log_message(self, *_):
                    pass

            with http.server.HTTPServer(("127.0.0.1", 0), Server) as server, tempfile.TemporaryDirectory() as folder:
                threading.Thread(target=server.serve_forever, daemon=True).start()
                (pathlib.Path(folder) / "keys").write_text("key-of-one-client\nkey-of-another-one\n")
                values = chart.merged(chart.MODES["cpu on one node"], {"apiKeys": {"keys": ["key-of-one-client",
                                                                                              "key-of-another-one"]}})
                box = chart.container(chart.pod_templates(chart.rendered(values))["test"])
                script = box["args"][0].replace("http://chat-sdar:8000", f"http://127.0.0.1:{server.server_port}")
                script = script.replace("/etc/sdar/api-keys", folder).replace("--retry 5", "--retry 0")
                result = subprocess.run([*box["command"], script], capture_output=True, text=True, check=False)
                server.shutdown()
            with self.subTest(status):
                self.assertEqual(result.returncode == 0, passes, result.stderr)
                self.assertEqual([a[:3] for a in asked], [
                    ("GET", "/health", None), ("POST", "/v1/chat/completions", "Bearer key-of-one-client")])
                self.assertIn("messages", json.loads(asked[1][3]))


class Notes(unittest.TestCase):
    def test_they_warn_of_what_is_open(self):
        notes = (chart.CHART / "templates/NOTES.txt").read_text()
        for text in ("No API keys are set", "TLS is off", "neither encrypted nor authenticated"):
            self.assertIn(text, notes)


if __name__ == "__main__":
    unittest.main()
