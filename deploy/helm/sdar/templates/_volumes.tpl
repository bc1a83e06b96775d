{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{- define "sdar.mounts" -}}
{{- $v := .Values -}}
- {name: model, mountPath: /models, readOnly: true}
- {name: shared-memory, mountPath: /dev/shm}
- {name: tmp, mountPath: /tmp}
- {name: home, mountPath: /home/sdar}
{{- if gt (int $v.nodes) 1 }}
# A folder follows its Secret, and worker.sh follows the folder: a new key needs no new pods.
- {name: ssh, mountPath: /etc/sdar/ssh, readOnly: true}
{{- end }}
{{- if include "sdar.hasApiKeys" . }}
- {name: api-keys, mountPath: /etc/sdar/api-keys, readOnly: true}
{{- end }}
{{- if $v.tls.existingSecret }}
- {name: tls, mountPath: /etc/sdar/tls, readOnly: true}
{{- end }}
{{- with $v.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Files of a Secret belong to root and to the pod's group, which may read them: OpenSSH then takes a private key. */}}
{{- define "sdar.volumes" -}}
{{- $v := .Values -}}
- name: model
  {{- if $v.model.existingClaim }}
  persistentVolumeClaim: {claimName: {{ include "sdar.text" $v.model.existingClaim | quote }}, readOnly: true}
  {{- else if $v.model.hostPath }}
  hostPath: {path: {{ $v.model.hostPath | quote }}, type: Directory}
  {{- else }}
  {{- toYaml $v.model.source | nindent 2 }}
  {{- end }}
- name: shared-memory
  emptyDir: {medium: Memory, sizeLimit: {{ include "sdar.text" $v.sharedMemory.size | quote }}}
- name: tmp
  emptyDir: {}
- name: home
  emptyDir: {}
{{- if gt (int $v.nodes) 1 }}
- name: ssh
  secret: {secretName: {{ include "sdar.sshSecret" . | quote }}, defaultMode: 0440}
{{- end }}
{{- if include "sdar.hasApiKeys" . }}
- name: api-keys
  secret: {secretName: {{ include "sdar.apiKeysSecret" . | quote }}, defaultMode: 0440}
{{- end }}
{{- if $v.tls.existingSecret }}
- name: tls
  secret: {secretName: {{ include "sdar.text" $v.tls.existingSecret | quote }}, defaultMode: 0440}
{{- end }}
{{- with $v.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
