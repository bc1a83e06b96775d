# SPDX-License-Identifier: Apache-2.0
"""What people type after `helm install --set`: each line is taken, with its effect, or refused with a sentence."""

import unittest

import yaml

import chart

DIGEST = "sha256:" + "12" * 32
OPEN = "networkPolicy.enabled=false"

# A line; an object; where in it the effect is seen; what is seen there. `box` stands for the server's container.
TAKEN = [
    ("replicas=2", "Deployment", "spec.replicas", 2),
    ("image.repository=ghcr.io/example/sdar,image.tag=main", "box", "image", "ghcr.io/example/sdar:main"),
    ("image.tag=20260101", "box", "image", "sdar:20260101"),
    ("image.tag=1.10", "box", "image", "sdar:1.10"),
    (f"image.digest={DIGEST}", "box", "image", f"sdar:0.1.0@{DIGEST}"),
    ("image.pullPolicy=Always", "box", "imagePullPolicy", "Always"),
    ("image.pullSecrets={registry}", "pod", "imagePullSecrets", [{"name": "registry"}]),
    ("resources.cpu=8", "box", "resources.limits.cpu", "8"),
    ("resources.cpu=500m", "box", "resources.requests.cpu", "500m"),
    ("resources.memory=32Gi", "box", "resources.requests.memory", "32Gi"),
    ("resources.limits.memory=64Gi", "box", "resources.limits.memory", "64Gi"),
    ("resources.requests.cpu=1", "box", "resources", {"requests": {"cpu": "1", "memory": "16Gi"},
                                                      "limits": {"cpu": "4", "memory": "16Gi"}}),
    ("resources.limits.ephemeral-storage=10Gi", "box", "resources.requests.ephemeral-storage", "10Gi"),
    ("gpu.count=1", "flag", "device", "cuda"),
    ("gpu.count=2", "flag", "ranks", "2"),
    ("gpu.count=4,server.tensorParallel=2", "flag", "tensor-parallel", "2"),
    ("nodes=2,gpu.count=8,ssh.existingSecret=chat-key", "LeaderWorkerSet", "spec.leaderWorkerTemplate.size", 2),
    ("nodes=2,ssh.existingSecret=chat-key,restartPolicy=None", "LeaderWorkerSet",
     "spec.leaderWorkerTemplate.restartPolicy", "None"),
    ("podLabels.team=42", "Deployment", "spec.template.metadata.labels.team", "42"),
    ("podAnnotations.scrape=true", "Deployment", "spec.template.metadata.annotations.scrape", "true"),
    ("workloadLabels.kueue\\.x-k8s\\.io/queue-name=gpus", "Deployment", "metadata.labels.kueue\\.x-k8s\\.io/queue-name", "gpus"),
    ("nodeSelector.pool=1", "pod", "nodeSelector.pool", "1"),
    ("nodeSelector.kubernetes\\.io/arch=arm64", "pod", "nodeSelector", {"kubernetes.io/arch": "arm64"}),
    ("tolerations[0].key=pool,tolerations[0].value=7", "pod", "tolerations.0", {"key": "pool", "value": "7"}),
    ("extraEnv[0].name=NCCL_IB_DISABLE,extraEnv[0].value=1", "box", "env.2", {"name": "NCCL_IB_DISABLE", "value": "1"}),
    ("extraEnv[0].name=DEBUG,extraEnv[0].value=true", "box", "env.2.value", "true"),
    ("extraArgs={--max-waiting=100,--log-format=json}", "flag", "log-format", "json"),
    ("extraArgs[0]=--threads=2", "flag", "threads", "2"),
    (f"service.type=LoadBalancer,{OPEN}", "Service", "spec.type", "LoadBalancer"),
    ("service.type=LoadBalancer,networkPolicy.clients[0].ipBlock.cidr=0.0.0.0/0", "NetworkPolicy",
     "spec.ingress.0.from.1", {"ipBlock": {"cidr": "0.0.0.0/0"}}),
    ("service.httpPort=80", "Service", "spec.ports.1.port", 80),
    ("service.annotations.internal=true", "Service", "metadata.annotations.internal", "true"),
    ("model.existingClaim=,model.hostPath=/srv/models", "pod", "volumes.0.hostPath.path", "/srv/models"),
    ("model.existingClaim=,model.source.nfs.server=10.0.0.1,model.source.nfs.path=/m", "pod", "volumes.0.nfs.path", "/m"),
    ("model.existingClaim=2026", "pod", "volumes.0.persistentVolumeClaim.claimName", "2026"),
    ("model.path=SDAR-8B-Chat", "flag", "model", "/models/SDAR-8B-Chat"),
    ("model.path=8", "flag", "model", "/models/8"),
    ("model.servedName=8", "flag", "served-model-name", "8"),
    ("server.kvMemory=8GiB", "flag", "kv-memory", "8GiB"),
    ("server.kvMemory=0.9", "flag", "kv-memory", "0.9"),
    ("server.kvMemory=1073741824", "flag", "kv-memory", "1073741824"),
    ("server.host=::", "flag", "host", "::"),
    ("sharedMemory.size=8Gi", "pod", "volumes.1.emptyDir.sizeLimit", "8Gi"),
    ("network.interface=eth0", "box", "env.3", {"name": "OMPI_MCA_btl_tcp_if_include", "value": "eth0"}),
    ("rollout.maxSurge=1", "Deployment", "spec.strategy.rollingUpdate", {"maxSurge": 1, "maxUnavailable": 0}),
    ("autoscaling.kind=hpa,autoscaling.maxReplicas=8", "HorizontalPodAutoscaler", "spec.maxReplicas", 8),
    (f"ingress.enabled=true,ingress.hosts[0]=chat.example.org,{OPEN}", "Ingress", "spec.rules.0.host", "chat.example.org"),
    (f"httpRoute.enabled=true,httpRoute.parentRefs[0].name=public,{OPEN}", "HTTPRoute", "spec.parentRefs", [{"name": "public"}]),
    ("runtimeClassName=nvidia", "pod", "runtimeClassName", "nvidia"),
    ("schedulerName=volcano", "pod", "schedulerName", "volcano"),
    ("podSecurityContext.fsGroup=2000", "pod", "securityContext.fsGroup", 2000),
    ("drain.timeoutSeconds=600,drain.delaySeconds=0", "pod", "terminationGracePeriodSeconds", 630),
    ("tls.existingSecret=chat-tls", "flag", "tls-cert", "/etc/sdar/tls/tls.crt"),
    ("apiKeys.keys={key-of-one-client}", "flag", "api-keys-file", "/etc/sdar/api-keys/keys"),
    ("serviceAccount.create=false,serviceAccount.name=models", "pod", "serviceAccountName", "models"),
    ("monitoring.serviceMonitor.enabled=true,monitoring.serviceMonitor.labels.release=1", "ServiceMonitor",
     "metadata.labels.release", "1"),
]

