# SPDX-License-Identifier: Apache-2.0
"""Pods for `podman kube play` from what the chart renders: what the controllers of a cluster would make of it.

podman 4.3 knows neither probes (without systemd) nor hooks, nor the ownership of a pod's volumes: the tests ask the
probes themselves, and Secrets and Claims become folders of this machine, owned as the kubelet would.
"""

import copy
import os
import shutil
import subprocess

import yaml
from real_parts import FOLDER, IMAGE, MODEL, run
import chart
from podman import NETWORK, SUBNET, inspect, logs, podman

KEYS = FOLDER / "secrets"
REPOSITORY, TAG = IMAGE.split(":")

VALUES = {
    "image": {"repository": REPOSITORY, "tag": TAG, "pullPolicy": "Never"},
    "model": {"existingClaim": "models", "path": "sdar-tiny"},
    "resources": {"cpu": "1", "memory": "512Mi"},
    "sharedMemory": {"size": "128Mi"},
    "ranksPerNode": 2,
    "drain": {"timeoutSeconds": 30, "delaySeconds": 2},
}


def secret(name, files):
    """A folder as the kubelet mounts a Secret with mode 0440 into a pod with fsGroup 10001."""
    folder = KEYS / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file, content in files.items():
        (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    own(folder)
    return folder


def own(folder):
    for path in [folder, *folder.iterdir()]:
        os.chown(path, 0, 10001)
        path.chmod(0o750 if path.is_dir() else 0o440)


def ssh_key():
    """A private key, as the chart makes it."""
    folder = FOLDER / "new-key"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    run("ssh-keygen", "-q", "-t", "ecdsa", "-m", "PEM", "-N", "", "-f", folder / "key")
    return (folder / "key").read_bytes()


class Pod:
    """A pod of this machine, and the container in it that holds ranks or waits for them."""

    def __init__(self, definition, address, restart):
        self.name, self.address = definition["metadata"]["name"], address
        self.container = f"{self.name}-sdar"
        definition["spec"]["restartPolicy"] = restart
        (self.main,) = [c for c in definition["spec"]["containers"] if c["name"] == "sdar"]
        self.volumes = [v["name"] for v in definition["spec"]["volumes"] if "emptyDir" in v]
        self.file = FOLDER / f"{self.name}.yaml"
        self.file.write_text(yaml.safe_dump(definition))
        self.grace = definition["spec"]["terminationGracePeriodSeconds"]

    def start(self):
        # With a hardware address that stays: neighbours would need most of a minute to notice another.
        hardware = f"92:5d:a2:00:00:{int(self.address.split('.')[-1]):02x}"
        podman("kube", "play", "--network", NETWORK, "--ip", self.address, "--mac-address", hardware, self.file)

    def remove(self):
        podman("pod", "rm", "--force", "--time", "0", self.name, check=False)
        for volume in self.volumes:
            podman("volume", "rm", "--force", volume, check=False)

    def run_hook(self):
        """What the kubelet runs before it stops the container."""
        hook = self.main.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command")
        if hook:
            podman("exec", self.container, *hook)

    def stop(self):
        """As the kubelet does: SIGTERM, and SIGKILL after the pod's grace."""
        podman("stop", "--time", self.grace, self.container, timeout=self.grace + 60)

    def logs(self):
        return logs(self.container)

    def exec(self, *command, **options):
        return podman("exec", self.container, *command, **options)

    def state(self):
        return inspect(self.container)["State"]

    def first_process(self):
        return self.state()["Pid"]

    def ranks(self):
        """Ids on this machine of the sdar-serve processes in the pod, by rank."""
        return [int(p) for p in self.all_processes("sdar-serve")]

    def all_processes(self, name):
        namespace = os.readlink(f"/proc/{self.first_process()}/ns/pid")
        found = []
        for p in subprocess.run(["pgrep", "-x", name], capture_output=True, text=True, check=False).stdout.split():
            try:
                if os.readlink(f"/proc/{p}/ns/pid") == namespace:
                    found.append(p)
            except OSError:
                continue
        return found

    def files(self):
        """What lies in the folders that it may write to."""
        return sorted(self.exec("find", "/dev/shm", "/tmp", "-type", "f").splitlines())


def _claim(volume):
    if "persistentVolumeClaim" in volume:
        del volume["persistentVolumeClaim"]
        volume["hostPath"] = {"path": str(MODEL.parent), "type": "Directory"}


def _secret(volume):
    if "secret" in volume:
        name = volume.pop("secret")["secretName"]
        volume["hostPath"] = {"path": str(KEYS / name), "type": "Directory"}


def _played(template, name, aliases, environment):
    """The definition of a pod of this template."""
    definition = {"apiVersion": "v1", "kind": "Pod", **copy.deepcopy(template)}
    definition["metadata"]["name"] = name
    spec = definition["spec"]
    spec.update(hostname=name, hostAliases=aliases)
    spec.pop("dnsConfig", None)
    for container in spec["containers"]:
        container.pop("ports", None)  # podman 4.3 would publish them on this machine
        container["env"] = [{"name": k, "value": v} for k, v in environment.items()] + container.get("env", [])
    for volume in spec["volumes"]:
        _claim(volume)
        _secret(volume)
        if "emptyDir" in volume:  # podman 4.3 makes those of one name the same in all pods
            old, volume["name"] = volume["name"], f"{name}-{volume['name']}"
            for container in spec["containers"]:
                for mount in container["volumeMounts"]:
                    mount["name"] = volume["name"] if mount["name"] == old else mount["name"]
    return definition


def pods(values, restart="Always"):
    """The pods of one copy, the leader first."""
    objects = chart.rendered(chart.merged(VALUES, values))
    templates = chart.pod_templates(objects)
    groups = chart.of_kind(objects, "LeaderWorkerSet")
    if not groups:
        name = chart.only(objects, "Deployment")["metadata"]["name"]
        return [Pod(_played(templates["leader"], name, [], {}), f"{SUBNET}.10", restart)]
    name, size = groups[0]["metadata"]["name"], groups[0]["spec"]["leaderWorkerTemplate"]["size"]
    leader = f"{name}-0"
    hosts = [leader, *(f"{leader}-{i}" for i in range(1, size))]
    domain = f"{name}.{chart.NAMESPACE}"
    aliases = [{"ip": f"{SUBNET}.{10 + i}", "hostnames": [h, f"{h}.{name}", f"{h}.{domain}", f"{h}.{domain}.svc.cluster.local"]}
               for i, h in enumerate(hosts)]
    result = []
    for index, host in enumerate(hosts):
        environment = {"LWS_LEADER_ADDRESS": f"{leader}.{domain}", "LWS_GROUP_SIZE": str(size), "LWS_WORKER_INDEX": str(index)}
        template = templates["worker" if index else "leader"]
        result.append(Pod(_played(template, host, aliases, environment), f"{SUBNET}.{10 + index}", restart))
    return result
