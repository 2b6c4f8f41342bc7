"""Dataset versions: what is selected, what is left out and why, and the files that training programs read."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from cultivar.datasets.v1 import datasets_pb2 as pb
from cultivar.example.v1 import example_pb2
from cultivar.run.v1 import run_pb2
from cultivar_artifacts import MemoryStore, StoreUnavailable, write_shards
from cultivar_artifacts.digests import CheckedReader
from cultivar_artifacts.manifests import Manifest
from cultivar_artifacts.tables import commit_manifest
from cultivar_datasets import versions
from cultivar_records import Example, Message, Verdict, example_id, to_verdict_table
from cultivar_service.database import Database
from datasets import load_dataset
from google.protobuf.struct_pb2 import Struct

from tests.integration.datasets.conftest import PARENT, Served, lines, source
from tests.seeds import commit_examples

REAL, SYNTHETIC, REPLAY = pb.SOURCE_ROLE_REAL, pb.SOURCE_ROLE_SYNTHETIC, pb.SOURCE_ROLE_REPLAY


async def candidates(served: Served, seeds: str, text: str = "{} please", kind: str = "kept") -> str:
    """Commits one candidate for each seed, of its family."""
    made = []
    for seed in await served.examples(seeds):
        provenance = seed.provenance.model_copy(update={"origin": "candidate", "line": 0, "source": ""})
        messages = (Message(role="user", content=text.format(seed.text[::-1])), seed.messages[-1])
        identifier = example_id("candidates" + kind, seed.id, 0)
        made.append(seed.model_copy(update={"id": identifier, "messages": messages, "provenance": provenance}))
    return await commit_examples(served.host.settings.database_url, served.store, made, kind)


async def verdicts(served: Served, scores: dict[str, float]) -> str:
    """Commits a verdict with a score for each of some examples."""
    rows = [Verdict(example=example, filter="judge", keep=True, score=score) for example, score in scores.items()]
    files = await write_shards(served.store, "default", to_verdict_table(rows))
    manifest = Manifest(project="default", kind="verdicts", rows=len(rows), files=files)
    database = Database(served.host.settings.database_url, "artifacts", connections=1)
    async with database.begin() as connection:
        await commit_manifest(connection, served.store, manifest)
    await database.close()
    return f"{PARENT}/artifacts/{manifest.digest}"


def counts(version: pb.DatasetVersion) -> dict[str, int]:
    assert version.run.state == run_pb2.RUN_STATE_SUCCEEDED, version.run.error
    return dict(version.run.progress.counts)


async def test_a_version_is_parquet_chat_and_card_in_one_order_and_names_its_parents(served: Served) -> None:
    seeds = await served.seeds(lines(40))
    kept = await candidates(served, seeds)
    version = await served.make_version(sources=[source(seeds), source(kept, SYNTHETIC)], budget=30)
    assert counts(version) == {"selected": 30, "not_selected": 50, "leaked": 0, "repeated": 0}
    assert version.name == f"{PARENT}/datasets/support/versions/1"
    assert dict(version.by_label) == {"refund": 15, "delivery": 15}
    assert dict(version.by_role) == {"real": 30}
    manifest = await served.manifest(version.artifact)
    assert [file.name for file in manifest.files] == ["dataset-00000.parquet", "chat.jsonl", "README.md"]
    assert {f"{PARENT}/artifacts/{parent}" for parent in manifest.parents} == {seeds, kept}
    examples = await served.examples(version.artifact)
    assert [one.id for one in examples] == sorted(one.id for one in examples)
    chat = (await served.store.read("default", manifest.files[1].sha256)).decode().splitlines()
    assert [json.loads(line) for line in chat] == [
        {"messages": [message.model_dump() for message in example.messages]} for example in examples
    ]
    assert await served.store.read("default", manifest.files[2].sha256) == version.card.encode()


async def test_the_files_load_in_the_datasets_library_as_they_are(served: Served, tmp_path: Path) -> None:
    seeds = await served.seeds(lines(12))
    version = await served.make_version(sources=[source(seeds)])
    manifest = await served.manifest(version.artifact)
    for file in manifest.files:
        await served.store.fetch("default", file.sha256, tmp_path / "pulled" / file.name)
    examples = await served.examples(version.artifact)

    def load(*path: str, **files: Any) -> Any:
        return load_dataset(*path, split="train", cache_dir=str(tmp_path / "cache"), **files)

    parquet = load("parquet", data_files=str(tmp_path / "pulled" / "dataset-*.parquet"))
    assert [Example.model_validate(row) for row in parquet] == examples
    chat = load("json", data_files=str(tmp_path / "pulled" / "chat.jsonl"))
    assert chat.column_names == ["messages"]
    assert chat["messages"] == [[message.model_dump() for message in example.messages] for example in examples]
    assert load(str(tmp_path / "pulled"))["id"] == [example.id for example in examples]


async def test_nothing_of_a_held_out_family_or_near_a_held_out_text_is_in_a_version(served: Served) -> None:
    parts = (
        await served.import_rows(lines(40), splits=[pb.SplitShare(kind=kind) for kind in ("seeds", "held_out")])
    ).artifacts
    family = await candidates(served, parts["held_out"])
    held_out = await served.examples(parts["held_out"])
    copies = [json.dumps({"text": example.text + " !", "label": example.label}).encode() for example in held_out[:7]]
    near = await served.seeds(b"\n".join(copies))
    sources = [source(parts["seeds"]), source(family, SYNTHETIC), source(near)]
    version = await served.make_version(sources=sources, held_out=[parts["held_out"]])
    assert counts(version) == {"selected": 20, "not_selected": 0, "leaked": 27, "repeated": 0}
    only_leaks = await served.make_version(sources=[source(near)], held_out=[parts["held_out"]])
    assert only_leaks.run.state == run_pb2.RUN_STATE_FAILED
    assert "7 leak from the held-out artifacts" in only_leaks.run.error.message


async def test_an_example_of_two_sources_is_taken_once_from_the_first(served: Served) -> None:
    first, second = await served.seeds(lines(10)), await served.seeds(lines(10), "validation")
    version = await served.make_version(sources=[source(first), source(second, SYNTHETIC)])
    assert counts(version)["repeated"] == 10
    assert dict(version.by_source) == {first: 10}


async def test_replay_of_another_kind_is_mixed_in_by_its_share(served: Served) -> None:
    seeds = await served.seeds(lines(40))
    rows = b"".join(json.dumps({"prompt": f"Say {n}.", "completion": str(n)}).encode() + b"\n" for n in range(30))
    replay = await served.seeds(rows, "replay", task=example_pb2.Task(kind=example_pb2.TASK_KIND_INSTRUCTION))
    version = await served.make_version(
        sources=[source(seeds), source(replay, REPLAY)], budget=40, replay_share=0.25, random_seed=3
    )
    assert dict(version.by_role) == {"real": 30, "replay": 10}
    examples = await served.examples(version.artifact)
    assert Counter(example.task.value for example in examples) == {"classification": 30, "instruction": 10}
    assert dict(version.by_label) == {"refund": 15, "delivery": 15, "": 10}


async def test_scores_decide_which_examples_of_a_label_are_taken(served: Served) -> None:
    kept = await candidates(served, await served.seeds(lines(20)))
    ids = [example.id for example in await served.examples(kept)]
    best = set(ids[::4])
    scores = await verdicts(served, {one: 0.9 if one in best else 0.2 for one in ids})
    by_label = Counter(example.label for example in await served.examples(kept) if example.id in best)
    most = 2 * min(by_label.values())
    version = await served.make_version(sources=[source(kept, SYNTHETIC, scores=scores)], budget=most)
    assert {example.id for example in await served.examples(version.artifact)} <= best


async def test_the_same_spec_gives_the_same_rows_and_versions_count_up(served: Served) -> None:
    seeds = await served.seeds(lines(60))
    use = pb.SelectorUse(selector="random")
    made = [
        await served.make_version(sources=[source(seeds)], selector=use, budget=20, random_seed=seed)
        for seed in (5, 5, 6)
    ]
    assert [version.name.rsplit("/", 1)[1] for version in made] == ["1", "2", "3"]
    first, second, third = [[example.id for example in await served.examples(version.artifact)] for version in made]
    assert first == second != third
    latest = await served.stub.GetDatasetVersion(
        pb.GetDatasetVersionRequest(name=f"{PARENT}/datasets/support/versions/latest")
    )
    assert latest.name == made[2].name


async def test_a_diff_says_what_was_added_removed_and_edited(served: Served) -> None:
    seeds = await served.seeds(lines(20))
    examples = await served.examples(seeds)
    edited = [
        examples[0].model_copy(update={"messages": (Message(role="user", content="edited"), examples[0].messages[1])})
    ]
    other = await commit_examples(
        served.host.settings.database_url, served.store, [*edited, *examples[1:15]], "accepted"
    )
    more = await served.seeds(lines(4, 100))
    first = await served.make_version(sources=[source(seeds)])
    second = await served.make_version(sources=[source(other), source(more)])
    diff = await served.stub.DiffDatasetVersions(pb.DiffDatasetVersionsRequest(name=first.name, other=second.name))
    assert (diff.same, diff.added, diff.removed, diff.changed) == (14, 4, 5, 1)
    assert list(diff.changed_ids) == [examples[0].id]
    assert sorted(diff.removed_ids) == sorted(example.id for example in examples[15:])
    assert sum(diff.by_label.values()) == -1


WRONG: list[tuple[dict[str, Any], grpc.StatusCode, str]] = [
    ({"sources": []}, grpc.StatusCode.INVALID_ARGUMENT, "spec.sources"),
    ({"budget": -1}, grpc.StatusCode.INVALID_ARGUMENT, "spec.budget"),
    ({"replay_share": 0.5}, grpc.StatusCode.INVALID_ARGUMENT, "no source has the role REPLAY"),
    ({"replay_share": 1.0}, grpc.StatusCode.INVALID_ARGUMENT, "spec.replay_share"),
    ({"selector": pb.SelectorUse(selector="balancd")}, grpc.StatusCode.INVALID_ARGUMENT, "did you mean 'balanced'"),
    ({"description": "x" * 2001}, grpc.StatusCode.INVALID_ARGUMENT, "spec.description"),
    ({"held_out": [f"{PARENT}/artifacts/{'0' * 64}"]}, grpc.StatusCode.NOT_FOUND, "does not exist"),
    ({"held_out": [f"{PARENT}/artifacts/nonsense"]}, grpc.StatusCode.NOT_FOUND, "does not exist"),
]


async def test_a_wrong_field_is_named_and_nothing_is_made(served: Served) -> None:
    seeds = await served.seeds(lines(4))
    params = Struct()
    params.update({"size": 3})
    unknown_key = pb.SelectorUse(params=params)
    wrong = [
        *WRONG,
        ({"selector": unknown_key}, grpc.StatusCode.INVALID_ARGUMENT, "spec.selector.params.size"),
        ({"sources": [pb.Source(artifact=seeds)]}, grpc.StatusCode.INVALID_ARGUMENT, "spec.sources[0].role"),
        ({"sources": [source(seeds), source(seeds)]}, grpc.StatusCode.INVALID_ARGUMENT, "the same artifact"),
        ({"sources": [source(seeds, REPLAY)], "replay_share": 0.1}, grpc.StatusCode.INVALID_ARGUMENT, "every source"),
    ]
    for changed, code, words in wrong:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await served.make_version(**{"sources": [source(seeds)], **changed})
        assert error.value.code() == code
        assert words in f"{error.value.details()} {error.value.trailing_metadata()}"
    listed = await served.stub.ListDatasetVersions(pb.ListDatasetVersionsRequest(parent=PARENT))
    assert not listed.dataset_versions


async def test_an_artifact_without_examples_fails_the_version_with_its_name(served: Served) -> None:
    run = await served.import_rows(lines(3) + b"{broken")
    version = await served.make_version(sources=[source(run.bad_rows)])
    assert version.run.state == run_pb2.RUN_STATE_FAILED
    assert f"{run.bad_rows} is of kind 'bad_rows' and holds no examples" in version.run.error.message


async def test_a_repeated_request_makes_one_version_and_lists_go_page_by_page(served: Served) -> None:
    seeds = await served.seeds(lines(4))
    request = pb.CreateDatasetVersionRequest(
        parent=PARENT, dataset_id="one", spec=pb.DatasetSpec(sources=[source(seeds)]), request_id="once"
    )
    first, second = await asyncio.gather(*(served.stub.CreateDatasetVersion(request) for _ in range(2)))
    assert first.name == second.name == f"{PARENT}/datasets/one/versions/1"
    others = await asyncio.gather(
        *(served.make_version("two", sources=[source(seeds)], random_seed=n) for n in range(3))
    )
    assert sorted(version.name for version in others) == [f"{PARENT}/datasets/two/versions/{n}" for n in (1, 2, 3)]
    names, token = [], ""
    while True:
        asked = pb.ListDatasetVersionsRequest(parent=PARENT, page_size=3, page_token=token)
        page = await served.stub.ListDatasetVersions(asked)
        names += [version.name for version in page.dataset_versions]
        token = page.next_page_token
        if not token:
            break
    assert len(names) == len(set(names)) == 4
    of_two = await served.stub.ListDatasetVersions(pb.ListDatasetVersionsRequest(parent=f"{PARENT}/datasets/two"))
    assert len(of_two.dataset_versions) == 3
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await served.stub.GetDatasetVersion(pb.GetDatasetVersionRequest(name=f"{PARENT}/datasets/two/versions/9"))
    assert error.value.code() == grpc.StatusCode.NOT_FOUND


class FailingOnce(MemoryStore):
    """A store that is out of reach for one put, chosen by the kind of file."""

    fail_at = 0
    puts = 0

    def _write(self, key: str, content: CheckedReader) -> None:
        self.puts += 1
        if self.puts == self.fail_at:
            raise StoreUnavailable("the store is out of reach for a moment")
        super()._write(key, content)


async def test_a_version_whose_store_fails_halfway_goes_on_and_makes_no_row_twice(
    serve: Callable[..., Awaitable[Served]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "GROUP_ROWS", 10)
    store = FailingOnce()
    served = await serve(lambda parts: setattr(parts, "store", store))
    seeds = await served.seeds(lines(45))
    store.fail_at = store.puts + 4
    version = await served.make_version(sources=[source(seeds)])
    assert counts(version) == {"selected": 45, "not_selected": 0, "leaked": 0, "repeated": 0}
    assert version.run.attempt == 2
    manifest = await served.manifest(version.artifact)
    assert [file.rows for file in manifest.files] == [10, 10, 10, 10, 5, 0, 0]
    made = [example.id for example in await served.examples(version.artifact)]
    assert made == sorted(example.id for example in await served.examples(seeds))


async def test_each_selector_has_its_sentence_and_schema(served: Served) -> None:
    selectors = (await served.stub.ListSelectors(pb.ListSelectorsRequest(parent=PARENT))).selectors
    assert [one.selector for one in selectors] == ["balanced", "random"]
    assert all(one.description.endswith(".") and one.params_schema["type"] == "object" for one in selectors)
