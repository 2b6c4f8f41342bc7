"""Tokens of a real OIDC issuer at the door of a service: which count, for whom, and what the others are told."""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import grpc
import pytest
from cultivar.generation.v1 import generation_pb2 as pb
from cultivar.generation.v1 import generation_pb2_grpc
from cultivar_generation.__main__ import build
from cultivar_service.errors import FailedPrecondition, StartError
from cultivar_service.identity import open_identity
from cultivar_service.issuer import Issuer
from cultivar_service.own_tokens import OwnTokens
from cultivar_service.serving import Host
from cultivar_service.settings import Settings
from joserfc.jwk import ECKey, RSAKey
from pydantic import SecretStr

from tests.conftest import Start
from tests.issuer import AUDIENCE, RealIssuer, new_key

Call = Callable[..., Awaitable[Any]]
UNAUTHENTICATED, DENIED = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED


def oidc(issuer: RealIssuer, **changed: object) -> dict[str, object]:
    """The settings of a service that takes the issuer's tokens."""
    return {"oidc_issuer": issuer.url, "oidc_audience": AUDIENCE, "oidc_leeway_seconds": 5, **changed}


@pytest.fixture
async def host(start: Start, issuer: RealIssuer) -> Host:
    """A service that takes the issuer's tokens."""
    return await start(build, **oidc(issuer))


@pytest.fixture
def call(host: Host) -> Call:
    """Makes a call with a token."""

    async def call(token: str, project: str = "default", register: bool = False) -> Any:
        async with grpc.aio.insecure_channel(host.listening.address) as channel:
            stub: Any = generation_pb2_grpc.GenerationServiceStub(channel)
            metadata = [("authorization", f"Bearer {token}")]
            if not register:
                return await stub.ListPrompts(pb.ListPromptsRequest(parent=f"projects/{project}"), metadata=metadata)
            prompt = pb.Prompt(form=pb.PROMPT_FORM_CHAT, template="say {{ text }}")
            asked = pb.CreatePromptRequest(parent=f"projects/{project}", prompt_id="mine", prompt=prompt)
            return await stub.CreatePrompt(asked, metadata=metadata)

    return call


def encoded(part: bytes) -> str:
    """Returns a part of a JWT; the library refuses to sign with a public key, so an attacker's hand does it."""
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


