# SPDX-License-Identifier: Apache-2.0
"""Pods of the chart are restricted, its secrets are read by those who need them, and the image fits."""

import base64
import re
import unittest

import chart

# https://kubernetes.io/docs/concepts/security/pod-security-standards, level restricted.
VOLUME_KINDS = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


class Security(unittest.TestCase):
    def test_every_pod_is_restricted(self):
        for mode, values, _, template in chart.pods():
            with self.subTest(mode):
                spec, box = template["spec"], chart.container(template)
                for field in ("hostNetwork", "hostPID", "hostIPC", "ephemeralContainers"):
                    self.assertNotIn(field, spec)
                if "podSecurityContext" in values:
                    continue
                self.assertIs(spec["securityContext"]["runAsNonRoot"], True)
                self.assertGreater(spec["securityContext"]["runAsUser"], 0)
                self.assertEqual(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
                self.assertEqual(box["securityContext"], {
                    "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}})
                self.assertFalse([p for p in box.get("ports", []) if "hostPort" in p])
                for volume in spec.get("volumes", []):
                    (kind,) = set(volume) - {"name"}
                    if not (kind == "hostPath" and values["model"].get("hostPath")):
                        self.assertIn(kind, {*VOLUME_KINDS, *values["model"].get("source", {})})

    def test_a_container_of_the_user_is_restricted_unless_it_says_otherwise(self):
        template = chart.pod_templates(chart.rendered(chart.MODES["every wish for pods"]))["worker"]
        wait, server, logs = chart.containers(template)
        self.assertEqual(wait["image"], server["image"])
        self.assertEqual(wait["securityContext"], {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}})
        self.assertEqual((logs["image"], logs["securityContext"]), ("fluent-bit:4", {"runAsUser": 2000}))
        self.assertNotIn("imagePullPolicy", logs)

    def test_security_contexts_can_be_changed_member_by_member(self):
        values = chart.merged(chart.MODES["cpu on one node"], {
            "podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None},
            "securityContext": {"readOnlyRootFilesystem": False, "capabilities": {"add": ["IPC_LOCK"]}}})
        for role, template in chart.pod_templates(chart.rendered(values)).items():
            with self.subTest(role):
                self.assertEqual(template["spec"]["securityContext"], {
                    "runAsNonRoot": True, "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"}})
                self.assertEqual(chart.container(template)["securityContext"], {
                    "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": False,
                    "capabilities": {"drop": ["ALL"], "add": ["IPC_LOCK"]}})

    def test_ssh_logs_in_as_the_user_of_the_pods(self):
        for mode, end in (("several nodes", "ssh_config"), ("rdma as root", "ssh_config -l root")):
            leader = chart.pod_templates(chart.rendered(chart.MODES[mode]))["leader"]
            self.assertTrue(chart.flag(leader, "ssh-args").endswith(end), mode)

    def test_the_home_of_pods_that_hold_ranks_can_be_written_to_whoever_their_user_is(self):
        for mode, _, _, template in chart.pods():
            if mode.endswith(": test"):
                continue
            with self.subTest(mode):
                home = chart.environment(template)["HOME"]
                (mount,) = [m for m in chart.container(template)["volumeMounts"] if m["mountPath"] == home]
                self.assertFalse(mount.get("readOnly"))
                (volume,) = [v for v in template["spec"]["volumes"] if v["name"] == mount["name"]]
                self.assertIn("emptyDir", volume)

    def test_pods_have_no_token(self):
        for mode, _, objects, template in chart.pods():
            with self.subTest(mode):
                self.assertIs(template["spec"]["automountServiceAccountToken"], False)
                for account in chart.of_kind(objects, "ServiceAccount"):
                    self.assertIs(account["automountServiceAccountToken"], False)

    def test_secrets_and_models_are_mounted_for_reading(self):
        writable = {"shared-memory", "tmp", "home", "cache"}
        for mode, _, _, template in chart.pods():
            for mount in chart.container(template).get("volumeMounts", []):
                with self.subTest(f"{mode}: {mount['name']}"):
                    self.assertEqual(mount.get("readOnly", False), mount["name"] not in writable)

    def test_files_of_secrets_are_for_the_pods_group_only(self):
        for mode, _, _, template in chart.pods():
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
        for mode, _, _, template in chart.pods():
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                action = chart.container(template).get(probe, {}).get("httpGet")
                if action:
                    with self.subTest(f"{mode}: {probe}"):
                        self.assertEqual((action["port"], action["scheme"]), ("admin", "HTTP"))

    def test_the_admin_port_is_in_no_service_that_clients_or_the_world_reach(self):
        for mode, _, objects in chart.modes():
            for service in chart.of_kind(objects, "Service"):
                if any(p["targetPort"] == "admin" for p in service["spec"]["ports"]):
                    with self.subTest(mode):
                        self.assertEqual(service["spec"].get("clusterIP"), "None")
                        self.assertEqual(service["spec"].get("type", "ClusterIP"), "ClusterIP")
                        self.assertEqual(len(service["spec"]["ports"]), 1)

    def test_clients_reach_the_client_ports_and_scrapers_the_admin_port(self):
        for mode, values, objects in chart.modes():
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
        for _, values, _, template in chart.pods():
            context = template["spec"]["securityContext"]
            if "podSecurityContext" in values:
                continue
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

    def test_all_ports_are_on_the_addresses_that_are_asked_for(self):
        for host in ("0.0.0.0", "::", "10.0.0.1,fd00::1"):
            values = chart.merged(chart.MODES["cpu on one node"], {"server": {"host": host}})
            leader = chart.pod_templates(chart.rendered(values))["leader"]
            self.assertEqual((chart.flag(leader, "host"), chart.flag(leader, "admin-host")), (host, host))

    def test_the_version_is_the_projects(self):
        version = re.search(r"project\(sdar VERSION ([\d.]+)", (chart.ROOT / "CMakeLists.txt").read_text()).group(1)
        leader = chart.pod_templates(chart.rendered(chart.MODES["cpu on one node"]))["leader"]
        self.assertEqual(chart.container(leader)["image"], f"sdar:{version}")

    def test_a_tag_of_digits_stays_as_it_is_and_a_digest_follows_it(self):
        for template in chart.pod_templates(chart.rendered(chart.MODES["every wish for pods"])).values():
            self.assertEqual(chart.container(template)["image"], "sdar:20260101@sha256:" + "0a" * 32)


if __name__ == "__main__":
    unittest.main()
