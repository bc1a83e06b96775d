{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{- define "sdar.leaderContainer" -}}
{{- $v := .Values -}}
command: [/usr/local/bin/sdar-launch]
args:
  {{- if gt (int $v.nodes) 1 }}
  - --lws-slots={{ include "sdar.ranksPerNode" . }}
  {{- /* The name of the user is that of the image's ssh_config, unless the pods run as root. */}}
  - --ssh-args=-F /usr/local/lib/sdar/ssh_config{{ if eq (include "sdar.text" $v.podSecurityContext.runAsUser) "0" }} -l root{{ end }}
  - --ssh-port=2222
  - --peer-timeout={{ include "sdar.peerTimeoutSeconds" . }}
  - --failure-pause={{ int $v.launcher.failurePauseSeconds }}
  {{- range (include "sdar.env" . | fromYamlArray) }}
  - --env={{ .name }}
  {{- end }}
  {{- else }}
  - --ranks={{ include "sdar.ranksPerNode" . }}
  {{- end }}
  - --stop-timeout={{ include "sdar.stopSeconds" . }}
  {{- range $v.launcher.mpirunArgs }}
  - {{ printf "--mpirun-arg=%s" (include "sdar.text" .) | quote }}
  {{- end }}
  - --
  - /usr/local/bin/sdar-serve
  {{- include "sdar.serverFlags" . | nindent 2 }}
ports:
  - {name: grpc, containerPort: 50051}
  - {name: http, containerPort: 8000}
  - {name: admin, containerPort: 8001}
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

{{- define "sdar.serverFlags" -}}
{{- $v := .Values -}}
- {{ printf "--model=/models/%s" (include "sdar.text" $v.model.path) | trimSuffix "/" | quote }}
- {{ printf "--host=%s" $v.server.host | quote }}
- --port=50051
- --http-port=8000
- {{ printf "--admin-host=%s" $v.server.host | quote }}
- --admin-port=8001
- --drain-delay={{ int $v.drain.delaySeconds }}
- --drain-timeout={{ int $v.drain.timeoutSeconds }}
- --device={{ include "sdar.device" . }}
{{- with include "sdar.text" $v.model.servedName }}
- {{ printf "--served-model-name=%s" . | quote }}
{{- end }}
{{- with $v.server.tensorParallel }}
- --tensor-parallel={{ int . }}
{{- end }}
{{- with $v.server.maxSequences }}
- --max-sequences={{ int . }}
{{- end }}
{{- with include "sdar.text" $v.server.kvMemory | default (ternary "0.85" "" (eq (include "sdar.device" .) "cuda")) }}
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

{{/* What the programs read. Between the pods of a group the ranks of all get it from the leader. */}}
{{- define "sdar.env" -}}
{{- $v := .Values -}}
{{- $own := dict -}}
{{- with $v.network.interface -}}
{{- range list "OMPI_MCA_btl_tcp_if_include" "OMPI_MCA_oob_tcp_if_include" -}}
{{- $_ := set $own . $v.network.interface -}}
{{- end -}}
{{- /* With = NCCL takes the names as they are, else as beginnings of names. */ -}}
{{- $_ := set $own "NCCL_SOCKET_IFNAME" (printf "=%s" .) -}}
{{- end -}}
{{- if $v.rdma.enabled -}}
{{- with $v.rdma.hca -}}{{- $_ := set $own "NCCL_IB_HCA" . -}}{{- end -}}
{{- end -}}
{{- include "sdar.envList" (dict "own" $own "given" $v.extraEnv) -}}
{{- end }}

{{/* The environment of a container that holds ranks. */}}
{{- define "sdar.podEnv" -}}
{{- /* Whatever the user: the only home that may be written to. */ -}}
{{- $own := dict "HOME" "/home/sdar" -}}
{{- if eq (int .Values.gpu.count) 0 -}}
{{- /* Container runtimes that go by the environment would show all GPUs of the node. */ -}}
{{- $_ := set $own "NVIDIA_VISIBLE_DEVICES" "void" -}}
{{- end -}}
{{- include "sdar.envList" (dict "own" $own "given" (include "sdar.env" . | fromYamlArray)) -}}
{{- end }}

{{/* Variables of the chart and given ones, which stand in for those of the same name: (dict "own" MAP "given" LIST). */}}
{{- define "sdar.envList" -}}
{{- $own := deepCopy .own -}}
{{- $given := list -}}
{{- range .given -}}
{{- $_ := unset $own .name -}}
{{- $entry := deepCopy . -}}
{{- if hasKey . "value" -}}{{- $_ := set $entry "value" (include "sdar.text" .value) -}}{{- end -}}
{{- $given = append $given $entry -}}
{{- end -}}
{{- $list := list -}}
{{- range $name, $value := $own -}}
{{- $list = append $list (dict "name" $name "value" $value) -}}
{{- end -}}
{{- toYaml (concat $list $given) -}}
{{- end }}
