"""What was granted at a sign-in: kept, renewed, used by the client, and given back by `cultivar logout`."""

import asyncio
import errno
import json
import os
import stat
import time
from typing import Any

import httpx2
import pytest
from cultivar.client import Client
from cultivar.errors import NotConnected
from cultivar.identity.v1 import identity_pb2 as pb

from tests.integration.identity.desk import PROGRAM, Desk


async def test_what_was_granted_lies_in_a_file_that_nobody_else_may_read(desk: Desk) -> None:
    before = os.umask(0)
    try:
        await desk.login()
    finally:
        os.umask(before)
    assert stat.S_IMODE(desk.grants.stat().st_mode) == 0o600
    assert stat.S_IMODE(desk.grants.parent.stat().st_mode) == 0o700
    assert [path.name for path in desk.grants.parent.iterdir() if path.name.startswith(".")] == []
    assert desk.grant()["refresh_token"]


async def test_the_token_of_the_environment_goes_before_who_signed_in(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.login()
    monkeypatch.setenv("CULTIVAR_TOKEN", desk.issuer.signed(sub="root"))
    assert (await desk.typed("whoami")).stdout == "root\n"
    again = await desk.typed("login")
    assert "CULTIVAR_TOKEN is set, and goes before it" in again.stderr
    assert desk.name in again.stdout


async def test_a_token_that_is_about_to_end_is_renewed_while_a_client_works(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.login()
    first, before = desk.grant(), desk.issuer.renewals
    desk.change(renew_time=time.time() - 1)

    def works() -> list[str]:
        with Client() as client:
            asked = pb.WhoAmIRequest(parent=client.parent)
            names = [client.identity.WhoAmI(asked).principal for _ in range(2)]
            monkeypatch.setattr("cultivar.issuer.LEFT", 1.0)
            desk.change(renew_time=time.time() - 1)
            client.channel._connection.tokens._grant = None
            return [*names, *(client.identity.WhoAmI(asked).principal for _ in range(2))]

    assert await asyncio.to_thread(works) == [desk.name] * 4
    assert desk.issuer.renewals == before + 3
    assert desk.grant()["refresh_token"] not in ("", first["refresh_token"])


async def test_processes_that_find_the_token_about_to_end_at_the_same_time_renew_it_once(desk: Desk) -> None:
    await desk.login()
    before = desk.issuer.renewals
    desk.change(renew_time=time.time() - 1, expire_time=time.time() - 1)
    typed = [await asyncio.create_subprocess_exec(PROGRAM, "whoami", stdout=asyncio.subprocess.PIPE) for _ in range(4)]
    said = await asyncio.gather(*(one.communicate() for one in typed))
    assert [out.splitlines()[0].decode() for out, _ in said] == [desk.name] * 4
    assert desk.issuer.renewals == before + 1


async def test_threads_of_one_client_renew_once_and_the_others_wait_for_it(desk: Desk) -> None:
    await desk.login()
    with Client() as client:
        before = desk.issuer.renewals
        desk.change(renew_time=time.time() - 1)
        tokens: Any = client.channel._connection.tokens  # type: ignore[attr-defined]
        tokens._grant = None
        assert len(set(await asyncio.gather(*(asyncio.to_thread(tokens) for _ in range(8))))) == 1
    assert desk.issuer.renewals == before + 1


async def test_a_sign_in_that_has_ended_says_to_sign_in_again(desk: Desk) -> None:
    await desk.login()
    desk.issuer.revoke_all()
    desk.change(renew_time=time.time() - 2, expire_time=time.time() - 1)
    told = await desk.typed("whoami")
    assert told.exit_code == 1
    assert "has expired" in told.stderr and "(invalid_grant)" in told.stderr
    assert told.stderr.endswith("sign in again with `cultivar login`\n")


async def test_an_issuer_that_is_silent_is_waited_for_while_the_token_counts_and_then_named(desk: Desk) -> None:
    await desk.login()
    desk.change(issuer="http://127.0.0.1:9", renew_time=time.time() - 1)
    assert (await desk.typed("whoami")).stdout.startswith(desk.name)
    desk.change(expire_time=time.time() - 1)
    told = (await desk.typed("whoami")).stderr
    assert "http://127.0.0.1:9 does not answer: sign in again with `cultivar login`" in told


async def test_a_client_whose_sign_in_ends_while_it_works_says_so_in_its_call(desk: Desk) -> None:
    await desk.login()

    def works() -> None:
        with Client() as client:
            desk.grants.unlink()
            tokens: Any = client.channel._connection.tokens  # type: ignore[attr-defined]
            tokens._grant = None
            with pytest.raises(NotConnected, match="nobody is signed in at"):
                client.identity.WhoAmI(pb.WhoAmIRequest(parent=client.parent))

    await asyncio.to_thread(works)


async def test_who_is_not_signed_in_is_told_how_before_any_call(desk: Desk) -> None:
    told = await desk.typed("whoami")
    assert told.exit_code == 1 and "sign in with `cultivar login`, or set CULTIVAR_TOKEN" in told.stderr
    with pytest.raises(NotConnected, match="cultivar login"):
        Client()
    assert not desk.grants.parent.exists()
    desk.grants.parent.mkdir(parents=True, exist_ok=True)
    desk.grants.write_text("{")
    assert "cultivar login" in (await desk.typed("whoami")).stderr


async def test_signing_out_forgets_the_grant_and_takes_it_back_at_the_issuer(desk: Desk) -> None:
    await desk.login()
    grant = desk.grant()
    done = await desk.typed("logout")
    assert done.exit_code == 0 and "signed out of" in done.output
    assert json.loads(desk.grants.read_text()) == {}
    asked = {"grant_type": "refresh_token", "refresh_token": grant["refresh_token"], "client_id": desk.client_id}
    assert httpx2.post(f"{desk.issuer.url}/oauth/token", data=asked).json()["error"] == "invalid_grant"
    again = await desk.typed("logout")
    assert again.exit_code == 1 and "nobody is signed in" in again.stderr


async def test_signing_out_forgets_the_grant_where_the_issuer_is_silent_too_and_says_what_still_counts(
    desk: Desk,
) -> None:
    await desk.login()
    desk.change(issuer="http://127.0.0.1:9")
    done = await desk.typed("logout")
    assert done.exit_code == 0 and "counts until it ends" in done.stderr
    assert "cultivar login" in (await desk.typed("whoami")).stderr


async def test_a_token_that_the_server_takes_no_more_points_to_the_sign_in(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CULTIVAR_TOKEN", desk.issuer.signed(exp=int(time.time()) - 600))
    assert "the token has expired: sign in again with `cultivar login`" in (await desk.typed("whoami")).stderr


async def test_a_grant_that_cannot_be_written_leaves_the_one_before_and_no_draft(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.login()
    before = desk.grant()

    def full(draft: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    told = await desk.typed("login")
    assert told.exit_code == 1 and "No space left on device" in told.stderr
    assert desk.grant() == before
    assert sorted(path.name for path in desk.grants.parent.iterdir()) == ["grants.json", "grants.lock"]
