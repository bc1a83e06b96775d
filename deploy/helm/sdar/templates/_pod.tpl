{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{/* Template of a pod that holds ranks: (dict "root" $ "role" "leader" or "worker"). */}}
{{- define "sdar.podTemplate" -}}
{{- $root := .root -}}
{{- $v := $root.Values -}}
metadata:
  labels:
    {{- include "sdar.selector" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .role }}
    {{- if gt (int $v.nodes) 1 }}
    # A proxy between pods would stand in the way of MPI and NCCL.
    sidecar.istio.io/inject: "false"
    {{- end }}
    {{- with $v.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    kubectl.kubernetes.io/default-container: sdar
    {{- with $v.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "sdar.serviceAccount" $root }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ include "sdar.graceSeconds" $root }}
  {{- with include "sdar.scheduling" $root | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- if gt (int $v.nodes) 1 }}
  # Ranks find rank 0 by its pod's plain host name.
  dnsConfig:
    searches: [{{ include "sdar.workload" $root }}.{{ $root.Release.Namespace }}.svc.{{ $v.clusterDomain }}]
  {{- end }}
  securityContext:
    {{- include "sdar.podSecurity" $root | nindent 4 }}
  containers:
    - name: sdar
      image: {{ include "sdar.image" $root | quote }}
      imagePullPolicy: {{ $v.image.pullPolicy }}
      {{- if eq .role "leader" }}
      {{- include "sdar.leaderContainer" $root | nindent 6 }}
      {{- else }}
      {{- include "sdar.workerContainer" $root | nindent 6 }}
      {{- end }}
      {{- with include "sdar.env" $root }}
      env:
        {{- . | nindent 8 }}
      {{- end }}
      resources:
        {{- $resources := include "sdar.resources" $root }}
        requests:
          {{- $resources | nindent 10 }}
        limits:
          {{- $resources | nindent 10 }}
      securityContext:
        {{- include "sdar.containerSecurity" $root | nindent 8 }}
      volumeMounts:
        {{- include "sdar.mounts" $root | nindent 8 }}
  volumes:
    {{- include "sdar.volumes" $root | nindent 4 }}
{{- end }}

{{- define "sdar.scheduling" -}}
{{- $v := .Values -}}
{{- with $v.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with $v.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $v.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- range $field := list "nodeSelector" "affinity" "tolerations" "topologySpreadConstraints" }}
{{- with index $v $field }}
{{ $field }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{/* The user is the image's (deploy/docker/prepare_runtime.sh): ssh needs one that /etc/passwd knows. */}}
{{- define "sdar.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
{{- with .Values.supplementalGroups }}
supplementalGroups:
  {{- toYaml . | nindent 2 }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "sdar.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "sdar.leaderContainer" -}}
{{- $v := .Values -}}
command: [/usr/local/bin/sdar-launch]
args:
  {{- if gt (int $v.nodes) 1 }}
  - --lws-slots={{ include "sdar.ranksPerNode" . }}
  - --ssh-args=-F /usr/local/lib/sdar/ssh_config
  - --ssh-port=2222
  - --peer-timeout={{ int $v.probes.startupBudgetSeconds }}
  {{- range (include "sdar.env" . | fromYamlArray) }}
  - --env={{ .name }}
  {{- end }}
  {{- else }}
  - --ranks={{ include "sdar.ranksPerNode" . }}
  {{- end }}
  - --stop-timeout={{ include "sdar.stopSeconds" . }}
  {{- range $v.launcher.mpirunArgs }}
  - {{ printf "--mpirun-arg=%s" . | quote }}
  {{- end }}
  - --
  - /usr/local/bin/sdar-serve
  - {{ printf "--model=/models/%s" $v.model.path | trimSuffix "/" | quote }}
  - --host=0.0.0.0
  - --port=50051
  - --http-port=8000
  - --admin-host=0.0.0.0
  - --admin-port=8001
  - --drain-timeout={{ int $v.drain.timeoutSeconds }}
  - --device={{ $v.server.device }}
  {{- with $v.model.servedName }}
  - {{ printf "--served-model-name=%s" . | quote }}
  {{- end }}
  {{- with $v.server.tensorParallel }}
  - --tensor-parallel={{ int . }}
  {{- end }}
  {{- with $v.server.maxSequences }}
  - --max-sequences={{ int . }}
  {{- end }}
  {{- with $v.server.kvMemory }}
  - --kv-memory={{ . }}
  {{- end }}
  {{- if include "sdar.hasApiKeys" . }}
  - --api-keys-file=/etc/sdar/api-keys/{{ $v.apiKeys.key }}
  {{- end }}
  {{- if $v.tls.existingSecret }}
  - --tls-cert=/etc/sdar/tls/tls.crt
  - --tls-key=/etc/sdar/tls/tls.key
  {{- if $v.tls.verifyClients }}
  - --tls-client-ca=/etc/sdar/tls/ca.crt
  {{- end }}
  {{- end }}
  {{- range $v.extraArgs }}
  - {{ . | quote }}
  {{- end }}
ports:
  - {name: grpc, containerPort: 50051}
  - {name: http, containerPort: 8000}
  - {name: admin, containerPort: 8001}
lifecycle:
  preStop:
    exec:
      command: [sleep, {{ include "sdar.preStopSeconds" . | quote }}]
startupProbe:
  httpGet: {path: /startupz, port: admin, scheme: HTTP}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: {{ ceil (divf $v.probes.startupBudgetSeconds 10) }}
livenessProbe:
  httpGet: {path: /livez, port: admin, scheme: HTTP}
  periodSeconds: 10
  timeoutSeconds: 10
  failureThreshold: {{ ceil (divf $v.probes.livenessBudgetSeconds 10) }}
  terminationGracePeriodSeconds: {{ int $v.probes.livenessGraceSeconds }}
readinessProbe:
  httpGet: {path: /readyz, port: admin, scheme: HTTP}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 3
{{- end }}

{{/* A worker whose ranks are gone needs no probe: the job notices and ends. */}}
{{- define "sdar.workerContainer" -}}
command: [/usr/local/lib/sdar/worker.sh]
args:
  - --grace={{ include "sdar.workerGraceSeconds" . }}
ports:
  - {name: ssh, containerPort: 2222}
readinessProbe:
  tcpSocket: {port: ssh}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 3
{{- end }}

{{- define "sdar.env" -}}
{{- $v := .Values -}}
{{- $env := list -}}
{{- if $v.rdma.enabled -}}
{{- with $v.rdma.hca -}}{{- $env = append $env (dict "name" "NCCL_IB_HCA" "value" .) -}}{{- end -}}
{{- with $v.rdma.socketInterface -}}{{- $env = append $env (dict "name" "NCCL_SOCKET_IFNAME" "value" .) -}}{{- end -}}
{{- end -}}
{{- with concat $env $v.extraEnv -}}{{- toYaml . -}}{{- end -}}
{{- end }}

{{- define "sdar.resources" -}}
{{- $v := .Values -}}
cpu: {{ $v.resources.cpu | quote }}
memory: {{ $v.resources.memory | quote }}
{{- if gt (int $v.gpu.count) 0 }}
{{ $v.gpu.resource }}: {{ int $v.gpu.count }}
{{- end }}
{{- if $v.rdma.enabled }}
{{ $v.rdma.resource }}: {{ int $v.rdma.count }}
{{- end }}
{{- end }}

{{- define "sdar.mounts" -}}
{{- $v := .Values -}}
- {name: model, mountPath: /models, readOnly: true}
- {name: shared-memory, mountPath: /dev/shm}
- {name: tmp, mountPath: /tmp}
- {name: home, mountPath: /home/sdar}
{{- if gt (int $v.nodes) 1 }}
- {name: ssh, mountPath: /etc/sdar/ssh, readOnly: true}
{{- end }}
{{- if include "sdar.hasApiKeys" . }}
- {name: api-keys, mountPath: /etc/sdar/api-keys, readOnly: true}
{{- end }}
{{- if $v.tls.existingSecret }}
- {name: tls, mountPath: /etc/sdar/tls, readOnly: true}
{{- end }}
{{- end }}

{{/* Files of a Secret belong to root and to the pod's group, which may read them: OpenSSH then takes a private key. */}}
{{- define "sdar.volumes" -}}
{{- $v := .Values -}}
- name: model
  {{- if $v.model.existingClaim }}
  persistentVolumeClaim: {claimName: {{ $v.model.existingClaim }}, readOnly: true}
  {{- else }}
  hostPath: {path: {{ $v.model.hostPath | quote }}, type: Directory}
  {{- end }}
- name: shared-memory
  emptyDir: {medium: Memory, sizeLimit: {{ $v.sharedMemory.size }}}
- name: tmp
  emptyDir: {}
- name: home
  emptyDir: {}
{{- if gt (int $v.nodes) 1 }}
- name: ssh
  secret: {secretName: {{ include "sdar.sshSecret" . }}, defaultMode: 0440}
{{- end }}
{{- if include "sdar.hasApiKeys" . }}
- name: api-keys
  secret: {secretName: {{ include "sdar.apiKeysSecret" . }}, defaultMode: 0440}
{{- end }}
{{- if $v.tls.existingSecret }}
- name: tls
  secret: {secretName: {{ $v.tls.existingSecret }}, defaultMode: 0440}
{{- end }}
{{- end }}
