"""Signing in at a real issuer by code flow, as a browser without scripts or an attacker meets it."""

from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import uuid4

import aiohttp
import grpc
import pytest
from cultivar.auth.v1 import auth_pb2
from cultivar.identity.v1 import identity_pb2, identity_pb2_grpc
from cultivar_console.__main__ import build as console
from cultivar_console.codeflow import CodeFlow
from cultivar_console.errors import SignInFailed

from tests.conftest import Start
from tests.integration.console.conftest import QUEUES, Person
from tests.issuer import AUDIENCE, RealIssuer

JSON = {"Accept": "application/json"}


async def test_who_is_not_signed_in_is_led_to_the_issuer_with_pkce_state_and_nonce(person: Person) -> None:
    led = await person.get(f"{QUEUES}?after=x")
    assert (
        led.headers["location"]
        == f"/signin?next={(QUEUES + '?after=x').replace('/', '%2F').replace('?', '%3F').replace('=', '%3D')}"
    )
    where, asked = await person.asked()
    assert where.startswith(f"{person.issuer.url}/oauth/authorize?")
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert asked["redirect_uri"] == f"{person.url}/signin/callback"
    assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 30
    _, again = await person.asked()
    assert not {asked[name] for name in ("state", "nonce", "code_challenge")} & set(again.values())


async def test_who_signs_in_at_the_issuer_is_led_back_to_where_they_were_going(person: Person) -> None:
    signed = await person.sign_in(f"{QUEUES}?after=")
    assert signed.status == 303, await signed.text()
    assert signed.headers["location"] == f"{QUEUES}?after="
    page = await person.get(QUEUES)
    assert page.status == 200 and person.name in await page.text()


async def test_the_cookie_holds_an_opaque_id_and_no_token(person: Person) -> None:
    signed = await person.sign_in()
    cookies = {cookie.partition("=")[0]: cookie for cookie in signed.headers.getall("set-cookie")}
    kept = cookies["cultivar_session"]
    assert "HttpOnly" in kept and "samesite=lax" in kept.lower() and "secure" not in kept.lower()
    assert len(kept.split(";")[0].partition("=")[2]) == 43 and "eyJ" not in kept


async def test_cookies_are_secure_where_browsers_reach_the_console_by_https(start: Start, issuer: RealIssuer) -> None:
    given = {"oidc_issuer": issuer.url, "oidc_audience": AUDIENCE, "oidc_client_id": "console"}
    host = await start(console, console_url="https://cultivar.example", **given)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        person = Person(issuer, host, http, "ada")
        sent = await person.get(f"/signin?next={QUEUES}")
    assert "secure" in sent.headers["set-cookie"].lower()
    assert "redirect_uri=https%3A%2F%2Fcultivar.example%2Fsignin%2Fcallback" in sent.headers["location"]


async def test_an_answer_is_taken_in_the_browser_that_asked_alone_and_once(person: Person) -> None:
    back = await person.answered()
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        other = Person(person.issuer, person.host, http, "eve")
        refused = await other.get(back)
        assert refused.status == 401 and "not begun in this browser" in await refused.text()
        assert (await other.get(QUEUES)).status == 303
    assert (await person.get(back)).status == 303
    assert (await person.get(back)).status == 401


async def test_an_answer_with_another_state_or_of_another_issuer_signs_nobody_in(person: Person) -> None:
    for changed in ({"state": "x" * 30}, {"iss": "https://accounts.example"}, {"code": ""}):
        parts = urlsplit(await person.answered())
        query = {name: values[0] for name, values in parse_qs(parts.query).items()} | changed
        refused = await person.get(f"{parts.path}?{urlencode({k: v for k, v in query.items() if v})}")
        assert refused.status == 401 and "Sign in with your organisation" in await refused.text(), changed
        assert (await person.get(QUEUES)).status == 303


async def test_a_code_that_was_given_to_another_sign_in_fails_by_its_verifier(person: Person) -> None:
    stolen = parse_qs(urlsplit(await person.answered()).query)["code"][0]
    _, asked = await person.asked()
    refused = await person.get(f"/signin/callback?{urlencode({'code': stolen, 'state': asked['state']})}")
    assert refused.status == 401 and "took back its answer" in await refused.text()


async def test_a_nonce_of_another_sign_in_signs_nobody_in(person: Person) -> None:
    assert person.host.identity.oidc is not None and person.host.identity.issuer is not None
    own = CodeFlow(person.host.settings, person.host.identity.oidc, person.host.identity.issuer, person.url)
    where, under_way = await own.begin("/")
    person.issuer.enter(person.name)
    back = (await person.get(where)).headers["location"]
    answer = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}
    with pytest.raises(SignInFailed, match="another sign-in"):
        await own.finish(under_way.model_copy(update={"nonce": "other"}), answer)


async def sign_out(person: Person) -> aiohttp.ClientResponse:
    """Signs out as the button of a page does."""
    form = {"csrf": await person.csrf(QUEUES)}
    return await person.http.post(f"{person.url}/signout", data=form, allow_redirects=False)


async def test_signing_out_ends_the_session_here_and_leads_to_the_end_of_the_issuers(person: Person) -> None:
    await person.sign_in()
    out = await sign_out(person)
    assert (await person.get(QUEUES)).status == 303
    leads = unescape((await out.text()).split('content="0;url=')[1].split('"')[0])
    asked = {name: values[0] for name, values in parse_qs(urlsplit(leads).query).items()}
    assert leads.startswith(f"{person.issuer.url}/oauth/end_session?")
    assert asked["client_id"] == person.host.settings.oidc_client_id
    assert asked["post_logout_redirect_uri"] == f"{person.url}/signed-out"
    back = await person.get(leads)
    assert back.status == 302 and back.headers["location"] == f"{person.url}/signed-out?state={asked['state']}"
    for state, sentence in ((asked["state"], "at your organisation too"), ("guess", "may still be signed in")):
        assert sentence in await (await person.get(f"/signed-out?state={state}")).text(), state
    # The state counts once, like the sign-out that it belongs to.
    assert "may still be signed in" in await (await person.get(f"/signed-out?state={asked['state']}")).text()


