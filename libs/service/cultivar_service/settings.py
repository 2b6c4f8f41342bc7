"""The settings that every service has: each is a flag, an environment variable, or a key of a YAML file."""

import os
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    YamlConfigSettingsSource,
)
from yaml import YAMLError

from cultivar_service.errors import StartError

FILE_VARIABLE = "CULTIVAR_SETTINGS_FILE"


def data_dir() -> Path:
    """Returns the folder for data of one person on one machine (XDG base directory specification)."""
    return Path.home() / ".local" / "share" / "cultivar"


class Settings(BaseSettings):
    """Each setting is a flag; or the environment variable CULTIVAR_ and its name, in capitals with underscores; or a
    key, with underscores, of the YAML file that CULTIVAR_SETTINGS_FILE names. A flag goes before the environment, and
    that before the file."""

    model_config = SettingsConfigDict(
        env_prefix="CULTIVAR_", extra="ignore", cli_kebab_case=True, cli_implicit_flags=True, cli_hide_none_type=True
    )

    host: str = Field("127.0.0.1", description="The address to listen on.")
    port: int = Field(7345, ge=0, le=65535, description="The gRPC port; 0 takes any free one.")
    metrics_port: int = Field(7347, ge=0, le=65535, description="The port of /metrics; 0 takes any free one.")
    health_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="The port of health alone, without TLS, for a cluster's probes; empty for none, 0 takes any.",
    )
    console_port: int = Field(7346, ge=0, le=65535, description="The port of the web pages; 0 takes any free one.")
    console_url: str = Field("", description="Where browsers reach the web pages; empty for their host and port.")
    database_url: str = Field(
        "", description="PostgreSQL with this service's role, as postgresql://user@host/database."
    )
    database_connections: int = Field(
        16, ge=2, description="The most connections to PostgreSQL that one replica of a service opens for its schema."
    )
    artifacts: str = Field("", description="The artifact store: a folder, or s3://bucket/prefix.")
    s3_endpoint: str = Field("", description="Host and port of an S3 API, when it is not AWS.")
    s3_access_key: str = Field("", description="Access key of the S3 API.")
    s3_secret_key: SecretStr = Field(SecretStr(""), description="Secret key of the S3 API.")
    s3_tls: bool = Field(True, description="Whether the S3 API is reached by TLS.")
    token_file: Path = Field(
        default_factory=lambda: data_dir() / "token", description="The file of the local token; made when absent."
    )
    oidc_issuer: str = Field(
        "", description="The OIDC issuer whose tokens are taken, an https address; empty for the local token."
    )
    oidc_audience: str = Field("", description="The audience that a token must be for.")
    oidc_ca: Path | None = Field(
        None, description="The CA that signed the issuer's certificate, in PEM; empty for the system's."
    )
    oidc_principal_claim: str = Field("sub", description="The claim that names the principal.")
    oidc_roles_claim: str = Field(
        "groups", description="The claim with entries cultivar:PROJECT:ROLE; dots lead into nested claims."
    )
    oidc_admins: str = Field("", description="Principals that are admin of every project, separated by commas.")
    oidc_services: str = Field(
        "", description="Principals of Cultivar's own services, separated by commas: engineer of every project."
    )
    oidc_leeway_seconds: int = Field(30, ge=0, le=60, description="How far the issuer's clock may be from ours.")
    oidc_client_id: str = Field("", description="The client that this service calls others as; the console's too.")
    oidc_client_secret: SecretStr = Field(SecretStr(""), description="The secret of that client.")
    oidc_client_scopes: str = Field("", description="The scopes that a service's own token is asked with.")
    oidc_scopes: str = Field("openid profile email", description="The scopes that people sign in with.")
    oidc_cli_client_id: str = Field(
        "", description="The public client that people sign in as on the command line; empty for none."
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

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Reads the environment, then the file."""
        file = os.environ.get(FILE_VARIABLE)
        return init_settings, env_settings, *([YamlConfigSettingsSource(settings_cls, file)] if file else [])

    @classmethod
    def extending(cls, settings: "Settings") -> Self:
        """Adds the settings of one service, from environment and file, to those of a process of several."""
        return settings if isinstance(settings, cls) else cls(**settings.model_dump())

    @classmethod
    def from_environment(cls) -> Self:
        """Reads environment and file; raises StartError for what is wrong."""
        with settings_errors():
            return cls()

    @classmethod
    def from_command_line(cls, program: str) -> Self:
        """Reads flags, environment and file; raises StartError for what is wrong, and ends the program for --help."""
        with settings_errors():
            parser = ArgumentParser(prog=program, description=Settings.__doc__)
            flags: CliSettingsSource[ArgumentParser] = CliSettingsSource(cls, root_parser=parser, cli_parse_args=True)
            return cls(_cli_settings_source=flags)


@contextmanager
def settings_errors() -> Iterator[None]:
    """Says in one sentence which setting is wrong and where to correct it; raises StartError."""
    file = os.environ.get(FILE_VARIABLE)
    if file and not Path(file).is_file():
        raise StartError(f"{file} does not exist: correct {FILE_VARIABLE}")
    try:
        yield
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = "_".join(str(part) for part in first["loc"])
        flag = name.replace("_", "-")
        raise StartError(
            f"the setting {name} is wrong: {first['msg']}; correct CULTIVAR_{name.upper()} or --{flag}"
        ) from error
    except (SettingsError, YAMLError) as error:
        raise StartError(f"the settings cannot be read: {error}") from error
