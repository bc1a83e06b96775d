# SPDX-License-Identifier: Apache-2.0
"""What the chart promises, over all modes: what refers to something finds it, times and numbers add up, pods are
restricted."""

import base64
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

# https://kubernetes.io/docs/concepts/security/pod-security-standards, level restricted.
VOLUME_KINDS = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def modes():
    for mode, values in chart.MODES.items():
        yield mode, values, chart.rendered(values)


def pods():
    for mode, values, objects in modes():
        for role, template in chart.pod_templates(objects).items():
            yield f"{mode}: {role}", values, objects, template


class References(unittest.TestCase):
    def test_no_two_objects_of_a_kind_have_one_name(self):
        for mode, _, objects in modes():
            names = [(o["kind"], o["metadata"]["name"]) for o in objects]
            with self.subTest(mode):
                self.assertEqual(sorted(set(names)), sorted(names))

    def test_no_service_has_the_name_of_a_leader_worker_set_which_makes_one_itself(self):
        for mode, _, objects in modes():
            with self.subTest(mode):
                names = {o["metadata"]["name"] for o in chart.of_kind(objects, "Service")}
                groups = {o["metadata"]["name"] for o in chart.of_kind(objects, "LeaderWorkerSet")}
                self.assertFalse(names & groups)

    def test_secrets_and_claims_of_pods_are_rendered_or_were_given(self):
        for mode, _, objects, template in pods():
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
        for mode, values, objects in modes():
            with self.subTest(mode):
                names = {o["metadata"]["name"] for o in chart.of_kind(objects, "Secret")}
                self.assertFalse([n for n in names if n.startswith("given-")])
                wanted = values.get("nodes", 1) > 1 and not values.get("ssh")
                self.assertEqual("chat-sdar-ssh" in names, wanted)
                self.assertEqual("chat-sdar-api-keys" in names, "keys" in values.get("apiKeys", {}))

    def test_mounts_and_volumes_of_a_pod_are_the_same(self):
        for mode, _, _, template in pods():
            with self.subTest(mode):
                volumes = {v["name"] for v in template["spec"].get("volumes", [])}
                self.assertEqual(volumes, {m["name"] for m in chart.container(template).get("volumeMounts", [])})

    def test_files_that_arguments_name_lie_in_mounts_or_in_the_image(self):
        installed = (chart.ROOT / "deploy/docker/prepare_runtime.sh").read_text()
        for mode, values, objects, template in pods():
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
        for mode, _, objects in modes():
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
                    named = [p["port"] for rule in policy["spec"]["ingress"] for p in rule.get("ports", [])]
                    self.assertLessEqual(set(named), ports["leader"])

    def test_a_deployment_selects_its_pods(self):
        for mode, _, objects in modes():
            for deployment in chart.of_kind(objects, "Deployment"):
                with self.subTest(mode):
                    labels = deployment["spec"]["template"]["metadata"]["labels"]
                    self.assertTrue(chart.selects(deployment["spec"]["selector"], labels))

    def test_services_select_leaders_and_nothing_else(self):
        for mode, _, objects in modes():
            for service in chart.of_kind(objects, "Service"):
                for role, template in chart.pod_templates(objects).items():
                    with self.subTest(f"{mode}: {service['metadata']['name']}: {role}"):
                        chosen = chart.selects(service["spec"]["selector"], template["metadata"]["labels"])
                        self.assertEqual(chosen, role == "leader")

    def test_budget_and_network_policy_select_leaders_and_workers(self):
        for mode, _, objects in modes():
            for thing in chart.of_kind(objects, "PodDisruptionBudget", "NetworkPolicy"):
                selector = thing["spec"].get("selector", thing["spec"].get("podSelector"))
                for role, template in chart.pod_templates(objects).items():
                    with self.subTest(f"{mode}: {thing['kind']}: {role}"):
                        self.assertEqual(chart.selects(selector, template["metadata"]["labels"]), role != "test")

    def test_labels_of_users_change_no_selection(self):
        values = chart.merged(chart.MODES["several nodes"], {"podLabels": {"team": "a"}})
        service, *_ = chart.of_kind(chart.rendered(values), "Service")
        self.assertNotIn("team", service["spec"]["selector"])

    def test_the_service_account_of_pods_is_made_or_the_default(self):
        for mode, _, objects, template in pods():
            with self.subTest(mode):
                made = {o["metadata"]["name"] for o in chart.of_kind(objects, "ServiceAccount")} or {"default"}
                self.assertIn(template["spec"]["serviceAccountName"], made)

    def test_an_autoscaler_finds_what_it_scales_and_there_is_only_one(self):
        for mode, values, objects in modes():
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


