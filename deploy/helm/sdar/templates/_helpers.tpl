{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{/* A value as text. Numbers of a values file arrive as float64, of which 20260101 would become 2.0260101e+07. */}}
{{- define "sdar.text" -}}
{{- if kindIs "float64" . -}}
{{- if eq . (floor .) }}{{ printf "%.0f" . }}{{ else }}{{ toString . }}{{ end -}}
{{- else if not (kindIs "invalid" .) -}}
{{- toString . -}}
{{- end -}}
{{- end }}

{{/* A map whose values are texts. */}}
{{- define "sdar.texts" -}}
{{- $texts := dict -}}
{{- range $key, $value := . -}}
{{- $_ := set $texts $key (include "sdar.text" $value) -}}
{{- end -}}
{{- toYaml $texts -}}
{{- end }}

{{/* A number, or a percentage as text. */}}
{{- define "sdar.count" -}}
{{- $text := include "sdar.text" . -}}
{{- if hasSuffix "%" $text }}{{ $text | quote }}{{ else }}{{ $text }}{{ end -}}
{{- end }}

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
{{ .Values.image.repository }}:{{ include "sdar.text" .Values.image.tag | default .Chart.AppVersion }}
{{- with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- define "sdar.serviceAccount" -}}
{{- include "sdar.text" .Values.serviceAccount.name | default (ternary (include "sdar.fullname" .) "default" .Values.serviceAccount.create) -}}
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

{{/* Labels and annotations of the Deployment or LeaderWorkerSet. */}}
{{- define "sdar.workloadMetadata" -}}
name: {{ include "sdar.workload" . }}
labels:
  {{- include "sdar.texts" (merge (dict) .Values.workloadLabels (include "sdar.labels" . | fromYaml)) | nindent 2 }}
{{- $annotations := dict -}}
{{- with .Values.exclusiveTopology -}}
{{- $_ := set $annotations "leaderworkerset.sigs.k8s.io/exclusive-topology" . -}}
{{- end -}}
{{- with merge (dict) .Values.workloadAnnotations $annotations }}
annotations:
  {{- include "sdar.texts" . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "sdar.ranksPerNode" -}}
{{- .Values.ranksPerNode | default (max 1 .Values.gpu.count) -}}
{{- end }}

{{- define "sdar.device" -}}
{{- if ne .Values.server.device "auto" }}{{ .Values.server.device }}{{ else }}{{ ternary "cuda" "cpu" (gt (int .Values.gpu.count) 0) }}{{ end -}}
{{- end }}

{{/* The times of a stop, in the order in which they pass. The launcher of a stopped pod orders a drain at once: for
     drain.delaySeconds the server takes requests while load balancers notice that it is not ready, then it drains for
     drain.timeoutSeconds. The launcher ends the job after stop seconds, and the kubelet the pod after grace. */}}
{{- define "sdar.stopSeconds" -}}{{ add .Values.drain.delaySeconds .Values.drain.timeoutSeconds 15 }}{{- end }}
{{- define "sdar.graceSeconds" -}}{{ add (include "sdar.stopSeconds" .) 15 }}{{- end }}
{{/* How long a worker waits for the end of the ranks it holds. */}}
{{- define "sdar.workerGraceSeconds" -}}{{ sub (include "sdar.graceSeconds" .) 5 }}{{- end }}

{{/* How long the leader waits for the other pods; what is left of the startup budget is for loading. */}}
{{- define "sdar.peerTimeoutSeconds" -}}
{{- .Values.launcher.peerTimeoutSeconds | default (div (mul .Values.probes.startupBudgetSeconds 2) 3) -}}
{{- end }}

{{/* How long `helm test` asks for an answer: a start, and the drain of the pod before it. */}}
{{- define "sdar.testSeconds" -}}{{ add .Values.probes.startupBudgetSeconds (include "sdar.graceSeconds" .) }}{{- end }}
{{/* The same with the time to pull the image, which two pods do at the same time. */}}
{{- define "sdar.testDeadlineSeconds" -}}{{ add (include "sdar.testSeconds" .) 1800 }}{{- end }}

{{/* How an upgrade goes on, of a Deployment or a LeaderWorkerSet. */}}
{{- define "sdar.rollout" -}}
{{- $surge := include "sdar.text" .Values.rollout.maxSurge | default "0" -}}
{{- $missing := include "sdar.text" .Values.rollout.maxUnavailable | default (ternary "1" "0" (has $surge (list "0" "0%"))) -}}
maxSurge: {{ include "sdar.count" $surge }}
maxUnavailable: {{ include "sdar.count" $missing }}
{{- end }}

{{- define "sdar.scheme" -}}{{ ternary "HTTPS" "HTTP" (ne (include "sdar.text" .Values.tls.existingSecret) "") }}{{- end }}

{{- define "sdar.hasApiKeys" -}}
{{- if or .Values.apiKeys.existingSecret .Values.apiKeys.keys }}true{{ end -}}
{{- end }}
{{- define "sdar.apiKeysSecret" -}}
{{- include "sdar.text" .Values.apiKeys.existingSecret | default (printf "%s-api-keys" (include "sdar.fullname" .)) -}}
{{- end }}
{{- define "sdar.sshSecret" -}}
{{- include "sdar.text" .Values.ssh.existingSecret | default (printf "%s-ssh" (include "sdar.fullname" .)) -}}
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
