"""Imports: good rows become examples, bad ones are reported by line, an unusable file fails with one sentence."""

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
from cultivar_artifacts import MemoryStore
from cultivar_service.parts import Parts

from tests.integration.datasets.conftest import LABELS, PARENT, TASK, Served, lines

EXAMPLES = Path(__file__).parents[3] / "examples" / "support"
SPLITS = [
    pb.SplitShare(kind="seeds", share=6),
    pb.SplitShare(kind="validation", share=2),
    pb.SplitShare(kind="held_out", share=2),
]


def failed_with(run: pb.ImportRun) -> str:
    assert run.run.state == run_pb2.RUN_STATE_FAILED
    assert "\n" not in run.run.error.message
    return run.run.error.message


async def test_seeds_lead_back_to_the_line_of_their_file_and_a_second_import_gives_the_same_ids(served: Served) -> None:
    first, second = await served.import_rows(lines(30)), await served.import_rows(lines(30))
    assert first.run.state == run_pb2.RUN_STATE_SUCCEEDED, first.run.error
    seeds = await served.examples(first.artifacts["seeds"])
    assert seeds == await served.examples(second.artifacts["seeds"])
    sha256 = first.spec.file.split("/")[-1]
    assert {(seed.provenance.origin, seed.provenance.source) for seed in seeds} == {("seed", sha256)}
    assert sorted(seed.provenance.line for seed in seeds) == [*range(1, 31)]
    assert all(seed.provenance.family == seed.id for seed in seeds)
    assert dict(first.by_label) == {"refund": 15, "delivery": 15}
    assert dict(first.run.progress.counts) == {"examples": 30, "bad": 0, "seeds": 30}
    assert not first.bad_rows and not first.first_bad_rows


async def test_shares_split_by_family_and_no_family_is_in_two_parts(served: Served) -> None:
    repeated = lines(50) + lines(50).upper().replace(b'"TEXT"', b'"text"').replace(b'"LABEL"', b'"label"')
    rows = repeated.replace(b'"REFUND"', b'"refund"').replace(b'"DELIVERY"', b'"delivery"')
    run = await served.import_rows(rows, splits=SPLITS, random_seed=7)
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    parts = {kind: await served.examples(name) for kind, name in run.artifacts.items()}
    assert {kind: len(examples) for kind, examples in parts.items()} == {"seeds": 60, "validation": 20, "held_out": 20}
    families = [{example.provenance.family for example in examples} for examples in parts.values()]
    assert sum(map(len, families)) == len(set().union(*families)) == 50


