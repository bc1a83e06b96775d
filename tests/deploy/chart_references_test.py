# SPDX-License-Identifier: Apache-2.0
"""What refers to something finds it: selectors, names, ports, files, in all modes of the chart."""

import pathlib
import re
import unittest

import chart


class References(unittest.TestCase):
    def test_no_two_objects_of_a_kind_have_one_name(self):
        for mode, _, objects in chart.modes():
            names = [(o["kind"], o["metadata"]["name"]) for o in objects]
            with self.subTest(mode):
                self.assertEqual(sorted(set(names)), sorted(names))

    def test_no_service_has_the_name_of_a_leader_worker_set_which_makes_one_itself(self):
        for mode, _, objects in chart.modes():
            with self.subTest(mode):
                names = {o["metadata"]["name"] for o in chart.of_kind(objects, "Service")}
                groups = {o["metadata"]["name"] for o in chart.of_kind(objects, "LeaderWorkerSet")}
                self.assertFalse(names & groups)

    def test_secrets_and_claims_of_pods_are_rendered_or_were_given(self):
        for mode, _, objects, template in chart.pods():
            made = {o["metadata"]["name"]: o for o in chart.of_kind(objects, "Secret")}
            for volume in template["spec"].get("volumes", []):
                with self.subTest(f"{mode}: {volume['name']}"):
                    self.assertNotIn("configMap", volume)
                    if "secret" in volume:
                        name = volume["secret"]["secretName"]
                        self.assertTrue(name in made or name.startswith("given-"), name)
                    if "persistentVolumeClaim" in volume:
                        self.assertEqual(volume["persistentVolumeClaim"]["claimName"], "given-model")

    def test_nothing_is_made_in_place_of_what_was_given(self):
        for mode, values, objects in chart.modes():
            with self.subTest(mode):
                names = {o["metadata"]["name"] for o in chart.of_kind(objects, "Secret")}
                self.assertFalse([n for n in names if n.startswith("given-")])
                self.assertNotIn("chat-sdar-ssh", names)
                self.assertEqual("chat-sdar-api-keys" in names, "keys" in values.get("apiKeys", {}))

    def test_mounts_and_volumes_of_a_pod_are_the_same(self):
        for mode, _, _, template in chart.pods():
            with self.subTest(mode):
                volumes = [v["name"] for v in template["spec"].get("volumes", [])]
                self.assertEqual(sorted(set(volumes)), sorted(volumes))
                self.assertEqual(set(volumes), {m["name"] for m in chart.container(template).get("volumeMounts", [])})
                for box in chart.containers(template):
                    self.assertLessEqual({m["name"] for m in box.get("volumeMounts", [])}, set(volumes))

    def test_files_that_arguments_name_lie_in_mounts_or_in_the_image(self):
        installed = (chart.ROOT / "deploy/docker/prepare_runtime.sh").read_text()
        for mode, values, objects, template in chart.pods():
            mounts = {m["mountPath"]: m["name"] for m in chart.container(template).get("volumeMounts", [])}
            volumes = {v["name"]: v for v in template["spec"].get("volumes", [])}
            made = {o["metadata"]["name"]: o for o in chart.of_kind(objects, "Secret")}
            for path in re.findall(r"(?<![\w.:/])/(?:etc|models|usr)/?[\w./-]*", " ".join(chart.container(template)["args"])):
                with self.subTest(f"{mode}: {path}"):
                    if path.startswith("/usr/local/lib/sdar/"):
                        self.assertIn(pathlib.Path(path).name, installed)
                        continue
                    if path == "/usr/local/bin/sdar-serve":
                        continue
                    folder = "/models" if path.startswith("/models") else str(pathlib.Path(path).parent)
                    self.assertIn(folder, mounts)
                    secret = volumes[mounts[folder]].get("secret", {}).get("secretName")
                    if secret in made:
                        self.assertIn(pathlib.Path(path).name, made[secret]["data"])

    def test_named_ports_exist_where_they_are_used(self):
        for mode, _, objects in chart.modes():
            templates = chart.pod_templates(objects)
            ports = {role: {p["name"] for p in chart.container(t).get("ports", [])} for role, t in templates.items()}
            with self.subTest(mode):
                for role in ports:
                    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                        action = chart.container(templates[role]).get(probe, {})
                        port = action.get("httpGet", action.get("tcpSocket", {})).get("port")
                        self.assertTrue(port is None or port in ports[role], probe)
                for service in chart.of_kind(objects, "Service"):
                    is_admin = service["metadata"]["name"].endswith("-admin")
                    self.assertEqual({p["targetPort"] for p in service["spec"]["ports"]},
                                     {"admin"} if is_admin else {"grpc", "http"})
                    self.assertLessEqual({"grpc", "http", "admin"}, ports["leader"])
                for policy in chart.of_kind(objects, "NetworkPolicy"):
                    named = {p["port"] for rule in policy["spec"]["ingress"] for p in rule.get("ports", [])}
                    self.assertLessEqual({port for port in named if isinstance(port, str)}, ports["leader"])

    def test_a_deployment_selects_its_pods(self):
        for mode, _, objects in chart.modes():
            for deployment in chart.of_kind(objects, "Deployment"):
                with self.subTest(mode):
                    labels = deployment["spec"]["template"]["metadata"]["labels"]
                    self.assertTrue(chart.selects(deployment["spec"]["selector"], labels))

    def test_services_select_leaders_and_nothing_else(self):
        for mode, _, objects in chart.modes():
            for service in chart.of_kind(objects, "Service"):
                for role, template in chart.pod_templates(objects).items():
                    with self.subTest(f"{mode}: {service['metadata']['name']}: {role}"):
                        chosen = chart.selects(service["spec"]["selector"], template["metadata"]["labels"])
                        self.assertEqual(chosen, role == "leader")

    def test_budget_and_network_policy_select_leaders_and_workers(self):
        for mode, _, objects in chart.modes():
            for thing in chart.of_kind(objects, "PodDisruptionBudget", "NetworkPolicy"):
                selector = thing["spec"].get("selector", thing["spec"].get("podSelector"))
                for role, template in chart.pod_templates(objects).items():
                    with self.subTest(f"{mode}: {thing['kind']}: {role}"):
                        self.assertEqual(chart.selects(selector, template["metadata"]["labels"]), role != "test")

    def test_labels_of_users_change_no_selection(self):
        objects = chart.rendered(chart.MODES["every wish for pods"])
        service, *_ = chart.of_kind(objects, "Service")
        self.assertNotIn("team", service["spec"]["selector"])
        group = chart.only(objects, "LeaderWorkerSet")
        self.assertIn("kueue.x-k8s.io/queue-name", group["metadata"]["labels"])
        for role in ("leader", "worker"):
            labels = chart.pod_templates(objects)[role]["metadata"]["labels"]
            self.assertNotIn("kueue.x-k8s.io/queue-name", labels)
            self.assertEqual((labels["team"], labels["sidecar.istio.io/inject"]), ("7", "true"))

    def test_the_service_account_of_pods_is_made_or_the_default(self):
        for mode, _, objects, template in chart.pods():
            with self.subTest(mode):
                made = {o["metadata"]["name"] for o in chart.of_kind(objects, "ServiceAccount")} or {"default"}
                self.assertIn(template["spec"]["serviceAccountName"], made)

    def test_an_autoscaler_finds_what_it_scales_and_there_is_only_one(self):
        for mode, values, objects in chart.modes():
            scalers = chart.of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject")
            workload = chart.only([o for o in objects if o["kind"] in ("Deployment", "LeaderWorkerSet")],
                                  "LeaderWorkerSet" if values.get("nodes", 1) > 1 else "Deployment")
            with self.subTest(mode):
                self.assertEqual(len(scalers), 1 if "autoscaling" in values else 0)
                self.assertEqual("replicas" in workload["spec"], not scalers)
                for scaler in scalers:
                    target = scaler["spec"]["scaleTargetRef"]
                    self.assertEqual(
                        (target["apiVersion"], target["kind"], target["name"]),
                        (workload["apiVersion"], workload["kind"], workload["metadata"]["name"]))

    def test_routes_lead_to_ports_of_the_service_or_to_the_pool(self):
        for mode, values, objects in chart.modes():
            ports = {p["port"]: p["name"] for p in self.client_service(objects)["spec"]["ports"]}
            pools = {o["metadata"]["name"] for o in chart.of_kind(objects, "InferencePool")}
            for route in chart.of_kind(objects, "HTTPRoute", "GRPCRoute"):
                with self.subTest(f"{mode}: {route['kind']}"):
                    (reference,) = route["spec"]["rules"][0]["backendRefs"]
                    if reference.get("kind") == "InferencePool":
                        self.assertEqual(reference["group"], "inference.networking.k8s.io")
                        self.assertIn(reference["name"], pools)
                    else:
                        self.assertFalse(pools and route["kind"] == "HTTPRoute")
                        self.assertEqual(reference["name"], "chat-sdar")
                        self.assertEqual(ports[reference["port"]], "grpc" if route["kind"] == "GRPCRoute" else "http")
            for ingress in chart.of_kind(objects, "Ingress"):
                for rule in ingress["spec"]["rules"]:
                    with self.subTest(f"{mode}: {rule.get('host')}"):
                        (path,) = rule["http"]["paths"]
                        self.assertEqual(path["backend"]["service"], {"name": "chat-sdar", "port": {"name": "http"}})
                self.assertEqual([r.get("host") for r in ingress["spec"]["rules"]], values["ingress"].get("hosts", [None]))

    def test_a_pool_selects_leaders_and_their_http_port(self):
        for mode in ("inference pool", "inference pool of groups"):
            objects = chart.rendered(chart.MODES[mode])
            pool = chart.only(objects, "InferencePool")["spec"]
            templates = chart.pod_templates(objects)
            with self.subTest(mode):
                for role, template in templates.items():
                    self.assertEqual(chart.selects(pool["selector"], template["metadata"]["labels"]), role == "leader")
                (port,) = pool["targetPorts"]
                ports = {p["name"]: p["containerPort"] for p in chart.container(templates["leader"])["ports"]}
                self.assertEqual(port["number"], ports["http"])
                self.assertEqual(pool["endpointPickerRef"]["name"], "given-picker")

    def test_ports_say_what_they_speak(self):
        for mode, values, objects in chart.modes():
            grpc = "https" if "tls" in values else "kubernetes.io/h2c"
            http = "https" if "tls" in values else "http"
            for service in chart.of_kind(objects, "Service"):
                with self.subTest(f"{mode}: {service['metadata']['name']}"):
                    spoken = {p["name"]: p["appProtocol"] for p in service["spec"]["ports"]}
                    self.assertLessEqual(set(spoken.items()), {("grpc", grpc), ("http", http), ("admin", "http")})

    def client_service(self, objects):
        return next(o for o in chart.of_kind(objects, "Service") if o["metadata"]["name"] == "chat-sdar")

    def test_the_service_monitor_selects_one_service_and_a_port_of_it(self):
        for mode in ("monitoring", "monitoring over tls"):
            objects = chart.rendered(chart.MODES[mode])
            monitor = chart.only(objects, "ServiceMonitor")
            chosen = [s for s in chart.of_kind(objects, "Service")
                      if chart.selects(monitor["spec"]["selector"], s["metadata"]["labels"])]
            with self.subTest(mode):
                self.assertEqual([s["metadata"]["name"] for s in chosen], ["chat-sdar-admin"])
                (endpoint,) = monitor["spec"]["endpoints"]
                self.assertIn(endpoint["port"], {p["name"] for p in chosen[0]["spec"]["ports"]})
                self.assertEqual(endpoint["scheme"], "http")
                self.assertNotIn("tlsConfig", endpoint)

    def test_keda_asks_for_the_waiting_requests_of_this_release(self):
        scaler = chart.only(chart.rendered(chart.MODES["keda"]), "ScaledObject")
        self.assertEqual(scaler["spec"]["triggers"][0]["metadata"]["query"],
                         'sum(sdar_requests_waiting{namespace="models",service="chat-sdar-admin"})')


if __name__ == "__main__":
    unittest.main()
