# SPDX-License-Identifier: Apache-2.0
"""Ways to use the chart that differ in what it renders. Names of what the user has to bring begin with `given-`."""


def merged(*values):
    """Values with later ones over earlier ones, maps member by member."""
    result = {}
    for value in values:
        for key, member in value.items():
            both = isinstance(member, dict) and isinstance(result.get(key), dict)
            result[key] = merged(result[key], member) if both else member
    return result


_CLAIM = {"model": {"existingClaim": "given-model"}}
_TLS = {"tls": {"existingSecret": "given-tls"}}
_GROUP = {"nodes": 2, "gpu": {"count": 8}, "ssh": {"existingSecret": "given-ssh"}}
_ANYONE = {"networkPolicy": {"clients": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}}
_GATEWAY = [{"name": "given-gateway", "namespace": "gateways"}]

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
            _GROUP, {"autoscaling": {"kind": "keda", "keda": {
                "prometheusAddress": "http://p:9090", "query": "sum(x)", "authModes": "bearer", "authentication": "given-token"}}}),
        "monitoring": {"monitoring": {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}}},
        "monitoring over tls": merged(
            _TLS, {"monitoring": {"serviceMonitor": {"enabled": True}}}),
        "rdma": merged(_GROUP, {"rdma": {"enabled": True, "hca": "mlx5"}, "network": {"interface": "eth0,eth1"}}),
        "rdma as root": merged(_GROUP, {
            "rdma": {"enabled": True}, "podSecurityContext": {"runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": False},
            "securityContext": {"capabilities": {"add": ["IPC_LOCK", "SETGID", "SETUID", "SYS_CHROOT"]}}}),
        "ingress": merged(_ANYONE, {"ingress": {
            "enabled": True, "className": "nginx", "hosts": ["chat.example.org", "*.example.net"],
            "annotations": {"nginx.ingress.kubernetes.io/proxy-read-timeout": 3600},
            "tls": [{"secretName": "given-certificate", "hosts": ["chat.example.org"]}]}}),
        "ingress of every name": merged(_ANYONE, _TLS, {"ingress": {"enabled": True}}),
        "routes": merged(_ANYONE, {
            "httpRoute": {"enabled": True, "parentRefs": _GATEWAY, "hostnames": ["chat.example.org"], "annotations": {"a": 1}},
            "grpcRoute": {"enabled": True, "parentRefs": _GATEWAY, "hostnames": ["grpc.example.org"]}}),
        "inference pool": merged(_ANYONE, {
            "inferencePool": {"enabled": True, "endpointPicker": {"name": "given-picker", "failureMode": "FailClose"}},
            "httpRoute": {"enabled": True, "parentRefs": _GATEWAY, "timeout": ""}}),
        "inference pool of groups": merged(_ANYONE, _GROUP, {
            "inferencePool": {"enabled": True, "endpointPicker": {"name": "given-picker", "port": 9003}}}),
        "model fetched by a container": {
            "model": {"existingClaim": "", "source": {"emptyDir": {"sizeLimit": "40Gi"}}},
            "initContainers": [{"name": "fetch", "image": "python:3.12-slim", "command": ["fetch"],
                                "volumeMounts": [{"name": "model", "mountPath": "/models"}]}]},
        "model of any volume": merged(_GROUP, {
            "model": {"existingClaim": "", "source": {"nfs": {"server": "files.example.org", "path": "/m", "readOnly": True}}}}),
        "folder of the nodes": {"model": {"existingClaim": "", "hostPath": "/srv/models", "path": "SDAR-8B-Chat"}},
        "nothing optional": {
            "service": {"headless": False}, "networkPolicy": {"enabled": False},
            "podDisruptionBudget": {"enabled": False}, "serviceAccount": {"create": False}},
        "every wish for pods": merged(_GROUP, {
            "image": {"pullSecrets": ["given-registry"], "tag": 20260101, "digest": "sha256:" + "0a" * 32},
            "restartPolicy": "RecreateGroupAfterStart", "rollout": {"maxSurge": "25%"}, "schedulerName": "volcano",
            "workloadLabels": {"kueue.x-k8s.io/queue-name": "gpus"}, "workloadAnnotations": {"note": 1},
            "resources": {"cpu": 32, "limits": {"ephemeral-storage": "10Gi", "hugepages-2Mi": "1Gi"}, "requests": {"cpu": 0.5}},
            "extraVolumes": [{"name": "cache", "emptyDir": {}}], "extraVolumeMounts": [{"name": "cache", "mountPath": "/cache"}],
            "initContainers": [{"name": "wait", "command": ["true"]}],
            "extraContainers": [{"name": "logs", "image": "fluent-bit:4", "securityContext": {"runAsUser": 2000}}],
            "podDisruptionBudget": {"maxUnavailable": "50%"}, "nodeFailureSeconds": 20,
            "nodeSelector": {"pool": "gpu"}, "priorityClassName": "high", "runtimeClassName": "nvidia",
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "gpu", "operator": "In", "values": ["h100"]}]}]}}},
            "topologySpreadConstraints": [{
                "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"app.kubernetes.io/component": "leader"}}}],
            "podLabels": {"team": 7, "sidecar.istio.io/inject": True}, "podAnnotations": {"note": "b"}, "supplementalGroups": [2000],
            "extraEnv": [{"name": "NCCL_DEBUG", "value": "INFO"}, {"name": "NCCL_IB_DISABLE", "value": 1},
                         {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            "extraArgs": ["--max-waiting=100"], "launcher": {"mpirunArgs": ["--mca", "btl_tcp_links", 2]},
            "server": {"maxSequences": 64, "kvMemory": "4GiB", "device": "cuda"},
            "model": {"servedName": "sdar-8b", "path": "a/b"}, "service": {"type": "LoadBalancer"},
            "networkPolicy": {"clients": [{"ipBlock": {"cidr": "192.0.2.0/24"}}],
                              "extraIngress": [{"ports": [{"port": 15008, "protocol": "TCP"}]}],
                              "extraEgress": [{"ports": [{"port": 4318, "protocol": "TCP"}]}]}}),
    }.items()
}
