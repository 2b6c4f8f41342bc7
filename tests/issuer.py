"""A real OIDC issuer: Canaille, as pytest-iam serves it, on loopback or over TLS elsewhere."""

import os
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4
from wsgiref.simple_server import make_server

import httpx2
import portpicker
import trustme
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from canaille import create_app
from canaille.backends import Backend
from canaille.oidc import jose, provider
from flask import request
from joserfc import jwt
from joserfc.jwk import JWKRegistry, Key, KeySet
from pytest_iam import Server

AUDIENCE = "cultivar"
PASSWORD = "correct horse battery staple"
PATIENCE = 3600


class MachineTokens(JWTBearerTokenGenerator):
    """Gives clients RFC 9068 tokens as Authlib makes them; Canaille's own for clients are opaque."""

    def get_jwks(self) -> KeySet:
        """Returns the keys that sign."""
        return jose.server_jwks(include_inactive=False)

    def get_audiences(self, client: Any, user: Any, scope: str) -> list[str]:
        """Returns whom a token is for."""
        return [audience.client_id for audience in client.audience]


def code_of(grant: Any, code: str, client: Any) -> Any:
    """Finds the code that is meant: Canaille's memory joins filters by `or`, and so takes any code of the client."""
    found = Backend.instance.query(provider.models.AuthorizationCode, code=code)
    return next((each for each in found if each.client == client and not each.is_expired()), None)


provider.AuthorizationCodeGrant.query_authorization_code = code_of


def new_key() -> dict[str, Any]:
    """Makes an RSA key pair with an id."""
    key = JWKRegistry.generate_key("RSA", 2048)
    key.ensure_kid()
    return dict(key.as_dict(private=True))


class RealIssuer:
    """The issuer, and what its administrator does."""

    def __init__(self, server: Server, url: str, trusted: ssl.SSLContext | bool = True) -> None:
        self._server = server
        self._trusted = trusted
        self.url = url
        self.secret = uuid4().hex
        self.client_token_seconds = provider.authorization._token_generators["client_credentials"]._get_expires_in(
            None, "client_credentials"
        )
        self.times_asked = self.renewals = 0
        server.app.before_request(self._count)

    def _count(self) -> None:
        self.times_asked += request.path == "/oauth/jwks.json"
        self.renewals += request.form.get("grant_type") == "refresh_token"

    def public_key(self) -> dict[str, Any]:
        """Returns the key that it publishes."""
        return dict(httpx2.get(f"{self.url}/oauth/jwks.json", verify=self._trusted).json()["keys"][0])

    @property
    def _config(self) -> Any:
        return self._server.app.config["CANAILLE_OIDC"]

    def add_client(
        self,
        client_id: str,
        redirect_uri: str = "",
        audience: str = AUDIENCE,
        public: bool = False,
        signed_out_uri: str = "",
    ) -> None:
        """Registers a client whose tokens are for an audience, and which people need not be asked about."""
        with self._server.app.app_context():
            target = self._server.backend.get(self._server.models.Client, client_id=audience)
            if target is None:
                target = self._server.models.Client(client_id=audience, client_name=audience, scope=["openid"])
                self._server.backend.save(target)
            client = self._server.models.Client(
                client_id=client_id,
                client_secret="" if public else self.secret,
                client_name=client_id,
                client_uri="http://127.0.0.1/",
                redirect_uris=[redirect_uri] if redirect_uri else [],
                post_logout_redirect_uris=[signed_out_uri] if signed_out_uri else [],
                scope=["openid", "profile", "email", "groups"],
                grant_types=["authorization_code", "client_credentials", "password", "refresh_token"],
                response_types=["code"],
                token_endpoint_auth_method="none" if public else "client_secret_basic",
            )
            self._server.backend.save(client)
            client.audience = [client, target]
            self._server.backend.save(client)

    def allow(self, client_id: str, redirect_uri: str) -> None:
        """Lets browsers come back to a client at an address, as issuers do for every port of loopback (RFC 8252)."""
        with self._server.app.app_context():
            client = self._server.backend.get(self._server.models.Client, client_id=client_id)
            client.redirect_uris = [*client.redirect_uris, redirect_uri]
            self._server.backend.save(client)

    def add_person(self, name: str, *groups: str) -> None:
        """Registers a person, who is in groups."""
        person = self._server.random_user(user_name=name, password=PASSWORD)
        with self._server.app.app_context():
            for group in groups:
                made = self._server.models.Group(display_name=group, members=[person])
                self._server.backend.save(made)

    def enter(self, name: str) -> None:
        """Lets every browser be that of a person who has signed in here."""
        with self._server.app.app_context():
            person = self._server.backend.get(self._server.models.User, user_name=name)
        self._server.login(person)

    def leave(self) -> None:
        """Signs the person out here."""
        self._server.logout()

    def revoke_all(self) -> None:
        """Takes back every token that was granted."""
        with self._server.app.app_context():
            for token in self._server.backend.query(self._server.models.Token):
                self._server.backend.delete(token)

    def token_of(self, name: str, client_id: str) -> str:
        """Returns the token of a person, asked for with their password."""
        scope = "openid profile email groups"
        asked = {"grant_type": "password", "username": name, "password": PASSWORD, "scope": scope}
        credentials = (client_id, self.secret)
        answer = httpx2.post(f"{self.url}/oauth/token", data=asked, auth=credentials, verify=self._trusted)
        return str(answer.raise_for_status().json()["access_token"])

    def signed(self, key: dict[str, Any] | None = None, alg: str = "RS256", **changed: Any) -> str:
        """Returns a token that says what is asked for, signed with the issuer's key unless another is given."""
        chosen: Key = JWKRegistry.import_key(key or self._config["ACTIVE_JWKS"][0])
        now = int(time.time())
        claims = {"iss": self.url, "sub": "ada", "aud": AUDIENCE, "iat": now, "exp": now + PATIENCE, **changed}
        return jwt.encode({"alg": alg, "kid": chosen.kid}, claims, chosen, algorithms=[alg])

    def rotate(self) -> None:
        """Signs with a new key from now on, and publishes the one before no more."""
        self._config["ACTIVE_JWKS"] = [new_key()]


