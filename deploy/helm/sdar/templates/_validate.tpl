{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{/* What a schema cannot say about values that depend on each other. */}}
{{- define "sdar.validate" -}}
{{- include "sdar.validateModel" . -}}
{{- include "sdar.validateRanks" . -}}
{{- include "sdar.validateAccess" . -}}
{{- include "sdar.validateNames" . -}}
{{- include "sdar.validateSshKey" . -}}
{{- $v := .Values -}}
{{- if gt (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas) -}}
{{- fail "autoscaling.minReplicas is above autoscaling.maxReplicas" -}}
{{- end -}}
{{- if and (eq $v.autoscaling.kind "keda") (not $v.autoscaling.keda.prometheusAddress) -}}
{{- fail "autoscaling.kind keda needs autoscaling.keda.prometheusAddress" -}}
{{- end -}}
{{- if regexMatch "maxSurge: \"?0%?\"?\nmaxUnavailable: \"?0%?\"?$" (include "sdar.rollout" .) -}}
{{- fail "rollout.maxSurge and rollout.maxUnavailable are both 0: an upgrade could not replace anything" -}}
{{- end -}}
{{- end }}

{{- define "sdar.validateModel" -}}
{{- $m := .Values.model -}}
{{- $given := 0 -}}
{{- range list $m.existingClaim $m.hostPath $m.source }}{{ if . }}{{ $given = add1 $given }}{{ end }}{{ end -}}
{{- if ne (int $given) 1 -}}
{{- fail "set exactly one of model.existingClaim (a PersistentVolumeClaim with the model), model.hostPath (a folder on every node) and model.source (any other volume)" -}}
{{- end -}}
{{- if not (regexMatch "^([^/.][^/]*(/[^/.][^/]*)*)?$" (include "sdar.text" $m.path)) -}}
{{- fail (printf "model.path: expected a folder within the volume, such as SDAR-8B-Chat or sdar/8b, got %s" (include "sdar.text" $m.path)) -}}
{{- end -}}
{{- if and (hasKey (default dict $m.source) "emptyDir") (not .Values.initContainers) -}}
{{- fail "model.source is an emptyDir, which nothing fills: add one of initContainers that mounts the volume `model` and writes to it" -}}
{{- end -}}
{{- end }}

{{- define "sdar.validateRanks" -}}
{{- $v := .Values -}}
{{- range $map := list "limits" "requests" -}}
{{- range $value, $resource := dict "gpu.count" $v.gpu.resource "rdma.enabled" $v.rdma.resource -}}
{{- if hasKey (index $v.resources $map) $resource -}}
{{- fail (printf "resources.%s: set %s instead of %s, as more follows from it" $map $value $resource) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $kv := include "sdar.text" $v.server.kvMemory -}}
{{- if not (regexMatch "^([0-9]+(\\.[0-9]+)?(KiB|MiB|GiB)?)?$" $kv) -}}
{{- fail (printf "server.kvMemory: expected an amount such as 8GiB or 512MiB, or a part of what is free such as 0.5, got %s" $kv) -}}
{{- end -}}
{{- if and (eq $v.server.device "cuda") (eq (int $v.gpu.count) 0) -}}
{{- fail "server.device is cuda, but gpu.count is 0" -}}
{{- end -}}
{{- if and (eq $v.server.device "cpu") (gt (int $v.gpu.count) 0) -}}
{{- fail (printf "server.device is cpu, but gpu.count = %d GPUs would be reserved for nothing" (int $v.gpu.count)) -}}
{{- end -}}
{{- $ranks := int (include "sdar.ranksPerNode" .) -}}
{{- if and (gt (int $v.gpu.count) 0) (gt $ranks (int $v.gpu.count)) -}}
{{- fail (printf "ranksPerNode is %d, but a pod has gpu.count = %d GPUs" $ranks (int $v.gpu.count)) -}}
{{- end -}}
{{- $all := mul $ranks $v.nodes -}}
{{- if and (gt (int $v.server.tensorParallel) 0) (ne (mod $all (max 1 $v.server.tensorParallel)) 0) -}}
{{- fail (printf "server.tensorParallel is %d, which does not divide the job's %d ranks" (int $v.server.tensorParallel) $all) -}}
{{- end -}}
{{- if gt (int $v.nodes) 1 -}}
{{- $peers := int (include "sdar.peerTimeoutSeconds" .) -}}
{{- if ge $peers (int $v.probes.startupBudgetSeconds) -}}
{{- fail (printf "launcher.peerTimeoutSeconds (%d) must be below probes.startupBudgetSeconds (%d)" $peers (int $v.probes.startupBudgetSeconds)) -}}
{{- end -}}
{{- $user := (default dict $v.podSecurityContext).runAsUser -}}
{{- if not (has (include "sdar.text" $user) (list "0" "10001")) -}}
{{- fail "podSecurityContext.runAsUser has to be 10001, the image's user, with nodes above 1: ssh needs a user that /etc/passwd knows" -}}
{{- end -}}
{{- else if $v.exclusiveTopology -}}
{{- fail "exclusiveTopology is for groups of several pods: set nodes above 1" -}}
{{- else if ne $v.restartPolicy "RecreateGroupOnPodRestart" -}}
{{- fail "restartPolicy is for groups of several pods: set nodes above 1" -}}
{{- end -}}
{{- end }}