REFUSED = [
    ("model.existingClaim=", "set exactly one of model.existingClaim (a PersistentVolumeClaim with the model)"),
    ("model=SDAR-8B-Chat", "model: Invalid type. Expected: object, given: string"),
    ("model.path=/models/SDAR-8B-Chat", "model.path: expected a folder within the volume, such as SDAR-8B-Chat"),
    ("model.existingClaim=,model.source.emptyDir.medium=Memory", "model.source is an emptyDir, which nothing fills"),
    ("replicaCount=2", "Additional property replicaCount is not allowed"),
    ("persistence.enabled=true", "Additional property persistence is not allowed"),
    ("imagePullSecrets[0].name=registry", "Additional property imagePullSecrets is not allowed"),
    ("env[0].name=A", "Additional property env is not allowed"),
    ("service.port=80", "service: Additional property port is not allowed"),
    ("autoscaling.enabled=true", "autoscaling: Additional property enabled is not allowed"),
    ("resources.cpu=lots", "resources.cpu: Does not match pattern"),
    ("resources.limits.nvidia\\.com/gpu=1", "resources.limits: set gpu.count instead of nvidia.com/gpu"),
    ("gpu.count=one", "gpu.count: Invalid type. Expected: integer, given: string"),
    ("gpu=1", "gpu: Invalid type. Expected: object, given: integer"),
    ("server.device=gpu", 'server.device must be one of the following: "auto", "cpu", "cuda"'),
    ("server.device=cuda", "server.device is cuda, but gpu.count is 0"),
    ("server.kvMemory=8Gi", "server.kvMemory: expected an amount such as 8GiB or 512MiB"),
    ("nodes=2", "set ssh.existingSecret (docs/kubernetes.md says how to make one)"),
    ("gpu.count=4,ranksPerNode=8", "ranksPerNode is 8, but a pod has gpu.count = 4 GPUs"),
    ("service.type=LoadBalancer", "service.type LoadBalancer lets clients in from elsewhere, but the NetworkPolicy"),
    ("ingress.enabled=true", "set networkPolicy.clients (everyone: --set networkPolicy.clients[0].ipBlock.cidr=0.0.0.0/0"),
    ("ingress.hosts[0].host=chat.example.org", "ingress.hosts.0: Invalid type. Expected: string, given: object"),
    ("extraArgs=--max-waiting=1", "extraArgs: Invalid type. Expected: array, given: string"),
    ("extraArgs[0]=--port=9000", "extraArgs: --port=9000 is a flag that the chart sets from a value of its own"),
    ("extraEnv.DEBUG=true", "extraEnv: Invalid type. Expected: array, given: object"),
    ("apiKeys.keys={secret}", "apiKeys.keys.0: Does not match pattern"),
    ("tls.enabled=true", "tls: Additional property enabled is not allowed"),
    ("podLabels.app\\.kubernetes\\.io/name=chat", "podLabels: the chart finds its own objects by the label"),
    ("replicas=-1", "replicas: Must be greater than or equal to 0"),
]


def typed(line):
    return chart.helm("template", {"model": {"existingClaim": "given-model"}}, arguments=["--set", line])


def seen(objects, kind, path):
    """What stands at a path of an object, whose dots are escaped as in --set."""
    leader = chart.pod_templates(objects)["leader"]
    if kind == "flag":
        return chart.flag(leader, path)
    named = {"box": chart.container(leader), "pod": leader["spec"]}
    node = named.get(kind) or next(o for o in objects if o["kind"] == kind)
    for key in path.replace("\\.", "\0").split("."):
        key = key.replace("\0", ".")
        node = node[int(key)] if isinstance(node, list) else node[key]
    return node


class Typed(unittest.TestCase):
    def test_there_are_enough_lines(self):
        lines = [line for line, *_ in TAKEN + REFUSED]
        self.assertEqual(len(set(lines)), len(lines))
        self.assertGreaterEqual(len(lines), 30)

    def test_what_is_taken_has_its_effect(self):
        for line, kind, path, expected in TAKEN:
            with self.subTest(line):
                result = typed(line)
                self.assertEqual(result.returncode, 0, result.stderr)
                objects = [o for o in yaml.safe_load_all(result.stdout) if o]
                self.assertEqual(seen(objects, kind, path), expected)

    def test_what_is_not_taken_is_refused_with_a_sentence(self):
        for line, sentence in REFUSED:
            with self.subTest(line):
                result = typed(line)
                self.assertNotEqual(result.returncode, 0)
                self.assertIn(sentence, result.stderr)


if __name__ == "__main__":
    unittest.main()
