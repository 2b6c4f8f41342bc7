{{/* How a service knows who calls and makes itself known, as settings in YAML; takes [root, name, service]. */}}
{{- define "cultivar.identitySettings" -}}
{{- $root := index . 0 }}{{ $service := index . 2 }}
{{- $campaigns := mergeOverwrite (deepCopy $root.Values.defaults) (default dict $root.Values.services.campaigns) }}
{{- with $root.Values.oidc }}
{{- if .issuer }}
CULTIVAR_OIDC_ISSUER: {{ .issuer | quote }}
CULTIVAR_OIDC_AUDIENCE: {{ .audience | quote }}
CULTIVAR_OIDC_SERVICES: {{ $campaigns.oidcClient | quote }}
{{- if .caSecret }}
CULTIVAR_OIDC_CA: /etc/cultivar/issuer/ca.crt
{{- end }}
{{- with $service.oidcClient }}
CULTIVAR_OIDC_CLIENT_ID: {{ . | quote }}
{{- end }}
{{- else }}
CULTIVAR_TOKEN_FILE: /etc/cultivar/identity/token
{{- end }}
{{- end }}
{{- end }}

{{/* The secret of a service's client, as a setting that comes from a Secret; takes [root, name, service]. */}}
{{- define "cultivar.identitySecrets" -}}
{{- $root := index . 0 }}{{ $name := index . 1 }}{{ $service := index . 2 }}
{{- if and $root.Values.oidc.issuer $service.oidcClient }}
CULTIVAR_OIDC_CLIENT_SECRET: { secret: {{ $root.Values.oidc.secret }}, key: {{ $name }}, optional: {{ eq $name "console" }} }
{{- end }}
{{- end }}

{{/* The environment of a service; takes [root, name, service]. */}}
{{- define "cultivar.serviceEnv" -}}
{{- $root := index . 0 }}{{ $name := index . 1 }}{{ $service := index . 2 }}
{{- $settings := dict
  "CULTIVAR_HOST" "0.0.0.0"
  "CULTIVAR_HEALTH_PORT" "7348"
  "CULTIVAR_DRAIN_SECONDS" $service.drainSeconds
  "CULTIVAR_PEERS" (include "cultivar.peers" $root)
  "CULTIVAR_TLS_CERTIFICATE" "/etc/cultivar/tls/tls.crt"
  "CULTIVAR_TLS_KEY" "/etc/cultivar/tls/tls.key"
  "CULTIVAR_TLS_CA" "/etc/cultivar/tls/ca.crt"
  "CULTIVAR_TLS_NAME" $root.Values.tls.name
  "CULTIVAR_ARTIFACTS" $root.Values.artifacts.url
  "CULTIVAR_S3_ENDPOINT" $root.Values.artifacts.endpoint
  "CULTIVAR_S3_TLS" $root.Values.artifacts.tls
  "CULTIVAR_TEACHERS_URL" $root.Values.teachers.url
}}
{{- $settings = merge $settings (include "cultivar.identitySettings" . | fromYaml) }}
{{- $secrets := dict
  "CULTIVAR_S3_ACCESS_KEY" (dict "secret" $root.Values.artifacts.secret "key" "access-key")
  "CULTIVAR_S3_SECRET_KEY" (dict "secret" $root.Values.artifacts.secret "key" "secret-key")
}}
{{- if $service.database }}
{{- $_ := set $secrets "CULTIVAR_DATABASE_URL" (dict "secret" $root.Values.database.secret "key" $name) }}
{{- end }}
{{- $secrets = merge $secrets (include "cultivar.identitySecrets" . | fromYaml) }}
{{- with $root.Values.teachers.secret }}
{{- $_ := set $secrets "CULTIVAR_TEACHERS_KEY" (dict "secret" . "key" "key") }}
{{- end }}
{{- include "cultivar.env" (mergeOverwrite $settings $root.Values.settings $service.settings) }}
{{- include "cultivar.secretEnv" (mergeOverwrite $secrets $root.Values.secretSettings $service.secretSettings) }}
{{- end }}
