"""TLS of a server: its certificate and key from files, read again when they change."""

from pathlib import Path
from typing import Any

import grpc

from cultivar_service.errors import StartError
from cultivar_service.settings import Settings


class Certificate:
    """A certificate chain and its key in two files, which a cluster renews in place."""

    def __init__(self, chain: Path, key: Path) -> None:
        self._files = chain, key
        self._seen = self._times()

    def read(self) -> grpc.ServerCertificateConfiguration:
        """Returns what the files hold."""
        chain, key = (file.read_bytes() for file in self._files)
        return grpc.ssl_server_certificate_configuration([(key, chain)])

    def renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """Returns what the files hold if they have changed, or None; half-written files count as unchanged."""
        try:
            times = self._times()
            if times == self._seen:
                return None
            found = self.read()
        except OSError:
            return None
        self._seen = times
        return found

    def _times(self) -> tuple[int, ...]:
        return tuple(file.stat().st_mtime_ns for file in self._files)


def server_credentials(settings: Settings) -> grpc.ServerCredentials:
    """Returns the credentials to serve with; raises StartError where certificate or key cannot be read."""
    chain, key = settings.tls_certificate, settings.tls_key
    if chain is None or key is None:
        raise StartError("TLS needs both: give CULTIVAR_TLS_CERTIFICATE and CULTIVAR_TLS_KEY")
    try:
        certificate = Certificate(chain, key)
        renewed: Any = certificate.renewed
        return grpc.dynamic_ssl_server_credentials(certificate.read(), renewed)
    except OSError as error:
        raise StartError(
            f"{error.filename} cannot be read: {error.strerror}; name the files in CULTIVAR_TLS_CERTIFICATE and "
            "CULTIVAR_TLS_KEY"
        ) from error
