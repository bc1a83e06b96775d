{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{- define "sdar.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* Name of the Deployment or LeaderWorkerSet. A LeaderWorkerSet makes a Service of its own name, so it must not have
     that of the chart's. */}}
{{- define "sdar.workload" -}}
{{- include "sdar.fullname" . -}}{{- if gt (int .Values.nodes) 1 -}}-group{{- end -}}
{{- end }}

{{- define "sdar.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "sdar.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "sdar.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end }}

{{/* Labels of every object. */}}
{{- define "sdar.labels" -}}
{{ include "sdar.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* Labels of every pod of the release, that of `helm test` as well. */}}
{{- define "sdar.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Labels of the pods that hold rank 0 and so answer clients. */}}
{{- define "sdar.leaderSelector" -}}
{{ include "sdar.selector" . }}
app.kubernetes.io/component: leader
{{- end }}

{{/* Label selector of the pods that hold ranks. */}}
{{- define "sdar.rankSelector" -}}
matchLabels:
  {{- include "sdar.selector" . | nindent 2 }}
matchExpressions:
  - {key: app.kubernetes.io/component, operator: In, values: [leader, worker]}
{{- end }}

{{- define "sdar.ranksPerNode" -}}
{{- .Values.ranksPerNode | default (max 1 .Values.gpu.count) -}}
{{- end }}

{{/* The times of a stop, in the order in which they pass. A stopped pod first goes on for preStop seconds, in which
     Services forget it; then the launcher gets SIGTERM and the server drains for drain.timeoutSeconds; the launcher ends
     the job after stop seconds, and the kubelet the pod after grace. */}}
{{- define "sdar.preStopSeconds" -}}10{{- end }}
{{- define "sdar.stopSeconds" -}}{{ add .Values.drain.timeoutSeconds 15 }}{{- end }}
{{- define "sdar.graceSeconds" -}}
{{ add (include "sdar.preStopSeconds" .) (include "sdar.stopSeconds" .) 15 }}
{{- end }}
{{/* How long a worker waits for the end of the ranks it holds. */}}
{{- define "sdar.workerGraceSeconds" -}}{{ sub (include "sdar.graceSeconds" .) 5 }}{{- end }}

{{- define "sdar.scheme" -}}{{ ternary "HTTPS" "HTTP" (ne .Values.tls.existingSecret "") }}{{- end }}

{{- define "sdar.hasApiKeys" -}}
{{- if or .Values.apiKeys.existingSecret .Values.apiKeys.keys }}true{{ end -}}
{{- end }}
{{- define "sdar.apiKeysSecret" -}}
{{- .Values.apiKeys.existingSecret | default (printf "%s-api-keys" (include "sdar.fullname" .)) -}}
{{- end }}
{{- define "sdar.sshSecret" -}}
{{- .Values.ssh.existingSecret | default (printf "%s-ssh" (include "sdar.fullname" .)) -}}
{{- end }}

{{- define "sdar.scaleTarget" -}}
{{- if gt (int .Values.nodes) 1 -}}
apiVersion: leaderworkerset.x-k8s.io/v1
kind: LeaderWorkerSet
{{- else -}}
apiVersion: apps/v1
kind: Deployment
{{- end }}
name: {{ include "sdar.workload" . }}
{{- end }}

{{- define "sdar.replicas" -}}
{{- if eq .Values.autoscaling.kind "none" -}}{{ .Values.replicas }}{{- else -}}{{ .Values.autoscaling.minReplicas }}{{- end -}}
{{- end }}