async def test_every_tenth_row_broken_costs_those_rows_alone(served: Served) -> None:
    rows = lines(2500).splitlines()
    broken = [b"{broken", b'{"text": "\xff\xfe", "label": "refund"}', b'{"text": "lost one", "label": "refnud"}']
    for place in range(9, 2500, 10):
        rows[place] = broken[place // 10 % 3]
    run = await served.import_rows(b"\n".join(rows))
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    assert dict(run.run.progress.counts) == {"examples": 2250, "bad": 250, "seeds": 2250}
    bad = await served.rows(run.bad_rows)
    assert [row["line"] for row in bad] == [*range(10, 2501, 10)]
    assert len(run.first_bad_rows) == 100
    reasons = Counter(row["reason"].split(":")[0].split(";")[0] for row in bad)
    assert sorted(reasons.values()) == [83, 83, 84]
    wrong = next(row for row in run.first_bad_rows if row.label)
    assert (wrong.label, "the nearest is 'refund'" in wrong.reason) == ("refnud", True)


async def test_a_file_with_a_line_of_32_mb_gives_its_other_rows(served: Served) -> None:
    rows = lines(2)
    run = await served.import_rows(rows + b'{"text": "' + b"x" * (32 << 20) + b'"}\n' + lines(1, 2))
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    assert dict(run.run.progress.counts) == {"examples": 3, "bad": 1, "seeds": 3}
    assert [(row.line, "longer than" in row.reason) for row in run.first_bad_rows] == [(3, True)]


ANY_LABEL = example_pb2.Task(kind=example_pb2.TASK_KIND_CLASSIFICATION)
MANY_LABELS = b"".join(json.dumps({"text": f"say {n}", "label": f"number {n}"}).encode() + b"\n" for n in range(1100))
LONG_LABEL = json.dumps({"text": "refund", "label": "I want my money back " * 20}).encode()
UNUSABLE: list[tuple[bytes, dict[str, Any], str]] = [
    (MANY_LABELS, {"task": ANY_LABEL}, "over 1000 different labels"),
    (LONG_LABEL, {"task": ANY_LABEL}, "is it another column?"),
    (b"\n\n\n", {}, "has no rows"),
    (
        b"{broken\n" * 5,
        {},
        "none of the 5 rows of the file can be used; the first, line 1: The line is not valid JSON",
    ),
    (b"PK\x03\x04 zip", {}, "zip archive or a spreadsheet"),
    (
        lines(4) + b"{broken",
        {"all_or_nothing": True},
        "1 of 5 rows are bad and all_or_nothing is set; the first, line 5",
    ),
    (lines(2), {"splits": SPLITS}, "no example is left for the split"),
]


async def test_a_file_that_cannot_be_used_fails_with_one_sentence_and_no_artifact(served: Served) -> None:
    for data, spec, sentence in UNUSABLE:
        run = await served.import_rows(data, **spec)
        assert sentence in failed_with(run)
        assert not run.artifacts
    listed = await served.stub.ListArtifacts(pb.ListArtifactsRequest(parent=PARENT, kind="seeds"))
    assert not listed.artifacts


async def test_a_failed_import_still_shows_its_bad_rows_and_its_error_shows_no_label(served: Served) -> None:
    secret = json.dumps({"text": "hello", "label": "my card is 4471"}).encode()
    run = await served.import_rows(secret)
    assert "4471" not in failed_with(run)
    assert run.first_bad_rows[0].label == "my card is 4471"


async def test_held_out_rows_that_repeat_seeds_are_bad_rows_and_a_file_of_them_alone_fails(served: Served) -> None:
    seeds = await served.seeds(lines(20))
    run = await served.import_rows(lines(30), splits=[pb.SplitShare(kind="held_out")], apart_from=[seeds])
    assert dict(run.run.progress.counts) == {"examples": 10, "bad": 20, "held_out": 10}
    assert all("duplicate of" in row.reason and seeds in row.reason for row in run.first_bad_rows)
    parents = (await served.manifest(run.artifacts["held_out"])).parents
    assert seeds.split("/")[-1] in parents
    run = await served.import_rows(lines(10), splits=[pb.SplitShare(kind="held_out")], apart_from=[seeds])
    assert "each of the 10 rows repeats an example" in failed_with(run)


async def test_a_full_store_fails_the_import_with_what_to_do(serve: Callable[..., Awaitable[Served]]) -> None:
    stores: list[MemoryStore] = []

    def memory(parts: Parts) -> None:
        parts.store = MemoryStore()
        stores.append(parts.store)

    served = await serve(memory)
    file = await served.upload(lines(200))
    stores[0].capacity = sum(map(len, stores[0].objects.values())) + 1000
    spec = pb.ImportSpec(file=file.name, task=TASK)
    run = await served.stub.ImportExamples(pb.ImportExamplesRequest(parent=PARENT, spec=spec))
    async for change in served.stub.WatchImportRun(pb.WatchImportRunRequest(name=run.name)):
        run = change
    assert "raise capacity" in failed_with(run)
    assert run.run.error.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]


async def test_replay_rows_say_that_they_are_and_need_no_label(served: Served) -> None:
    rows = b"".join(
        json.dumps({"instruction": f"count to {n}", "output": "1, 2, 3"}).encode() + b"\n" for n in range(5)
    )
    task = example_pb2.Task(kind=example_pb2.TASK_KIND_INSTRUCTION)
    replay = await served.examples(await served.seeds(rows, "replay", task=task))
    assert {(one.provenance.origin, one.label, one.task.value) for one in replay} == {("replay", None, "instruction")}