@pytest.mark.parametrize("endpoint", [None, "", 7, "http://id.example/end", "javascript:alert(1)"])
async def test_where_the_issuer_names_no_place_to_end_its_session_ours_ends_alone(
    person: Person, endpoint: object
) -> None:
    await person.sign_in()
    assert person.host.identity.issuer is not None
    metadata: Any = await person.host.identity.issuer.metadata()
    metadata["end_session_endpoint"] = endpoint
    out = await sign_out(person)
    assert (out.status, out.headers["location"]) == (303, "/signed-out")
    assert (await person.get(QUEUES)).status == 303
    assert "may still be signed in" in await (await person.get("/signed-out")).text()
    assert "Sign in with your organisation" in await (await person.get("/signin")).text()


async def test_an_issuer_that_is_silent_at_sign_out_keeps_nobody_signed_in(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    await person.sign_in()
    issuer: Any = person.host.identity.issuer
    form = {"csrf": await person.csrf(QUEUES)}
    monkeypatch.setattr(issuer, "_keys", None)
    monkeypatch.setattr(issuer, "url", "http://127.0.0.1:9")
    out = await person.http.post(f"{person.url}/signout", data=form, allow_redirects=False)
    assert (out.status, out.headers["location"]) == (303, "/signed-out")
    monkeypatch.undo()
    assert (await person.get(QUEUES)).status == 303


async def test_the_token_that_names_the_session_at_the_issuer_outlives_a_renewal(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cultivar_console.codeflow.LEFT", 1.0)
    await person.sign_in()
    assert (await person.get(QUEUES)).status == 200
    assert "id_token_hint=eyJ" in await (await sign_out(person)).text()


async def test_a_token_that_is_about_to_end_is_renewed_and_the_person_notices_nothing(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cultivar_console.codeflow.LEFT", 1.0)
    await person.sign_in()
    before = person.issuer.renewals
    assert [(await person.get(QUEUES)).status for _ in range(2)] == [200, 200]
    assert person.issuer.renewals == before + 2


async def test_who_is_no_longer_known_at_the_issuer_is_signed_out(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cultivar_console.codeflow.LEFT", 1.0)
    await person.sign_in()
    person.issuer.revoke_all()
    assert (await person.get(QUEUES)).headers["location"].startswith("/signin?next=")
    told = await person.http.get(person.url + QUEUES, headers=JSON)
    assert (await told.json())["reason"] == "SIGN_IN_NEEDED"


async def test_the_token_of_the_pages_form_signs_nobody_in_where_there_is_an_issuer(person: Person) -> None:
    token = person.issuer.signed(groups=["cultivar:*:admin"])
    refused = await person.http.post(f"{person.url}/signin", data={"token": token}, allow_redirects=False)
    assert refused.status == 403
    assert (await person.get(QUEUES)).status == 303


async def test_a_role_too_small_is_said_on_the_page(person: Person) -> None:
    await person.sign_in()
    told = await person.get("/projects/other/queues")
    text = await told.text()
    assert told.status == 403 and f"{person.name} needs the role viewer in projects/other" in text
    assert "Not open to you" in text


async def test_who_has_no_role_yet_is_told_so_until_they_have_one(person: Person) -> None:
    person.name = f"bob-{uuid4().hex[:6]}"
    person.issuer.add_person(person.name)
    assert (await person.sign_in("/")).headers["location"] == "/"
    told = await person.get("/")
    text = await told.text()
    assert told.status == 200 and "No project is open to you yet" in text and person.name in text
    stub: Any = identity_pb2_grpc.IdentityServiceStub(grpc_channel(person))
    metadata = [("authorization", f"Bearer {person.issuer.signed(sub='root', groups=['cultivar:*:admin'])}")]
    bound = identity_pb2.RoleBinding(principal=person.name, role=auth_pb2.ROLE_REVIEWER)
    asked = identity_pb2.CreateRoleBindingRequest(parent="projects/support", role_binding=bound)
    await stub.CreateRoleBinding(asked, metadata=metadata)
    assert (await person.get("/")).headers["location"] == "/projects/support/queues"


async def test_who_follows_an_invitation_and_signs_in_may_review(person: Person) -> None:
    stub: Any = identity_pb2_grpc.IdentityServiceStub(grpc_channel(person))
    metadata = [("authorization", f"Bearer {person.issuer.signed(sub='root', groups=['cultivar:*:admin'])}")]
    asked = identity_pb2.CreateInvitationRequest(parent="projects/support")
    made = await stub.CreateInvitation(asked, metadata=metadata)
    path = f"/{made.name}?secret={made.secret}"
    led = await person.get(path)
    assert led.status == 303
    signed = await person.sign_in(parse_qs(urlsplit(led.headers["location"]).query)["next"][0])
    assert signed.headers["location"] == path
    assert (await person.get("/projects/support/queues")).status == 403
    form = {"csrf": await person.csrf(path), "secret": made.secret}
    done = await person.http.post(f"{person.url}/{made.name}", data=form, allow_redirects=False)
    assert (done.status, done.headers["location"]) == (303, "/projects/support/queues")
    assert (await person.get("/projects/support/queues")).status == 200


def grpc_channel(person: Person) -> Any:
    """A channel to the services, whose calls carry no token by themselves."""
    return grpc.aio.insecure_channel(person.host.listening.address)