{{- define "sdar.validateAccess" -}}
{{- $v := .Values -}}
{{- if and $v.apiKeys.existingSecret $v.apiKeys.keys -}}
{{- fail "set only one of apiKeys.existingSecret and apiKeys.keys" -}}
{{- end -}}
{{- if and $v.tls.verifyClients (not $v.tls.existingSecret) -}}
{{- fail "tls.verifyClients needs tls.existingSecret" -}}
{{- end -}}
{{- if and $v.tls.clientSecret (not $v.tls.verifyClients) -}}
{{- fail "tls.clientSecret is for tls.verifyClients, which is off" -}}
{{- end -}}
{{- if and $v.inferencePool.enabled (not $v.inferencePool.endpointPicker.name) -}}
{{- fail "inferencePool needs inferencePool.endpointPicker.name, the Service of the endpoint picker" -}}
{{- end -}}
{{- range list "httpRoute" "grpcRoute" -}}
{{- if and (index $v . "enabled") (not (index $v . "parentRefs")) -}}
{{- fail (printf "%s needs %s.parentRefs: the Gateway, such as --set %s.parentRefs[0].name=NAME" . . .) -}}
{{- end -}}
{{- end -}}
{{- if and $v.httpRoute.enabled $v.grpcRoute.enabled (eq (toJson $v.httpRoute.parentRefs) (toJson $v.grpcRoute.parentRefs)) -}}
{{- $both := or (not $v.httpRoute.hostnames) (not $v.grpcRoute.hostnames) -}}
{{- range $v.httpRoute.hostnames }}{{ if has . $v.grpcRoute.hostnames }}{{ $both = true }}{{ end }}{{ end -}}
{{- if $both -}}
{{- fail "httpRoute and grpcRoute need host names of their own: of two routes of different kinds for one name, a Gateway takes only the older one" -}}
{{- end -}}
{{- end -}}
{{- if and $v.networkPolicy.enabled (not $v.networkPolicy.clients) -}}
{{- $open := list -}}
{{- if ne $v.service.type "ClusterIP" }}{{ $open = append $open (printf "service.type %s" $v.service.type) }}{{ end -}}
{{- range list "ingress" "httpRoute" "grpcRoute" "inferencePool" -}}
{{- if index $v . "enabled" }}{{ $open = append $open . }}{{ end -}}
{{- end -}}
{{- with $open -}}
{{- fail (printf "%s lets clients in from elsewhere, but the NetworkPolicy lets in the pods of this namespace only: set networkPolicy.clients (everyone: --set networkPolicy.clients[0].ipBlock.cidr=0.0.0.0/0; the namespace of a gateway or an ingress controller: --set networkPolicy.clients[0].namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name=NAMESPACE) or networkPolicy.enabled=false" (join ", " .)) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "sdar.validateNames" -}}
{{- $v := .Values -}}
{{- $own := "^--(model|host|port|http-port|admin-host|admin-port|admin-address-file|drain-delay|drain-timeout|served-model-name|device|tensor-parallel|max-sequences|kv-memory|api-keys-file|tls-cert|tls-key|tls-client-ca)(=|$)" -}}
{{- range $v.extraArgs -}}
{{- if regexMatch $own . -}}
{{- fail (printf "extraArgs: %s is a flag that the chart sets from a value of its own" .) -}}
{{- end -}}
{{- end -}}
{{- range $field := list "podLabels" "workloadLabels" -}}
{{- range list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" -}}
{{- if hasKey (index $v $field) . -}}
{{- fail (printf "%s: the chart finds its own objects by the label %s; see nameOverride and fullnameOverride" $field .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $v.extraVolumes -}}
{{- if has .name (list "model" "shared-memory" "tmp" "home" "ssh" "api-keys" "tls") -}}
{{- fail (printf "extraVolumes: %s is the name of a volume that the chart makes itself" .name) -}}
{{- end -}}
{{- end -}}
{{- range concat (default list $v.initContainers) (default list $v.extraContainers) -}}
{{- if eq .name "sdar" -}}
{{- fail "initContainers and extraContainers: sdar is the name of the server's container" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* A key must outlive the rendering that made it. Every namespace of a cluster has the ConfigMap kube-root-ca.crt:
     where it is not to be seen, an older key is not either. */}}
{{- define "sdar.validateSshKey" -}}
{{- if and (gt (int .Values.nodes) 1) (not .Values.ssh.existingSecret) -}}
{{- if not (lookup "v1" "ConfigMap" .Release.Namespace "kube-root-ca.crt") -}}
{{- fail (printf "ssh.existingSecret is empty, and no namespace %s is to be seen, in which the chart could keep a key. With `helm install` or `helm upgrade`: create the namespace first, or set ssh.existingSecret. With `helm template` or Argo CD: set ssh.existingSecret (docs/kubernetes.md says how to make one)" .Release.Namespace) -}}
{{- end -}}
{{- end -}}
{{- end }}
