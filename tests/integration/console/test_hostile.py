"""The door of the console as a hostile stranger tries it."""

from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit
from uuid import uuid4

import aiohttp
import pytest
from cultivar_console.__main__ import build as console
from pydantic import SecretStr
from yarl import URL

from tests.conftest import Start
from tests.integration.console.conftest import QUEUES, Person
from tests.issuer import AUDIENCE, RealIssuer

ELSEWHERE = [
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "https://evil.example",
    "https:evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    " //evil.example",
    "javascript:alert(1)",
    "/\u2028/evil.example",
    "@evil.example",
    "/" + "x" * 5000,
]


@pytest.mark.parametrize("path", ELSEWHERE)
async def test_no_link_to_the_sign_in_leads_to_another_site(person: Person, path: str) -> None:
    signed = await person.sign_in(path)
    assert (signed.status, signed.headers["location"]) == (303, "/")


@pytest.mark.parametrize(
    "path", ["/%09/evil.example", "/%5cevil.example", "/.//evil.example", "/a?next=//evil.example"]
)
async def test_what_only_looks_like_another_site_stays_here(person: Person, path: str) -> None:
    location = (await person.sign_in(path)).headers["location"]
    assert urlsplit(urljoin(person.url, location)).netloc == urlsplit(person.url).netloc


async def signed_out_by(person: Person, method: str = "POST", csrf: str = "", **headers: str) -> int:
    """Tries to sign somebody out as another site would; returns the status."""
    asked = person.http.request(
        method, f"{person.url}/signout", data={"csrf": csrf} if csrf else None, headers=headers, allow_redirects=False
    )
    return (await asked).status


async def test_another_site_signs_nobody_out(person: Person) -> None:
    await person.sign_in()
    csrf = await person.csrf(QUEUES)
    assert await signed_out_by(person, "GET") == 405
    assert await signed_out_by(person) == 403
    assert await signed_out_by(person, csrf="é" * 20) == 403
    for site in ("cross-site", "same-site"):
        assert await signed_out_by(person, csrf=csrf, **{"Sec-Fetch-Site": site}) == 403
    assert (await person.get(QUEUES)).status == 200
    assert await signed_out_by(person, csrf=csrf, **{"Sec-Fetch-Site": "same-origin"}) == 200
    assert (await person.get(QUEUES)).status == 303


async def test_the_token_of_the_forms_of_one_session_counts_in_no_other(person: Person) -> None:
    await person.sign_in()
    first = await person.csrf(QUEUES)
    await person.sign_in()
    assert await signed_out_by(person, csrf=first) == 403
    assert await person.csrf(QUEUES) != first


def cookie(person: Person, name: str) -> str:
    """Returns a cookie that the browser keeps."""
    return next((kept.value for kept in person.http.cookie_jar if kept.key == name), "")


async def test_a_session_that_somebody_planted_is_not_the_one_that_is_signed_in(person: Person) -> None:
    planted = "p" * 43
    at = URL(person.url)
    person.http.cookie_jar.update_cookies({"cultivar_session": planted, "cultivar_sign_in": planted}, at)
    await person.sign_in()
    mine = cookie(person, "cultivar_session")
    assert len(mine) == 43 and mine != planted
    person.http.cookie_jar.clear()
    person.http.cookie_jar.update_cookies({"cultivar_session": planted}, at)
    assert (await person.get(QUEUES)).status == 303


async def test_who_signs_in_again_leaves_no_session_behind(person: Person) -> None:
    await person.sign_in()
    first = cookie(person, "cultivar_session")
    await person.sign_in()
    assert (await person.get(QUEUES)).status == 200
    person.http.cookie_jar.clear()
    person.http.cookie_jar.update_cookies({"cultivar_session": first})
    assert (await person.get(QUEUES)).status == 303