async def refusal(calling: Awaitable[Any]) -> tuple[grpc.StatusCode, str]:
    """Returns the status and the sentence of a call that is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await calling
    return refused.value.code(), refused.value.details() or ""


async def test_the_roles_of_a_person_come_from_a_claim_of_their_token(call: Call, issuer: RealIssuer) -> None:
    client, name = uuid4().hex, f"ada-{uuid4().hex[:6]}"
    issuer.add_client(client)
    issuer.add_person(name, "cultivar:default:engineer", "cultivar:other:viewer", "cultivar:third:empress", "staff")
    token = issuer.token_of(name, client)
    assert (await call(token, register=True)).name == "projects/default/prompts/mine@1"
    assert (await call(token, "other")).prompts
    status, sentence = await refusal(call(token, "other", register=True))
    assert (status, sentence.partition(";")[0]) == (DENIED, f"{name} needs the role engineer in projects/other")
    assert (await refusal(call(token, "third")))[0] == DENIED


async def test_a_claim_for_all_projects_counts_in_each_and_the_greater_role_wins(
    call: Call, issuer: RealIssuer
) -> None:
    token = issuer.signed(groups=["cultivar:*:engineer", "cultivar:default:viewer"])
    assert (await call(token, register=True)).name
    assert (await call(token, "other", register=True)).name


async def test_a_token_without_roles_may_do_nothing(call: Call, issuer: RealIssuer) -> None:
    for groups in ([], ["engineer"], ["default:engineer"], ["cultivar:default:unspecified"], ["cultivar:default:none"]):
        assert (await refusal(call(issuer.signed(groups=groups))))[0] == DENIED, groups


async def test_an_expired_token_is_refused_and_one_within_the_leeway_counts(call: Call, issuer: RealIssuer) -> None:
    status, sentence = await refusal(call(issuer.signed(exp=int(time.time()) - 60)))
    assert status == UNAUTHENTICATED and sentence.startswith("the token has expired: sign in again")
    # Who may do nothing is refused for that, and not for the time.
    assert (await refusal(call(issuer.signed(exp=int(time.time()) - 1))))[0] == DENIED


async def test_a_token_from_the_future_points_to_the_clocks(call: Call, issuer: RealIssuer) -> None:
    status, sentence = await refusal(call(issuer.signed(nbf=int(time.time()) + 600)))
    assert status == UNAUTHENTICATED and "check the clocks" in sentence


async def test_a_token_without_an_end_or_an_audience_is_refused(call: Call, issuer: RealIssuer) -> None:
    for claim in ("exp", "aud"):
        status, sentence = await refusal(call(issuer.signed(**{claim: None})))
        assert status == UNAUTHENTICATED and claim in sentence


async def test_a_token_of_another_issuer_is_refused(call: Call, issuer: RealIssuer) -> None:
    other = issuer.signed(new_key(), iss="https://accounts.example")
    assert await refusal(call(other)) == (
        UNAUTHENTICATED,
        f"the token is of another issuer: pass one of {issuer.url}",
    )


async def test_a_token_for_another_audience_is_refused(call: Call, issuer: RealIssuer) -> None:
    client = uuid4().hex
    issuer.add_client(client, audience="payroll")
    name = f"ada-{uuid4().hex[:6]}"
    issuer.add_person(name, "cultivar:*:admin")
    assert await refusal(call(issuer.token_of(name, client))) == (
        UNAUTHENTICATED,
        f"the token is for another audience: ask {issuer.url} for one for {AUDIENCE}",
    )


async def test_a_token_without_a_signature_is_refused(call: Call, issuer: RealIssuer) -> None:
    _, claims, _ = issuer.signed(groups=["cultivar:*:admin"]).split(".")
    for header in ("eyJhbGciOiJub25lIn0", "eyJhbGciOiJOT05FIn0"):
        status, sentence = await refusal(call(f"{header}.{claims}."))
        assert status == UNAUTHENTICATED and "RS256" in sentence


async def test_a_token_signed_with_the_public_key_as_a_secret_is_refused(call: Call, issuer: RealIssuer) -> None:
    public = RSAKey.import_key(issuer.public_key())
    _, claims, _ = issuer.signed(groups=["cultivar:*:admin"]).split(".")
    for secret in (public.as_pem(private=False), public.as_pem(private=False).strip()):
        said = f"{encoded(json.dumps({'alg': 'HS256', 'kid': public.kid}).encode())}.{claims}"
        forged = f"{said}.{encoded(hmac.digest(secret, said.encode(), 'sha256'))}"
        status, sentence = await refusal(call(forged))
        assert status == UNAUTHENTICATED and "not signed by a public key" in sentence


async def test_a_token_of_an_unknown_key_is_refused(call: Call, issuer: RealIssuer) -> None:
    status, sentence = await refusal(call(issuer.signed(new_key(), groups=["cultivar:*:admin"])))
    assert status == UNAUTHENTICATED and sentence.startswith("the token names a key that")


async def test_a_token_that_names_the_right_key_and_was_signed_with_another_is_refused(
    call: Call, issuer: RealIssuer
) -> None:
    mine = {**new_key(), "kid": issuer.public_key()["kid"]}
    assert await refusal(call(issuer.signed(mine, groups=["cultivar:*:admin"]))) == (
        UNAUTHENTICATED,
        "the token's signature does not hold: sign in again",
    )


async def test_a_token_whose_claims_were_changed_is_refused(call: Call, issuer: RealIssuer) -> None:
    header, _, signature = issuer.signed().split(".")
    _, claims, _ = issuer.signed(groups=["cultivar:*:admin"]).split(".")
    assert "signature" in (await refusal(call(f"{header}.{claims}.{signature}")))[1]


async def test_an_algorithm_that_does_not_fit_the_key_is_refused(call: Call, issuer: RealIssuer) -> None:
    curve = {**ECKey.generate_key("P-256").as_dict(private=True), "kid": issuer.public_key()["kid"]}
    assert "signature" in (await refusal(call(issuer.signed(curve, alg="ES256"))))[1]


async def test_what_is_no_token_is_refused(call: Call, issuer: RealIssuer) -> None:
    for token in ("x", "a.b", "a.b.c", "e30.e30.e30", "..", "e30.W10.e30", "x" * 6000):
        assert (await refusal(call(token)))[0] == UNAUTHENTICATED, token


async def test_a_name_that_is_cultivars_own_or_cannot_be_one_is_refused(call: Call, issuer: RealIssuer) -> None:
    for name in ("local", "system", "", " ", "a\nb", "x" * 256, 7, None):
        status, sentence = await refusal(call(issuer.signed(sub=name, groups=["cultivar:*:admin"])))
        assert status == UNAUTHENTICATED and "sub" in sentence, name


async def test_rotated_keys_are_found_and_withdrawn_ones_forgotten(issuer: RealIssuer) -> None:
    now = [1000.0]
    reads = Issuer(issuer.url, lambda: now[0])
    before = issuer.public_key()["kid"]
    assert await reads.key(before, "RS256")
    issuer.rotate()
    after = issuer.public_key()["kid"]
    assert await reads.key(after, "RS256") is None, "keys were read just now, so they are not read again yet"
    now[0] += 11
    assert await reads.key(after, "RS256")
    assert await reads.key(before, "RS256") is None


async def test_a_token_of_a_rotated_key_counts_at_the_door(
    call: Call, issuer: RealIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cultivar_service.issuer.REFETCH_SECONDS", 0.0)
    old = issuer.signed(groups=["cultivar:*:admin"])
    assert (await call(old)).prompts
    issuer.rotate()
    assert (await call(issuer.signed(groups=["cultivar:*:admin"]))).prompts
    assert (await refusal(call(old)))[0] == UNAUTHENTICATED


async def test_a_flood_of_unknown_keys_asks_the_issuer_once(issuer: RealIssuer) -> None:
    now = [1000.0]
    reads = Issuer(issuer.url, lambda: now[0])
    await reads.key(issuer.public_key()["kid"], "RS256")
    now[0] += 11
    before = issuer.times_asked
    assert await asyncio.gather(*(reads.key(uuid4().hex, "RS256") for _ in range(50))) == [None] * 50
    assert issuer.times_asked - before == 1


async def test_an_issuer_that_does_not_answer_is_unavailable_and_said_so(
    start: Start, issuer: RealIssuer, settings: Settings
) -> None:
    silent = await start(build, **oidc(issuer, oidc_issuer="http://127.0.0.1:9"))
    async with grpc.aio.insecure_channel(silent.listening.address) as channel:
        stub: Any = generation_pb2_grpc.GenerationServiceStub(channel)
        token = issuer.signed(iss="http://127.0.0.1:9")
        asked = stub.ListPrompts(
            pb.ListPromptsRequest(parent="projects/default"), metadata=[("authorization", f"Bearer {token}")]
        )
        status, sentence = await refusal(asked)
    assert status == grpc.StatusCode.UNAVAILABLE and "CULTIVAR_OIDC_ISSUER" in sentence


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"oidc_issuer": "https://id.example"}, "CULTIVAR_OIDC_AUDIENCE"),
        ({"oidc_issuer": "http://id.example", "oidc_audience": "a"}, "https://"),
        ({"oidc_issuer": "id.example", "oidc_audience": "a"}, "https://"),
        ({"oidc_issuer": "https://[id.example", "oidc_audience": "a"}, "https://"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused_at_the_start(
    settings: Settings, given: dict[str, str], sentence: str
) -> None:
    with pytest.raises(StartError, match=sentence):
        open_identity(settings.model_copy(update=given))


async def test_a_service_calls_as_itself_with_a_token_that_is_kept_and_renewed_before_it_ends(
    issuer: RealIssuer,
) -> None:
    client = f"campaigns-{uuid4().hex[:6]}"
    issuer.add_client(client)
    now = [1000.0]
    given = oidc(issuer, oidc_client_id=client, oidc_client_secret=SecretStr(issuer.secret))
    own = OwnTokens(Settings(**given), Issuer(issuer.url), lambda: now[0])  # type: ignore[arg-type]
    first = await own.token()
    assert await asyncio.gather(*(own.token() for _ in range(9))) == [first] * 9
    now[0] += issuer.client_token_seconds * 0.79
    assert await own.token() == first
    now[0] += issuer.client_token_seconds * 0.02
    assert await own.token() != first


async def test_the_channel_of_a_service_carries_its_own_name(start: Start, issuer: RealIssuer) -> None:
    client = f"campaigns-{uuid4().hex[:6]}"
    issuer.add_client(client)
    secret = SecretStr(issuer.secret)
    host = await start(build, **oidc(issuer, oidc_client_id=client, oidc_client_secret=secret, oidc_services=client))
    assert host.parts is not None
    stub: Any = generation_pb2_grpc.GenerationServiceStub(host.parts.channel)
    prompt = pb.Prompt(form=pb.PROMPT_FORM_CHAT, template="say {{ text }}")
    await stub.CreatePrompt(pb.CreatePromptRequest(parent="projects/default", prompt_id="mine", prompt=prompt))
    stranger = await start(build, **oidc(issuer, oidc_client_id=client, oidc_client_secret=secret))
    assert stranger.parts is not None
    other: Any = generation_pb2_grpc.GenerationServiceStub(stranger.parts.channel)
    status, sentence = await refusal(other.ListPrompts(pb.ListPromptsRequest(parent="projects/default")))
    assert status == DENIED and sentence.startswith(f"{client} needs the role viewer")


async def test_a_service_without_a_client_or_with_a_wrong_secret_is_told_what_to_set(issuer: RealIssuer) -> None:
    client = uuid4().hex
    issuer.add_client(client)
    for changed in ({}, {"oidc_client_id": client, "oidc_client_secret": SecretStr("wrong")}):
        own = OwnTokens(Settings(**oidc(issuer, **changed)), Issuer(issuer.url))  # type: ignore[arg-type]
        with pytest.raises(FailedPrecondition, match="CULTIVAR_OIDC_CLIENT_ID"):
            await own.token()
