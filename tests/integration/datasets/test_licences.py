"""Licences of teachers: kept on each row, told by a version, and checked where rows go out."""

from collections.abc import Sequence
from pathlib import Path

from cultivar.datasets.v1 import datasets_pb2 as pb
from cultivar.run.v1 import run_pb2
from cultivar_records import Example, Message, example_id, licences_of

from tests.integration.datasets.conftest import Served, lines, source
from tests.seeds import commit_examples
from tests.terminal import Terminal

SYNTHETIC = pb.SOURCE_ROLE_SYNTHETIC
LICENCES = ((), ("MIT",), ("research only",), ("MIT", "research only"))
"""Of candidates in turn; one without was made before any was kept."""


async def kept_of(served: Served, seeds: str, licences: Sequence[tuple[str, ...]] = LICENCES) -> str:
    """Commits a candidate of each seed, with the licences in turn."""
    made: list[Example] = []
    for number, seed in enumerate(await served.examples(seeds)):
        owed = {"origin": "candidate", "licences": licences[number % len(licences)], "source": "", "line": 0}
        provenance = seed.provenance.model_copy(update=owed)
        messages = (Message(role="user", content=f"{seed.text[::-1]} please"), seed.messages[-1])
        identifier = example_id("kept", seed.id, 0)
        made.append(seed.model_copy(update={"id": identifier, "messages": messages, "provenance": provenance}))
    return await commit_examples(served.host.settings.database_url, served.store, made, "kept")


async def test_a_version_tells_the_licences_of_its_rows_and_keeps_them_on_each(served: Served) -> None:
    seeds = await served.seeds(lines(8))
    version = await served.make_version(sources=[source(seeds), source(await kept_of(served, seeds), SYNTHETIC)])
    assert version.run.state == run_pb2.RUN_STATE_SUCCEEDED, version.run.error
    assert dict(version.by_licence) == {"MIT": 4, "research only": 4, "unstated": 2}
    assert "| research only | 4 |" in version.card
    rows = await served.examples(version.artifact)
    assert sorted(licences_of(row) for row in rows if row.provenance.origin == "candidate") == sorted(
        [("unstated",), *LICENCES[1:]] * 2
    )
    assert "unlicensed" not in version.run.progress.counts


async def test_rows_of_a_licence_that_is_not_named_are_left_out_and_counted(served: Served) -> None:
    seeds = await served.seeds(lines(8))
    sources = [source(seeds), source(await kept_of(served, seeds), SYNTHETIC)]
    version = await served.make_version(sources=sources, licences=["mit"])
    assert dict(version.run.progress.counts) == {
        "selected": 10,
        "not_selected": 0,
        "leaked": 0,
        "repeated": 0,
        "unlicensed": 6,
    }
    assert dict(version.by_licence) == {"MIT": 2}
    assert list(version.spec.licences) == ["mit"]
    assert "6 because of their licences" in version.card
    wider = await served.make_version(sources=sources, licences=["MIT", "unstated"])
    assert dict(wider.by_licence) == {"MIT": 2, "unstated": 2}
    none = await served.make_version(sources=[sources[1]], licences=["Apache-2.0"])
    assert none.run.state == run_pb2.RUN_STATE_FAILED
    assert "8 have other licences than those named" in none.run.error.message


async def test_pull_tells_the_licences_and_fetches_nothing_that_is_not_allowed(
    served: Served, tmp_path: Path, terminal: Terminal
) -> None:
    terminal.at(served.host)
    seeds = await served.seeds(lines(4))
    kept = await kept_of(served, seeds, [("MIT",), ("research only",)])
    await served.make_version(sources=[source(seeds), source(kept, SYNTHETIC)])
    refused = await terminal("dataset", "pull", "support", "-o", str(tmp_path / "out"), "--licence", "MIT")
    assert refused.exit_code == 1
    assert "2 of the licence research only" in refused.output and "nothing was fetched" in refused.output
    assert not (tmp_path / "out").exists()
    allowed = ["--licence", "MIT", "--licence", "Research Only"]
    pulled = await terminal("dataset", "pull", "support", "-o", str(tmp_path / "out"), *allowed)
    assert pulled.exit_code == 0, pulled.output
    assert "2 of a teacher whose licence is research only" in pulled.output
    assert (tmp_path / "out" / "chat.jsonl").exists()
