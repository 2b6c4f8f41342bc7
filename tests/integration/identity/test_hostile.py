"""Tokens and names as a hostile stranger sends them: whatever is not a token of the issuer opens nothing."""

import base64
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest
from cultivar.auth.v1 import auth_pb2
from cultivar.identity.v1 import identity_pb2 as pb
from cultivar.identity.v1 import identity_pb2_grpc
from cultivar_identity.__main__ import build as identity
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.conftest import Start
from tests.issuer import AUDIENCE, RealIssuer, new_key

ADMIN = ["cultivar:*:admin"]
UNAUTHENTICATED, INVALID = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.INVALID_ARGUMENT
DENIED, NOT_FOUND = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.NOT_FOUND
Call = Callable[..., Awaitable[Any]]


@pytest.fixture
async def call(start: Start, issuer: RealIssuer) -> AsyncIterator[Call]:
    """Makes a call of identity with a token; WhoAmI, which any valid token may make, unless told otherwise."""
    host = await start(identity, oidc_issuer=issuer.url, oidc_audience=AUDIENCE, oidc_leeway_seconds=5)
    async with grpc.aio.insecure_channel(host.listening.address) as channel:
        stub: Any = identity_pb2_grpc.IdentityServiceStub(channel)

        async def call(token: str, method: str = "WhoAmI", request: Any = None) -> Any:
            asked = request if request is not None else pb.WhoAmIRequest(parent="projects/default")
            return await getattr(stub, method)(asked, metadata=[("authorization", f"Bearer {token}")])

        yield call


