"""What `cultivar doctor` finds of the identity provider."""

from uuid import uuid4

from cultivar_service.doctor import Finding, examine
from cultivar_service.settings import Settings
from pydantic import SecretStr

from tests.issuer import AUDIENCE, RealIssuer


async def found(issuer: RealIssuer, **changed: object) -> Finding:
    """Returns what is found of the issuer, with the settings of a service that is registered there."""
    client = f"review-{uuid4().hex[:6]}"
    issuer.add_client(client)
    given = {"oidc_issuer": issuer.url, "oidc_audience": AUDIENCE, "oidc_client_id": client, "peers": "127.0.0.1:9"}
    settings = Settings(**{**given, "oidc_client_secret": SecretStr(issuer.secret), **changed})
    return next(one for one in [one async for one in examine(settings, {}, "default")] if one.what == "issuer")


async def test_an_issuer_that_knows_this_service_is_fine(issuer: RealIssuer) -> None:
    seen = await found(issuer)
    assert seen.state == "fine" and "knows this service as review-" in seen.said


async def test_a_service_that_calls_nobody_needs_no_client(issuer: RealIssuer) -> None:
    seen = await found(issuer, oidc_client_id="")
    assert seen.state == "fine" and "CULTIVAR_OIDC_CLIENT_ID is not set here" in seen.said


async def test_what_is_wrong_with_an_issuer_is_said_with_what_to_do(issuer: RealIssuer) -> None:
    for changed, sentence in (
        ({"oidc_issuer": "http://127.0.0.1:9"}, "check CULTIVAR_OIDC_ISSUER"),
        ({"oidc_issuer": "http://elsewhere.example"}, "must begin with https://"),
        ({"oidc_audience": ""}, "CULTIVAR_OIDC_AUDIENCE"),
        ({"oidc_audience": "payroll"}, "for another audience"),
        ({"oidc_client_secret": SecretStr("wrong")}, "refuses our client"),
    ):
        seen = await found(issuer, **changed)
        assert seen.state == "wrong" and sentence in seen.said, (changed, seen)
