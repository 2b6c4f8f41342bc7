"""An OIDC issuer as a service meets it: where its endpoints are, its keys, and a client of its token endpoint.

What it publishes is read at the first use and kept for an hour, so that a key that was withdrawn is forgotten. A token
that names an unknown key makes the keys be read again, at most once in ten seconds: keys may rotate at any time, and
nobody may make a service ask the issuer at will.
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx2
from cultivar.issuer import trustworthy
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet

from cultivar_service.errors import StartError, Unavailable
from cultivar_service.logs import log

KEPT_SECONDS = 3600.0
REFETCH_SECONDS = 10.0
RETRY_SECONDS = 1.0
ANSWER_SECONDS = 5.0


def trust(ca: Path | None) -> ssl.SSLContext | bool:
    """Returns what an issuer's certificate is checked by; raises StartError where the CA cannot be read."""
    try:
        return ssl.create_default_context(cafile=ca) if ca else True
    except OSError as error:
        raise StartError(f"{ca} cannot be read as a CA: {error.strerror}; correct CULTIVAR_OIDC_CA") from error


class Issuer:
    """Reads what an issuer publishes; safe for concurrent use. Raises StartError where its CA cannot be read."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic, ca: Path | None = None) -> None:
        self.url = url
        self._trust = trust(ca)
        self._clock = clock
        self._reading = asyncio.Lock()
        self._metadata: dict[str, Any] = {}
        self._keys: KeySet | None = None
        self._read_at = self._tried_at = float("-inf")

    async def metadata(self) -> Mapping[str, Any]:
        """Returns the discovery document; raises Unavailable where the issuer does not answer with its own."""
        await self._fresh()
        return self._metadata

    async def key(self, kid: str | None, alg: str) -> Key | None:
        """Returns the public key for signatures of an id, the only one where no id is given; None where there is none.

        Raises Unavailable where no keys are known and the issuer does not answer.
        """
        await self._fresh()
        found = self._find(kid, alg)
        if found is None:
            await self._read()
            found = self._find(kid, alg)
        return found

    def _find(self, kid: str | None, alg: str) -> Key | None:
        keys = self._keys.keys if self._keys else []
        fit = [key for key in keys if key.get("use", "sig") == "sig" and key.get("alg", alg) == alg]
        named = [key for key in fit if key.kid == kid] if kid is not None else fit
        return named[0] if len(named) == 1 else None

    async def _fresh(self) -> None:
        if self._clock() - self._read_at >= KEPT_SECONDS:
            await self._read()
        if self._keys is None:
            raise Unavailable(
                f"the issuer {self.url} does not answer with its keys: check CULTIVAR_OIDC_ISSUER, and that it can be "
                "reached from here"
            )

    async def _read(self) -> None:
        """Reads once for all who wait, unless it was tried just now; keys outlive an issuer that does not answer."""
        async with self._reading:
            pause = RETRY_SECONDS if self._keys is None else REFETCH_SECONDS
            if self._clock() - self._tried_at < pause:
                return
            self._tried_at = self._clock()
            try:
                self._metadata, self._keys = await self._fetch()
                self._read_at = self._clock()
            except (httpx2.HTTPError, httpx2.InvalidURL, JoseError, ValueError, KeyError, TypeError) as error:
                log.warning("issuer_unreadable", issuer=self.url, kind=type(error).__name__)

    async def _fetch(self) -> tuple[dict[str, Any], KeySet]:
        async with httpx2.AsyncClient(timeout=ANSWER_SECONDS, verify=self._trust) as http:
            answer = await http.get(self.url.rstrip("/") + "/.well-known/openid-configuration")
            metadata = dict(answer.raise_for_status().json())
            if metadata["issuer"] != self.url:
                raise ValueError("the discovery document is of another issuer")
            if not trustworthy(metadata["jwks_uri"]):
                raise ValueError("the keys are not published over https")
            keys = await http.get(metadata["jwks_uri"])
        return metadata, KeySet.import_key_set(keys.raise_for_status().json())