async def test_the_support_example_imports_whole_and_its_held_out_part_stays_apart(served: Served) -> None:
    labels = ["refund", "delivery", "cancel", "damaged", "exchange", "invoice", "password", "discount"]
    task = example_pb2.Task(kind=example_pb2.TASK_KIND_CLASSIFICATION, labels=labels)
    seeds = await served.seeds((EXAMPLES / "seeds.jsonl").read_bytes(), task=task)
    held_out = (EXAMPLES / "held_out.jsonl").read_bytes()
    run = await served.import_rows(held_out, task=task, splits=[pb.SplitShare(kind="held_out")], apart_from=[seeds])
    assert dict(run.run.progress.counts) == {"examples": 240, "bad": 0, "held_out": 240}
    assert len(await served.examples(seeds)) == 96


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"task": example_pb2.Task(labels=LABELS)}, "spec.task.kind"),
    ({"splits": [pb.SplitShare(kind="seeds"), pb.SplitShare(kind="seeds")]}, "spec"),
    ({"splits": [pb.SplitShare(kind="dataset")]}, "spec"),
    ({"splits": [pb.SplitShare(kind="a b")]}, "spec.splits.0.kind"),
    ({"splits": [pb.SplitShare(kind="seeds", share=-1)]}, "spec.splits.0.share"),
    ({"apart_from": ["projects/other/artifacts/x"]}, "spec.apart_from[0]"),
    ({"random_seed": 2**60}, "spec.random_seed"),
    ({"file": "projects/default/artifacts/x"}, "spec.file"),
]


async def test_a_wrong_field_is_named_and_nothing_is_made(served: Served) -> None:
    for changed, field in WRONG:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await served.create_import(lines(3), **changed)
        assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert field in str(error.value.trailing_metadata())
    assert not (await served.stub.ListImportRuns(pb.ListImportRunsRequest(parent=PARENT))).import_runs


async def test_a_repeated_request_id_makes_one_run_and_another_body_is_refused(served: Served) -> None:
    file = await served.upload(lines(4))
    request = pb.ImportExamplesRequest(parent=PARENT, spec=pb.ImportSpec(file=file.name, task=TASK), request_id="once")
    first, second = await asyncio.gather(served.stub.ImportExamples(request), served.stub.ImportExamples(request))
    assert first.name == second.name
    request.spec.random_seed = 2
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await served.stub.ImportExamples(request)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_cancelled_import_ends_without_artifacts(served: Served) -> None:
    run = await served.create_import(lines(20000))
    async for change in served.stub.WatchImportRun(pb.WatchImportRunRequest(name=run.name)):
        if change.run.progress.done:
            break
    await served.stub.CancelImportRun(pb.CancelImportRunRequest(name=run.name))
    async for change in served.stub.WatchImportRun(pb.WatchImportRunRequest(name=run.name)):
        run = change
    assert run.run.state == run_pb2.RUN_STATE_CANCELLED
    assert not run.artifacts and not run.bad_rows


async def test_inputs_without_answers_are_seeds_and_never_part_of_a_version(served: Served) -> None:
    task = example_pb2.Task(kind=example_pb2.TASK_KIND_INSTRUCTION)
    rows = b'{"instruction": "Name a tree."}\n{"instruction": "Name a flower.", "output": "A rose."}\n'
    refused = await served.import_rows(rows, task=task)
    assert dict(refused.run.progress.counts) == {"examples": 1, "bad": 1, "seeds": 1}
    seeds = await served.seeds(rows, task=task, unanswered=True)
    assert sorted(seed.answer for seed in await served.examples(seeds)) == ["", "A rose."]
    source = pb.Source(artifact=seeds, role=pb.SOURCE_ROLE_SYNTHETIC)
    spec = pb.DatasetSpec(sources=[source])
    asked = pb.CreateDatasetVersionRequest(parent=PARENT, dataset_id="trees", spec=spec)
    version = await served.stub.CreateDatasetVersion(asked)
    async for change in served.stub.WatchDatasetVersion(pb.WatchDatasetVersionRequest(name=version.name)):
        version = change
    assert version.run.state == run_pb2.RUN_STATE_FAILED
    assert "with the strategy answer" in version.run.error.message


async def test_inputs_of_labels_are_refused(served: Served) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="tasks without labels"):
        await served.create_import(lines(2), unanswered=True)
