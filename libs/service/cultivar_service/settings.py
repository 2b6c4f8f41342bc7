"""The settings that every service has; each is an environment variable `CULTIVAR_…` or a field of a file."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def data_dir() -> Path:
    """Returns the folder for data of one person on one machine (XDG base directory specification)."""
    return Path.home() / ".local" / "share" / "cultivar"


class Settings(BaseSettings):
    """Settings of a service."""

    model_config = SettingsConfigDict(env_prefix="CULTIVAR_", extra="ignore")

    host: str = Field("127.0.0.1", description="The address to listen on.")
    port: int = Field(7345, ge=0, le=65535, description="The gRPC port; 0 takes any free one.")
    metrics_port: int = Field(7347, ge=0, le=65535, description="The port of /metrics; 0 takes any free one.")
    console_port: int = Field(7346, ge=0, le=65535, description="The port of the web pages; 0 takes any free one.")
    console_url: str = Field("", description="Where reviewers reach the web pages; empty for their host and port.")
    database_url: str = Field(
        "", description="PostgreSQL with this service's role, as postgresql://user@host/database."
    )
    artifacts: str = Field("", description="The artifact store: a folder, or s3://bucket/prefix.")
    s3_endpoint: str = Field("", description="Host and port of an S3 API, when it is not AWS.")
    s3_access_key: str = Field("", description="Access key of the S3 API.")
    s3_secret_key: SecretStr = Field(SecretStr(""), description="Secret key of the S3 API.")
    s3_tls: bool = Field(True, description="Whether the S3 API is reached by TLS.")
    token_file: Path = Field(
        default_factory=lambda: data_dir() / "token", description="The file of the local token; made when absent."
    )
    peers: str = Field(
        "",
        description="Where the other services are: one address, in which {service} stands for the name, or "
        "`name=address` for each, separated by blanks; empty for this process itself. An address is a gRPC target: "
        "host:port, dns:///host:port, ipv4:host:port,host:port.",
    )
    tls_certificate: Path | None = Field(
        None, description="The certificate chain to serve with, in PEM; read again when it changes. Empty for no TLS."
    )
    tls_key: Path | None = Field(None, description="The private key of the certificate, in PEM.")
    tls_ca: Path | None = Field(
        None, description="The CA that signed the other services' certificates, in PEM; empty for the system's."
    )
    tls_name: str = Field(
        "", description="The name that the other services' certificates are made out to, where no address has it."
    )
    migrate: bool = Field(
        False, description="Whether the service brings its schema up to date by itself; `cultivar migrate` does else."
    )
    teachers_url: str = Field("", description="The teachers application, ending in /v1.")
    teachers_key: SecretStr = Field(SecretStr(""), description="The key of the teachers application.")
    reflection: bool = Field(True, description="Whether gRPC reflection is served.")
    run_slots: int = Field(4, ge=1, description="Runs that one replica of a service works on at once.")
    lease_seconds: float = Field(15.0, gt=0, description="How long a run stays with a replica that fell silent.")
    drain_seconds: float = Field(10.0, ge=0, description="How long calls and runs may go on after SIGTERM.")
    log_format: Literal["json", "console"] = Field("json", description="How log lines are written.")