class Times(unittest.TestCase):
    def test_each_time_of_a_stop_is_longer_than_the_one_inside_it(self):
        for seconds in (1, 30, 120, 3600, 86400):
            for nodes in (1, 2):
                values = chart.merged(chart.MODES["cpu on one node"],
                                      {"drain": {"timeoutSeconds": seconds}, "nodes": nodes})
                templates = chart.pod_templates(chart.rendered(values))
                leader = templates["leader"]
                grace = leader["spec"]["terminationGracePeriodSeconds"]
                stop = int(chart.flag(leader, "stop-timeout"))
                before = int(chart.container(leader)["lifecycle"]["preStop"]["exec"]["command"][1])
                with self.subTest(f"{seconds} s on {nodes}"):
                    self.assertEqual(int(chart.flag(leader, "drain-timeout")), seconds)
                    self.assertGreater(stop, seconds)
                    self.assertGreater(grace, before + stop)
                    if nodes > 1:
                        worker = templates["worker"]
                        self.assertEqual(worker["spec"]["terminationGracePeriodSeconds"], grace)
                        self.assertGreater(int(chart.flag(worker, "grace")), before + stop)
                        self.assertLess(int(chart.flag(worker, "grace")), grace)

    def test_the_pause_before_a_stop_fits_into_the_grace_of_a_dead_pod(self):
        for values in ({}, {"probes": {"livenessGraceSeconds": 15}}):
            leader = chart.pod_templates(chart.rendered(chart.merged(chart.MODES["cpu on one node"], values)))["leader"]
            before = int(chart.container(leader)["lifecycle"]["preStop"]["exec"]["command"][1])
            self.assertLess(before, chart.container(leader)["livenessProbe"]["terminationGracePeriodSeconds"])

    def test_probes_allow_at_least_the_budgets(self):
        for startup, liveness in ((1800, 300), (15, 31)):
            values = chart.merged(chart.MODES["several nodes"], {
                "probes": {"startupBudgetSeconds": startup, "livenessBudgetSeconds": liveness}})
            leader = chart.pod_templates(chart.rendered(values))["leader"]
            for name, budget in (("startupProbe", startup), ("livenessProbe", liveness)):
                probe = chart.container(leader)[name]
                self.assertGreaterEqual(probe["failureThreshold"] * probe["periodSeconds"], budget)
            self.assertEqual(int(chart.flag(leader, "peer-timeout")), startup)

    def test_a_rollout_may_take_a_drain_and_a_start(self):
        deployment = chart.only(chart.rendered(chart.MODES["cpu on one node"]), "Deployment")
        pod = deployment["spec"]["template"]
        self.assertGreater(deployment["spec"]["progressDeadlineSeconds"],
                           1800 + pod["spec"]["terminationGracePeriodSeconds"])


