{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{/* Template of a pod that holds ranks: (dict "root" $ "role" "leader" or "worker"). */}}
{{- define "sdar.podTemplate" -}}
{{- $root := .root -}}
{{- $v := $root.Values -}}
metadata:
  labels:
    {{- include "sdar.podLabels" . | nindent 4 }}
  annotations:
    {{- include "sdar.podAnnotations" $root | nindent 4 }}
spec:
  serviceAccountName: {{ include "sdar.serviceAccount" $root | quote }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ include "sdar.graceSeconds" $root }}
  {{- with include "sdar.scheduling" $root | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  securityContext:
    {{- include "sdar.podSecurity" $root | nindent 4 }}
  {{- with $v.initContainers }}
  initContainers:
    {{- include "sdar.extraContainers" (dict "root" $root "containers" .) | nindent 4 }}
  {{- end }}
  containers:
    - name: sdar
      image: {{ include "sdar.image" $root | quote }}
      imagePullPolicy: {{ $v.image.pullPolicy }}
      {{- if eq .role "leader" }}
      {{- include "sdar.leaderContainer" $root | nindent 6 }}
      {{- else }}
      {{- include "sdar.workerContainer" $root | nindent 6 }}
      {{- end }}
      {{- with include "sdar.podEnv" $root | fromYamlArray }}
      env:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      resources:
        {{- include "sdar.resources" $root | nindent 8 }}
      # `kubectl describe` shows why a pod ended, also after its log is gone.
      terminationMessagePolicy: FallbackToLogsOnError
      securityContext:
        {{- toYaml $v.securityContext | nindent 8 }}
      volumeMounts:
        {{- include "sdar.mounts" $root | nindent 8 }}
    {{- with $v.extraContainers }}
    {{- include "sdar.extraContainers" (dict "root" $root "containers" .) | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "sdar.volumes" $root | nindent 4 }}
{{- end }}

{{- define "sdar.podLabels" -}}
{{- $labels := dict "app.kubernetes.io/component" .role -}}
{{- if gt (int .root.Values.nodes) 1 -}}
{{- /* A proxy between pods would stand in the way of MPI and NCCL. The second label is for Istio's ambient mode. */ -}}
{{- $_ := set $labels "sidecar.istio.io/inject" "false" -}}
{{- $_ := set $labels "istio.io/dataplane-mode" "none" -}}
{{- end -}}
{{- include "sdar.texts" (merge (dict) .root.Values.podLabels $labels (include "sdar.selector" .root | fromYaml)) -}}
{{- end }}

{{- define "sdar.podAnnotations" -}}
{{- $annotations := dict "kubectl.kubernetes.io/default-container" "sdar" -}}
{{- if gt (int .Values.nodes) 1 -}}
{{- $_ := set $annotations "linkerd.io/inject" "disabled" -}}
{{- end -}}
{{- include "sdar.texts" (merge (dict) .Values.podAnnotations $annotations) -}}
{{- end }}

{{- define "sdar.scheduling" -}}
{{- $v := .Values -}}
{{- include "sdar.placement" . }}
{{- range $field := list "schedulerName" "priorityClassName" "runtimeClassName" }}
{{- with index $v $field }}
{{ $field }}: {{ include "sdar.text" . | quote }}
{{- end }}
{{- end }}
{{- range $field := list "affinity" "topologySpreadConstraints" }}
{{- with index $v $field }}
{{ $field }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{/* Where the image can be had and may run, which holds for the pod of `helm test` too. */}}
{{- define "sdar.placement" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ include "sdar.text" . | quote }}
  {{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- include "sdar.texts" . | nindent 2 }}
{{- end }}
tolerations:
  {{- include "sdar.tolerations" . | nindent 2 }}
{{- end }}

{{- define "sdar.tolerations" -}}
{{- $tolerations := list -}}
{{- $keys := list -}}
{{- range .Values.tolerations -}}
{{- $toleration := deepCopy . -}}
{{- if hasKey . "value" -}}{{- $_ := set $toleration "value" (include "sdar.text" .value) -}}{{- end -}}
{{- $tolerations = append $tolerations $toleration -}}
{{- $keys = append $keys .key -}}
{{- end -}}
{{- range list "node.kubernetes.io/not-ready" "node.kubernetes.io/unreachable" -}}
{{- if not (has . $keys) -}}
{{- $tolerations = append $tolerations (dict "key" . "operator" "Exists" "effect" "NoExecute" "tolerationSeconds" (int $.Values.nodeFailureSeconds)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $tolerations -}}
{{- end }}

{{- define "sdar.podSecurity" -}}
{{- $context := deepCopy (default dict .Values.podSecurityContext) -}}
{{- with .Values.supplementalGroups -}}{{- $_ := set $context "supplementalGroups" . -}}{{- end -}}
{{- toYaml $context -}}
{{- end }}

{{/* Containers of the user: (dict "root" $ "containers" LIST). What is missing is filled in such that a container may
     run where the chart's own may. */}}
{{- define "sdar.extraContainers" -}}
{{- $root := .root -}}
{{- $containers := list -}}
{{- range .containers -}}
{{- $defaults := dict "image" (include "sdar.image" $root) "imagePullPolicy" $root.Values.image.pullPolicy -}}
{{- if hasKey . "image" -}}{{- $defaults = dict -}}{{- end -}}
{{- $_ := set $defaults "terminationMessagePolicy" "FallbackToLogsOnError" -}}
{{- if not (hasKey . "securityContext") -}}
{{- $_ := set $defaults "securityContext" (dict "allowPrivilegeEscalation" false "capabilities" (dict "drop" (list "ALL"))) -}}
{{- end -}}
{{- $containers = append $containers (merge (dict) . $defaults) -}}
{{- end -}}
{{- toYaml $containers -}}
{{- end }}

{{- define "sdar.resources" -}}
{{- $v := .Values -}}
{{- $limits := dict -}}
{{- range $name := list "cpu" "memory" -}}
{{- with include "sdar.text" (index $v.resources $name) -}}{{- $_ := set $limits $name . -}}{{- end -}}
{{- end -}}
{{- if gt (int $v.gpu.count) 0 -}}{{- $_ := set $limits $v.gpu.resource $v.gpu.count -}}{{- end -}}
{{- if $v.rdma.enabled -}}{{- $_ := set $limits $v.rdma.resource $v.rdma.count -}}{{- end -}}
{{- /* As texts, as a 0 would count as missing. */ -}}
{{- $limits = merge (include "sdar.texts" $v.resources.limits | fromYaml) (include "sdar.texts" $limits | fromYaml) -}}
requests:
  {{- toYaml (merge (include "sdar.texts" $v.resources.requests | fromYaml) $limits) | nindent 2 }}
limits:
  {{- toYaml $limits | nindent 2 }}
{{- end }}
