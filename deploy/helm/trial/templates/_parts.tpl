{{/* Takes [root, component]. */}}
{{- define "trial.selector" -}}
app.kubernetes.io/name: trial
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "trial.labels" -}}
{{ include "trial.selector" . }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ (index . 0).Chart.Name }}-{{ (index . 0).Chart.Version }}
{{- end }}

{{- define "trial.image" -}}
image: {{ .image.repository }}:{{ .image.tag | default .appVersion }}
imagePullPolicy: {{ .image.pullPolicy }}
{{- end }}

{{- define "trial.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "trial.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* The services with a database. */}}
{{- define "trial.services" -}}
campaigns console datasets evaluation filtering generation identity review training
{{- end }}