class Numbers(unittest.TestCase):
    def test_a_budget_of_groups_keeps_all_but_one_whole(self):
        for replicas, nodes, kept in ((2, 2, 2), (3, 2, 4), (5, 4, 16)):
            values = chart.merged(chart.MODES["several nodes"], {"replicas": replicas, "nodes": nodes})
            budget = chart.only(chart.rendered(values), "PodDisruptionBudget")
            self.assertEqual(budget["spec"]["minAvailable"], kept)
            self.assertNotIn("maxUnavailable", budget["spec"])

    def test_a_budget_counts_the_groups_that_an_autoscaler_keeps(self):
        budget = chart.only(chart.rendered(chart.MODES["hpa of groups"]), "PodDisruptionBudget")
        self.assertEqual(budget["spec"]["minAvailable"], 2)

    def test_one_group_has_no_budget(self):
        self.assertFalse(chart.of_kind(chart.rendered(chart.MODES["several nodes"]), "PodDisruptionBudget"))

    def test_a_budget_of_single_pods_lets_one_go(self):
        budget = chart.only(chart.rendered(chart.MODES["gpus on one node"]), "PodDisruptionBudget")
        self.assertEqual(budget["spec"]["maxUnavailable"], 1)

    def test_there_is_a_rank_for_each_gpu_or_as_many_as_asked_for(self):
        for mode, name, ranks in (("cpu on one node", "ranks", 1), ("gpus on one node", "ranks", 4),
                                  ("several nodes", "lws-slots", 8), ("several nodes without gpus", "lws-slots", 2)):
            with self.subTest(mode):
                self.assertEqual(int(chart.flag(chart.pod_templates(chart.rendered(chart.MODES[mode]))["leader"], name)), ranks)

    def test_every_pod_with_ranks_has_the_same_resources_as_requests_and_limits(self):
        for mode, values, _, template in pods():
            if mode.endswith(": test"):
                continue
            with self.subTest(mode):
                resources = chart.container(template)["resources"]
                self.assertEqual(resources["requests"], resources["limits"])
                self.assertEqual(resources["limits"].get("nvidia.com/gpu", 0), values.get("gpu", {}).get("count", 0))
                self.assertEqual(resources["limits"].get("rdma/hca", 0), 1 if "rdma" in values else 0)

    def test_a_rollout_needs_no_spare_gpus(self):
        deployment = chart.only(chart.rendered(chart.MODES["gpus on one node"]), "Deployment")
        self.assertEqual(deployment["spec"]["strategy"]["rollingUpdate"], {"maxSurge": 0, "maxUnavailable": 1})
        group = chart.only(chart.rendered(chart.MODES["several groups"]), "LeaderWorkerSet")
        self.assertEqual(group["spec"]["rolloutStrategy"]["rollingUpdateConfiguration"], {"maxSurge": 0, "maxUnavailable": 1})