async def test_every_cookie_is_out_of_reach_of_scripts_of_plain_http_and_of_other_hosts(
    start: Start, issuer: RealIssuer
) -> None:
    url, client, name = "https://cultivar.example", f"console-{uuid4().hex[:6]}", f"ada-{uuid4().hex[:6]}"
    given = {"oidc_issuer": issuer.url, "oidc_audience": AUDIENCE, "oidc_client_id": client}
    host = await start(console, console_url=url, oidc_client_secret=SecretStr(issuer.secret), **given)
    issuer.add_client(client, f"{url}/signin/callback")
    issuer.add_person(name, "cultivar:default:viewer")
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        person = Person(issuer, host, http, name)
        sent = await person.get(f"/signin?next={QUEUES}")
        issuer.enter(name)
        back = (await person.get(sent.headers["location"])).headers["location"]
        issuer.leave()
        begun = sent.headers["set-cookie"].partition(";")[0]
        signed = await http.get(back.replace(url, person.url), headers={"Cookie": begun}, allow_redirects=False)
    assert signed.status == 303, await signed.text()
    cookies = [sent.headers["set-cookie"], *signed.headers.getall("set-cookie")]
    assert {one.partition("=")[0] for one in cookies} == {
        f"__Host-cultivar_{name}" for name in ("sign_in", "session", "seat")
    }
    for one in cookies:
        flags = {flag.strip().partition("=")[0].lower() for flag in one.split(";")[1:]}
        assert {"secure", "httponly", "samesite", "path"} <= flags and "domain" not in flags, one
        assert "samesite=none" not in one.lower() and "; path=/;" in f"{one.lower()};"


async def test_where_the_browser_is_sent_does_not_follow_what_a_request_calls_this_host(person: Person) -> None:
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    sent = await person.http.get(f"{person.url}/signin?next=/", headers=headers, allow_redirects=False)
    query = parse_qs(urlsplit(sent.headers["location"]).query)
    assert query["redirect_uri"] == [f"{person.url}/signin/callback"]
    led = await person.http.get(f"{person.url}{QUEUES}", headers=headers, allow_redirects=False)
    assert led.headers["location"].startswith("/signin?next=") and "evil" not in led.headers["location"]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "state=",
        "state=%00&code=%00",
        "state=x&state=y",
        "code=" + "x" * 9000,
        "error=<script>",
        "iss=%ff",
        "state[]=x",
    ],
)
async def test_an_answer_that_no_issuer_gave_is_refused_and_not_shown(person: Person, query: str) -> None:
    await person.asked()
    refused = await person.get(f"/signin/callback?{query}")
    text = await refused.text()
    assert refused.status == 401 and "sign in again" in text and "<script>" not in text


@pytest.mark.parametrize("value", ["x", "x" * 8000, '"', "a=b", "%00", "é", "../../x", "null"])
async def test_a_cookie_that_is_no_session_leads_to_the_sign_in(person: Person, value: str) -> None:
    for name in ("cultivar_session", "cultivar_sign_in", "cultivar_seat", "cultivar_sign_out"):
        headers: Any = {"Cookie": f"{name}={value}"}
        for path in (QUEUES, "/", "/signin/callback?state=x", "/signed-out?state=x"):
            answer = await person.http.get(person.url + path, headers=headers, allow_redirects=False)
            assert answer.status in (200, 303, 401), (name, path)


async def test_names_and_secrets_in_the_address_of_an_invitation_are_shown_as_text(person: Person) -> None:
    await person.sign_in()
    attack = "%22%3E%3Cscript%3Ealert(1)%3C/script%3E"
    for path in (f"/projects/support/invitations/x?secret={attack}", f"/projects/{attack[:30]}/invitations/x"):
        assert "<script>alert" not in await (await person.get(path)).text()
    form = {"csrf": await person.csrf(QUEUES), "secret": "guess"}
    for name, status in (("%00", 400), ("x%2Fy", 404), ("..%2Fx", 404), ("x", 404)):
        posted = await person.http.post(
            f"{person.url}/projects/support/invitations/{name}", data=form, allow_redirects=False
        )
        assert posted.status == status, name