async def refusal(calling: Awaitable[Any]) -> tuple[grpc.StatusCode, str]:
    """Returns the status and the sentence of a call that is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await calling
    return refused.value.code(), refused.value.details() or ""


def encoded(part: bytes) -> str:
    """Returns a part of a JWT."""
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def with_header(token: str, **changed: object) -> str:
    """Returns a token whose header says something else."""
    header, claims, signature = token.split(".")
    said = {**json.loads(base64.urlsafe_b64decode(header + "==")), **changed}
    return f"{encoded(json.dumps(said).encode())}.{claims}.{signature}"


@pytest.mark.parametrize(
    "changed",
    [
        {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example/chain"},
        {"x5c": ["AAAA"]},
        {"jwk": {"kty": "oct", "k": "AA"}},
        {"crit": ["exp"]},
        {"b64": False, "crit": ["b64"]},
        {"kid": "../../../../dev/null"},
        {"kid": "/proc/self/environ"},
        {"kid": "x' OR '1'='1"},
        {"kid": "https://evil.example/key"},
        {"kid": "\0"},
        {"kid": ["x"]},
        {"kid": 7},
        {"kid": None},
        {"alg": None},
        {"alg": ["RS256"]},
        {"alg": "rs256"},
        {"alg": "EdDSA"},
        {"zip": "DEF"},
    ],
    ids=str,
)
async def test_a_header_that_was_changed_opens_nothing(call: Call, issuer: RealIssuer, changed: dict[str, Any]) -> None:
    status, sentence = await refusal(call(with_header(issuer.signed(groups=ADMIN), **changed)))
    assert status == UNAUTHENTICATED and "evil.example" not in sentence


async def test_a_key_that_a_token_brings_along_is_not_taken(call: Call, issuer: RealIssuer) -> None:
    mine = RSAKey.import_key(new_key())
    now = int(time.time())
    claims = {"iss": issuer.url, "sub": "root", "aud": AUDIENCE, "exp": now + 600, "groups": ADMIN}
    public = mine.as_dict(private=False)
    for header in ({"jwk": public}, {"jwk": public, "kid": issuer.public_key()["kid"]}, {"jku": "http://127.0.0.1:9/"}):
        status, _ = await refusal(call(jwt.encode({"alg": "RS256", **header}, claims, mine)))
        assert status == UNAUTHENTICATED


# Not so long that the token nears 8 KiB: over that gRPC refuses metadata by chance.
@pytest.mark.parametrize(
    "claims", [b"[" * 3000, b'{"a":' * 1050, b'{"exp":' + b"9" * 5000 + b"}", b"\xff\xfe{}", b"null"]
)
async def test_claims_that_no_parser_survives_are_no_token(call: Call, issuer: RealIssuer, claims: bytes) -> None:
    header, _, signature = issuer.signed().split(".")
    status, sentence = await refusal(call(f"{header}.{encoded(claims)}.{signature}"))
    assert (status, sentence.partition(":")[0]) == (UNAUTHENTICATED, "the token is not a JWT")


@pytest.mark.parametrize("length", [20_000, 1 << 20])
async def test_a_token_too_long_to_be_one_is_refused_and_the_next_call_is_served(
    call: Call, issuer: RealIssuer, length: int
) -> None:
    assert (await refusal(call("x" * length)))[0] == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await call(issuer.signed(sub="ada"))).principal == "ada"


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": "never"},
        {"exp": True},
        {"exp": float("inf")},
        {"exp": -1},
        {"nbf": 32503680000},
        {"nbf": "x"},
        {"iat": 32503680000},
        {"aud": {AUDIENCE: 1}},
        {"aud": ["payroll", None]},
        {"aud": AUDIENCE.upper()},
        {"aud": f"{AUDIENCE}2"},
        {"aud": []},
        {"iss": ["https://evil.example"]},
    ],
    ids=str,
)
async def test_claims_of_the_wrong_time_kind_or_audience_open_nothing(
    call: Call, issuer: RealIssuer, claims: dict[str, Any]
) -> None:
    assert (await refusal(call(issuer.signed(groups=ADMIN, **claims))))[0] == UNAUTHENTICATED


@pytest.mark.parametrize(
    "entry",
    [
        "cultivar::admin",
        "cultivar:**:admin",
        "cultivar:*\u200b:admin",
        "cultivar:Default:admin",
        "cultivar: default:admin",
        "cultivar:default\n:admin",
        "cultivar:default/x:admin",
        "cultivar:default:ADMIN",
        "cultivar:default:adm\u0131n",
        "cultivar:default:admin:",
        "cultivar:default:5",
        "cultivar:default:anyone",
        "Cultivar:default:admin",
        " cultivar:default:admin",
        {"cultivar:default:admin": True},
        ["cultivar:default:admin"],
        None,
    ],
    ids=repr,
)
async def test_an_entry_that_only_resembles_a_role_gives_none(call: Call, issuer: RealIssuer, entry: object) -> None:
    who = await call(issuer.signed(sub="eve", groups=[entry]))
    assert dict(who.roles) == {}


@pytest.mark.parametrize(
    "name", [" root", "root ", "\u00a0root", "root\r\nauthorization: x", "a\u202eb", "a\u200bb", "\0", "x" * 256]
)
async def test_a_name_that_looks_like_anothers_or_smuggles_lines_is_refused(
    call: Call, issuer: RealIssuer, name: str
) -> None:
    assert (await refusal(call(issuer.signed(sub=name))))[0] == UNAUTHENTICATED
    admin = issuer.signed(sub="root", groups=ADMIN)
    bound = pb.RoleBinding(principal=name, role=auth_pb2.ROLE_VIEWER)
    asked = pb.CreateRoleBindingRequest(parent="projects/default", role_binding=bound)
    assert (await refusal(call(admin, "CreateRoleBinding", asked)))[0] == INVALID


@pytest.mark.parametrize(
    "project", ["*", "", "Default", "default\n", "default\0", "DEFAULT", "default ", "\u212aelvin"]
)
async def test_no_project_of_a_strange_name_can_be_had_a_role_in(call: Call, issuer: RealIssuer, project: str) -> None:
    for groups in (ADMIN, ["cultivar:default:admin"]):
        bound = pb.RoleBinding(principal="eve", role=auth_pb2.ROLE_ADMIN)
        asked = pb.CreateRoleBindingRequest(parent=f"projects/{project}", role_binding=bound)
        token = issuer.signed(sub="root", groups=groups)
        assert (await refusal(call(token, "CreateRoleBinding", asked)))[0] == INVALID


async def test_an_admin_of_one_project_binds_nobody_in_another(call: Call, issuer: RealIssuer) -> None:
    eve = issuer.signed(sub="eve", groups=["cultivar:default:admin"])
    bound = pb.RoleBinding(name="projects/other/roleBindings/x", principal="eve", role=auth_pb2.ROLE_ADMIN)
    for parent in ("projects/default/../other", "projects/default/projects/other", "projects/default"):
        asked = pb.CreateRoleBindingRequest(parent=parent, role_binding=bound)
        try:
            made = await call(eve, "CreateRoleBinding", asked)
        except grpc.aio.AioRpcError as error:
            assert error.code() == grpc.StatusCode.ALREADY_EXISTS
        else:
            assert made.name.startswith("projects/default/roleBindings/")
    other = pb.CreateRoleBindingRequest(parent="projects/other", role_binding=bound)
    assert (await refusal(call(eve, "CreateRoleBinding", other)))[0] == DENIED
    assert dict((await call(issuer.signed(sub="eve"))).roles) == {"default": auth_pb2.ROLE_ADMIN}


async def test_guessing_at_an_invitation_tells_nothing_of_which_exist(call: Call, issuer: RealIssuer) -> None:
    admin, eve = issuer.signed(sub="root", groups=ADMIN), issuer.signed(sub="eve")
    made = await call(admin, "CreateInvitation", pb.CreateInvitationRequest(parent="projects/default"))
    # 256 bits: guessing is hopeless, so nothing counts the guesses, and nobody can lock an invitation by them.
    assert len(base64.urlsafe_b64decode(made.secret + "==")) == 32
    absent = made.name[:-1] + ("0" if made.name[-1] != "0" else "1")
    guesses = [(made.name, "x" * 43), (made.name, ""), (made.name, made.secret[:-1]), (absent, made.secret)]
    guesses += [(made.name, f"{made.secret}\0"), (made.name, "x" * 100_000), (made.name, made.secret.swapcase())]
    told = {
        await refusal(call(eve, "AcceptInvitation", pb.AcceptInvitationRequest(name=name, secret=secret)))
        for name, secret in guesses
    }
    assert told == {(NOT_FOUND, "there is no such invitation: ask an admin of the project for a new link")}
    bound = await call(eve, "AcceptInvitation", pb.AcceptInvitationRequest(name=made.name, secret=made.secret))
    assert bound.principal == "eve"


async def test_a_text_that_the_database_cannot_keep_is_the_callers_mistake(call: Call, issuer: RealIssuer) -> None:
    admin = issuer.signed(sub="root", groups=ADMIN)
    bound = pb.RoleBinding(principal="ada", role=auth_pb2.ROLE_VIEWER)
    for method, request in (
        ("AcceptInvitation", pb.AcceptInvitationRequest(name="projects/default/invitations/\0", secret="x")),
        ("DeleteRoleBinding", pb.DeleteRoleBindingRequest(name="projects/default/roleBindings/\0")),
        (
            "CreateRoleBinding",
            pb.CreateRoleBindingRequest(parent="projects/default", role_binding=bound, request_id="\0"),
        ),
    ):
        status, sentence = await refusal(call(admin, method, request))
        assert status == INVALID and "NUL" in sentence, method