@contextmanager
def real_issuer(host: str = "localhost", authority: trustme.CA | None = None) -> Iterator[RealIssuer]:
    """Serves an issuer for as long as the context is open: without TLS, or with a certificate of an authority."""
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
    port, scheme = portpicker.pick_unused_port(), "https" if authority else "http"
    url = f"{scheme}://{host}:{port}"
    config = {
        "TESTING": True,
        "SECRET_KEY": uuid4().hex,
        "WTF_CSRF_ENABLED": False,
        "PREFERRED_URL_SCHEME": scheme,
        "SERVER_NAME": f"{host}:{port}",
        "CANAILLE": {"DATABASE": "memory", "JAVASCRIPT": False, "LOGGING": {"version": 1}},
        "CANAILLE_OIDC": {"ACTIVE_JWKS": [new_key()], "TRUSTED_DOMAINS": ["127.0.0.1"]},
    }
    app = create_app(config=config, env_file="", env_prefix="NOTHING_")
    # RFC 7009 lets public clients take back what they were granted; Canaille's takes clients with a secret alone.
    provider.RevocationEndpoint.CLIENT_AUTH_METHODS = ["client_secret_basic", "none"]
    provider.authorization.register_token_generator("client_credentials", MachineTokens(url))
    server, trusted = Server(app, port, Backend.instance), ssl.create_default_context()
    if authority is not None:
        serve_over_tls(server, host, authority)
        authority.configure_trust(trusted)
    thread = threading.Thread(target=server.httpd.serve_forever)
    thread.start()
    try:
        yield RealIssuer(server, url, trusted)
    finally:
        server.httpd.shutdown()
        thread.join()
        server.httpd.server_close()


def serve_over_tls(server: Server, host: str, authority: trustme.CA) -> None:
    """Lets a server listen at a host of its own, with a certificate that an authority signs for it."""
    server.httpd.server_close()
    server.httpd = make_server(host, server.port, server.app, handler_class=server._make_request_handler())
    server.httpd.base_environ["HTTPS"] = "on"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    server.httpd.socket = context.wrap_socket(server.httpd.socket, server_side=True)
