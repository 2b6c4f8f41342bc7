"""What `cultivar doctor` finds of services: their versions, and whether these go with the program's own."""

import pytest
from cultivar_generation.__main__ import build
from cultivar_service import doctor
from cultivar_service.doctor import Finding, apart, examine
from cultivar_service.serving import Host
from cultivar_service.settings import Settings

from tests.conftest import Start


async def found(host: Host) -> Finding:
    """Returns what is found of the generation service."""
    settings = Settings(peers=host.listening.address, token_file=host.settings.token_file)
    return next(one for one in [one async for one in examine(settings, {}, "default")] if one.what == "generation")


async def test_a_service_says_its_version(start: Start) -> None:
    assert await found(await start(build)) == Finding("generation", "fine", f"serves version {doctor.OURS}")


async def test_a_service_of_a_version_that_is_too_far_away_is_wrong_with_what_to_do(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, ours = doctor.OURS, "99.0.0"
    monkeypatch.setattr(doctor, "OURS", ours)
    seen = await found(await start(build))
    assert seen.state == "wrong"
    assert (
        f"serves version {theirs}, which is more than a minor version from {ours} here: upgrade the older" in seen.said
    )


def test_versions_go_together_within_a_minor_version() -> None:
    assert not apart("1.4.2", "1.4.0")
    assert not apart("1.4.2", "1.5.0rc1")
    for one, other in (("1.4.0", "1.6.0"), ("1.4.0", "2.4.0"), ("", "1.4.0"), ("unknown", "1.4.0")):
        assert apart(one, other), (one, other)