class Groups(unittest.TestCase):
    def setUp(self):
        self.objects = chart.rendered(chart.MODES["several groups"])
        self.group = chart.only(self.objects, "LeaderWorkerSet")

    def test_workers_do_not_wait_for_the_leader_and_a_lost_pod_takes_its_group(self):
        self.assertEqual(self.group["spec"]["startupPolicy"], "LeaderCreated")
        template = self.group["spec"]["leaderWorkerTemplate"]
        self.assertEqual((template["size"], template["restartPolicy"]), (2, "RecreateGroupOnPodRestart"))

    def test_one_node_needs_no_ssh(self):
        template = chart.pod_templates(chart.rendered(chart.MODES["gpus on one node"]))["leader"]
        self.assertNotIn("ssh", json.dumps(template))

    def test_workers_are_probed_at_their_ssh_server_only(self):
        worker = chart.container(chart.pod_templates(self.objects)["worker"])
        self.assertEqual(worker["readinessProbe"]["tcpSocket"], {"port": "ssh"})
        self.assertNotIn("livenessProbe", worker)
        self.assertNotIn("startupProbe", worker)
        self.assertNotIn("lifecycle", worker)

    def test_pods_of_a_group_find_each_other_by_plain_names(self):
        for role in ("leader", "worker"):
            dns = chart.pod_templates(self.objects)[role]["spec"]["dnsConfig"]
            self.assertEqual(dns["searches"], [f"{self.group['metadata']['name']}.models.svc.cluster.local"])

    def test_ranks_on_other_pods_get_the_environment(self):
        objects = chart.rendered(chart.MODES["every wish for pods"])
        leader = chart.container(chart.pod_templates(objects)["leader"])
        forwarded = {a.split("=")[1] for a in leader["args"] if a.startswith("--env=")}
        self.assertEqual(forwarded, {e["name"] for e in leader["env"]})
        rdma = chart.container(chart.pod_templates(chart.rendered(chart.MODES["rdma"]))["leader"])
        self.assertLessEqual({"--env=NCCL_IB_HCA", "--env=NCCL_SOCKET_IFNAME"}, set(rdma["args"]))

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
        self.assertIn({"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}, policy["egress"])

    @unittest.skipUnless(shutil.which("ssh-keygen"), "there is no ssh-keygen")
    def test_ssh_reads_the_key_that_the_chart_makes(self):
        secret = next(o for o in chart.of_kind(self.objects, "Secret") if o["type"] == "kubernetes.io/ssh-auth")
        with tempfile.TemporaryDirectory() as folder:
            key = pathlib.Path(folder) / "key"
            key.touch(mode=0o600)
            key.write_bytes(base64.b64decode(secret["data"]["ssh-privatekey"]))
            public = subprocess.run(["ssh-keygen", "-y", "-f", key], capture_output=True, text=True, check=True).stdout
        self.assertTrue(public.startswith("ecdsa-sha2-nistp256 "), public)


class Security(unittest.TestCase):
    def test_every_pod_is_restricted(self):
        for mode, values, _, template in pods():
            with self.subTest(mode):
                spec, box = template["spec"], chart.container(template)
                for field in ("hostNetwork", "hostPID", "hostIPC", "initContainers", "ephemeralContainers"):
                    self.assertNotIn(field, spec)
                self.assertIs(spec["securityContext"]["runAsNonRoot"], True)
                self.assertGreater(spec["securityContext"]["runAsUser"], 0)
                self.assertEqual(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
                self.assertEqual(box["securityContext"], {
                    "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}})
                self.assertFalse([p for p in box.get("ports", []) if "hostPort" in p])
                for volume in spec.get("volumes", []):
                    (kind,) = set(volume) - {"name"}
                    if not (kind == "hostPath" and values["model"].get("hostPath")):
                        self.assertIn(kind, VOLUME_KINDS)

    def test_pods_have_no_token(self):
        for mode, _, objects, template in pods():
            with self.subTest(mode):
                self.assertIs(template["spec"]["automountServiceAccountToken"], False)
                for account in chart.of_kind(objects, "ServiceAccount"):
                    self.assertIs(account["automountServiceAccountToken"], False)

    def test_secrets_and_models_are_mounted_for_reading(self):
        writable = {"shared-memory", "tmp", "home"}
        for mode, _, _, template in pods():
            for mount in chart.container(template).get("volumeMounts", []):
                with self.subTest(f"{mode}: {mount['name']}"):
                    self.assertEqual(mount.get("readOnly", False), mount["name"] not in writable)

    def test_files_of_secrets_are_for_the_pods_group_only(self):
        for mode, _, _, template in pods():
            for volume in template["spec"].get("volumes", []):
                if "secret" in volume:
                    with self.subTest(f"{mode}: {volume['name']}"):
                        self.assertEqual(volume["secret"]["defaultMode"], 0o440)

    def test_shared_memory_is_memory_with_a_size(self):
        values = chart.merged(chart.MODES["cpu on one node"], {"sharedMemory": {"size": "2Gi"}})
        template = chart.pod_templates(chart.rendered(values))["leader"]
        volume = next(v for v in template["spec"]["volumes"] if v["name"] == "shared-memory")
        self.assertEqual(volume["emptyDir"], {"medium": "Memory", "sizeLimit": "2Gi"})

    def test_probes_ask_the_admin_port_without_tls_in_every_mode(self):
        for mode, _, _, template in pods():
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                action = chart.container(template).get(probe, {}).get("httpGet")
                if action:
                    with self.subTest(f"{mode}: {probe}"):
                        self.assertEqual((action["port"], action["scheme"]), ("admin", "HTTP"))

    def test_the_admin_port_is_in_no_service_that_clients_or_the_world_reach(self):
        for mode, _, objects in modes():
            for service in chart.of_kind(objects, "Service"):
                if any(p["targetPort"] == "admin" for p in service["spec"]["ports"]):
                    with self.subTest(mode):
                        self.assertEqual(service["spec"].get("clusterIP"), "None")
                        self.assertEqual(len(service["spec"]["ports"]), 1)

    def test_clients_reach_the_client_ports_and_scrapers_the_admin_port(self):
        for mode, values, objects in modes():
            for policy in chart.of_kind(objects, "NetworkPolicy"):
                clients, metrics = policy["spec"]["ingress"][:2]
                with self.subTest(mode):
                    self.assertEqual({p["port"] for p in clients["ports"]}, {"grpc", "http"})
                    self.assertEqual({p["port"] for p in metrics["ports"]}, {"admin"})

    def test_only_the_test_needs_a_certificate_where_clients_do(self):
        objects = chart.rendered(chart.MODES["certificates of clients and a test"])
        leader = chart.container(chart.pod_templates(objects)["leader"])
        self.assertNotIn("/etc/sdar/client", [mount["mountPath"] for mount in leader["volumeMounts"]])
        self.assertIn("--cert /etc/sdar/client/tls.crt", chart.container(chart.pod_templates(objects)["test"])["args"][0])

    def test_api_keys_are_lines_of_a_file(self):
        objects = chart.rendered(chart.MODES["tls and keys on several nodes"])
        secret = next(o for o in chart.of_kind(objects, "Secret") if o["metadata"]["name"].endswith("api-keys"))
        self.assertEqual(base64.b64decode(secret["data"]["keys"]), b"key-of-one-client\nkey-of-another-one\n")

    def test_new_keys_do_not_mean_new_pods_as_the_server_reads_them_again(self):
        pods_of = []
        for keys in (["key-of-one-client"], ["key-of-another-one"]):
            values = chart.merged(chart.MODES["cpu on one node"], {"apiKeys": {"keys": keys}})
            pods_of.append(chart.pod_templates(chart.rendered(values))["leader"])
        self.assertEqual(*pods_of)


class Image(unittest.TestCase):
    """The chart and the image agree."""

    def test_the_user_is_the_images(self):
        made = (chart.ROOT / "deploy/docker/prepare_runtime.sh").read_text()
        for _, _, _, template in pods():
            context = template["spec"]["securityContext"]
            self.assertIn(f"useradd --uid {context['runAsUser']} --gid {context['runAsGroup']} ", made)
            self.assertEqual(context["fsGroup"], context["runAsGroup"])
        self.assertIn("--home-dir /home/sdar", made)

    def test_ports_and_keys_of_ssh_are_those_of_its_configuration(self):
        config = (chart.ROOT / "deploy/docker/ssh_config").read_text()
        templates = chart.pod_templates(chart.rendered(chart.MODES["several nodes"]))
        (port,) = chart.container(templates["worker"])["ports"]
        self.assertIn(f"Port {port['containerPort']}\n", config)
        self.assertEqual(int(chart.flag(templates["leader"], "ssh-port")), port["containerPort"])
        for template in (templates["leader"], templates["worker"]):
            mount = next(m for m in chart.container(template)["volumeMounts"] if m["name"] == "ssh")
            self.assertIn(f"IdentityFile {mount['mountPath']}/ssh-privatekey\n", config)

    def test_ports_of_the_leader_are_those_it_listens_on(self):
        leader = chart.pod_templates(chart.rendered(chart.MODES["cpu on one node"]))["leader"]
        ports = {p["name"]: str(p["containerPort"]) for p in chart.container(leader)["ports"]}
        self.assertEqual(ports, {"grpc": chart.flag(leader, "port"), "http": chart.flag(leader, "http-port"),
                                 "admin": chart.flag(leader, "admin-port")})
        self.assertEqual(chart.flag(leader, "admin-host"), "0.0.0.0")

    def test_the_version_is_the_projects(self):
        version = re.search(r"project\(sdar VERSION ([\d.]+)", (chart.ROOT / "CMakeLists.txt").read_text()).group(1)
        leader = chart.pod_templates(chart.rendered(chart.MODES["cpu on one node"]))["leader"]
        self.assertEqual(chart.container(leader)["image"], f"sdar:{version}")


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
        for mode, _, objects in modes():
            with self.subTest(mode):
                self.assertEqual(not chart.of_kind(objects, "Pod"), mode == "certificates of clients")

    def test_it_is_a_hook_and_ends(self):
        pod = chart.only(chart.rendered(chart.MODES["cpu on one node"]), "Pod")
        self.assertEqual(pod["metadata"]["annotations"]["helm.sh/hook"], "test")
        self.assertEqual(pod["spec"]["restartPolicy"], "Never")
        self.assertIn("activeDeadlineSeconds", pod["spec"])

    def test_its_script_is_a_script_in_every_mode(self):
        for mode, _, _, template in pods():
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
