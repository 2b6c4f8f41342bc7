{{/* What a label selector of a service holds; takes [root, service]. */}}
{{- define "cultivar.selector" -}}
app.kubernetes.io/name: cultivar
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* The labels of an object; takes [root, component]. */}}
{{- define "cultivar.labels" -}}
{{ include "cultivar.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ (index . 0).Chart.Name }}-{{ (index . 0).Chart.Version }}
{{- end }}

{{/* The name of an object; takes [root, component]. */}}
{{- define "cultivar.name" -}}
{{ (index . 0).Release.Name }}-{{ index . 1 }}
{{- end }}

{{/* The address at which {service} stands for a service's name. */}}
{{- define "cultivar.peers" -}}
dns:///{{ .Release.Name }}-{service}.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}:7345
{{- end }}

{{- define "cultivar.image" -}}
image: {{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- end }}

{{/* What every pod has: no rights on the cluster, no root, names looked up as they are. */}}
{{- define "cultivar.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: { type: RuntimeDefault }
dnsConfig:
  options: [{ name: ndots, value: "2" }]
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "cultivar.container" -}}
{{ include "cultivar.image" . }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: {{ .Values.securityContext.readOnlyRootFilesystem }}
  capabilities: { drop: [ALL] }
{{- end }}

{{/* The volumes in which a pod finds who it is: the one token, or the CA of the issuer. */}}
{{- define "cultivar.identityVolumes" -}}
{{- with .Values }}
{{- if not .oidc.issuer }}
- { name: identity, secret: { secretName: {{ .identity.secret }}, defaultMode: 0440 } }
{{- else if .oidc.caSecret }}
- { name: issuer, secret: { secretName: {{ .oidc.caSecret }}, items: [{ key: ca.crt, path: ca.crt }] } }
{{- end }}
{{- end }}
{{- end }}

{{- define "cultivar.identityMounts" -}}
{{- with .Values }}
{{- if not .oidc.issuer }}
- { name: identity, mountPath: /etc/cultivar/identity, readOnly: true }
{{- else if .oidc.caSecret }}
- { name: issuer, mountPath: /etc/cultivar/issuer, readOnly: true }
{{- end }}
{{- end }}
{{- end }}

{{/* The settings that come from a Secret, as environment variables; takes a map of {secret, key}. */}}
{{- define "cultivar.secretEnv" -}}
{{- range $name, $from := . }}
- name: {{ $name }}
  valueFrom: { secretKeyRef: { name: {{ $from.secret }}, key: {{ $from.key }}{{ if $from.optional }}, optional: true{{ end }} } }
{{- end }}
{{- end }}

{{- define "cultivar.env" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
