{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{/* What a schema cannot say about values that depend on each other. */}}
{{- define "sdar.validate" -}}
{{- $v := .Values -}}
{{- if eq (empty $v.model.existingClaim) (empty $v.model.hostPath) -}}
{{- fail "set exactly one of model.existingClaim (a PersistentVolumeClaim with the model) and model.hostPath (a folder on every node)" -}}
{{- end -}}
{{- if and $v.apiKeys.existingSecret $v.apiKeys.keys -}}
{{- fail "set only one of apiKeys.existingSecret and apiKeys.keys" -}}
{{- end -}}
{{- if and $v.tls.verifyClients (not $v.tls.existingSecret) -}}
{{- fail "tls.verifyClients needs tls.existingSecret" -}}
{{- end -}}
{{- if and $v.tls.clientSecret (not $v.tls.verifyClients) -}}
{{- fail "tls.clientSecret is for tls.verifyClients, which is off" -}}
{{- end -}}
{{- if and (eq $v.server.device "cuda") (eq (int $v.gpu.count) 0) -}}
{{- fail "server.device is cuda, but gpu.count is 0" -}}
{{- end -}}
{{- $ranks := int (include "sdar.ranksPerNode" .) -}}
{{- if and (gt (int $v.gpu.count) 0) (gt $ranks (int $v.gpu.count)) -}}
{{- fail (printf "ranksPerNode is %d, but a pod has gpu.count = %d GPUs" $ranks (int $v.gpu.count)) -}}
{{- end -}}
{{- $all := mul $ranks $v.nodes -}}
{{- if and (gt (int $v.server.tensorParallel) 0) (ne (mod $all (max 1 $v.server.tensorParallel)) 0) -}}
{{- fail (printf "server.tensorParallel is %d, which does not divide the job's %d ranks" (int $v.server.tensorParallel) $all) -}}
{{- end -}}
{{- if and $v.exclusiveTopology (eq (int $v.nodes) 1) -}}
{{- fail "exclusiveTopology is for groups of several pods: set nodes above 1" -}}
{{- end -}}
{{- if gt (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas) -}}
{{- fail "autoscaling.minReplicas is above autoscaling.maxReplicas" -}}
{{- end -}}
{{- if and (eq $v.autoscaling.kind "keda") (not $v.autoscaling.keda.prometheusAddress) -}}
{{- fail "autoscaling.kind keda needs autoscaling.keda.prometheusAddress" -}}
{{- end -}}
{{- $own := "^--(model|host|port|http-port|admin-host|admin-port|admin-address-file|drain-timeout|served-model-name|device|tensor-parallel|max-sequences|kv-memory|api-keys-file|tls-cert|tls-key|tls-client-ca)(=|$)" -}}
{{- range $v.extraArgs -}}
{{- if regexMatch $own . -}}
{{- fail (printf "extraArgs: %s is a flag that the chart sets from a value of its own" .) -}}
{{- end -}}
{{- end -}}
{{- end }}
