"""Filter runs from their creation to their explanations, over real gRPC, Postgres, files and a worker process."""

import asyncio
from typing import Any

import grpc
import pytest
from cultivar.audit.v1 import audit_pb2
from cultivar.filtering.v1 import filtering_pb2 as pb
from cultivar.filtering.v1 import filtering_pb2_grpc
from cultivar.run.v1 import run_pb2
from cultivar_artifacts import load_manifest, read_shards, verify
from cultivar_filtering.__main__ import build
from cultivar_records import Example, Message, Provenance, TaskKind, example_id, from_table
from cultivar_service.serving import Host
from google.protobuf.struct_pb2 import Struct

from tests.conftest import Start
from tests.seeds import TASK, TEXTS, commit_examples, seeds

PARENT = "projects/default"
HELD_OUT_TEXT = "the parcel was left with a neighbour whom I do not know"


def candidate(number: int, text: str, label: str = "delivery", shown: tuple[str, ...] = ()) -> Example:
    """A candidate of a run."""
    return Example(
        id=example_id("run", str(number), 0),
        task=TaskKind.CLASSIFICATION,
        messages=(Message(role="user", content=text), Message(role="assistant", content=label)),
        label=label,
        provenance=Provenance(origin="candidate", family="a" * 32, run="run", seeds=shown),
    )


CAUSES = {
    "format.list_mark": "3. my parcel is nowhere to be seen",
    "format.template_debris": "Message: my parcel is nowhere to be seen",
    "length.too_few_words": "parcel",
    "nonsense.no_vowels": "dfgh dfjkgh sdkfjh skdjfh",
    "repetition.few_distinct_words": "please please please please please please",
    "prompt_echo.copy_of_seed": "Where is my parcel now",
    "exact_duplicate.of_seed": "it should have come on monday!",
    "near_duplicate.of_seed": "hello the courier never rang the bell",
    "held_out.near": "Hi, " + HELD_OUT_TEXT,
}
GOOD = {
    "delivery": ["has the van broken down again or what", "nobody told me which day it comes", "still no sign of it"],
    "refund": ["you charged me twice for one chair", "money for the broken vase has not come back to my card"],
}


def candidates() -> list[Example]:
    """One candidate for each cause, and good ones."""
    shown = tuple(seed.id for seed in seeds() if seed.text == TEXTS["delivery"][0])
    rejected = [
        candidate(number, text, shown=shown if cause.startswith("prompt") else ())
        for number, (cause, text) in enumerate(CAUSES.items())
    ]
    good = [(label, text) for label, texts in GOOD.items() for text in texts]
    return rejected + [candidate(100 + number, text, label) for number, (label, text) in enumerate(good)]


async def open_filtering(start: Start) -> tuple[Host, Any, pb.FilterSpec]:
    """Starts the service with candidates, seeds and a held-out example; returns host, stub and a whole spec."""
    host = await start(build)
    assert host.parts is not None
    stub: Any = filtering_pb2_grpc.FilteringServiceStub(host.parts.channel)
    url, store = host.settings.database_url, host.parts.store
    held_out = candidate(999, HELD_OUT_TEXT)
    spec = pb.FilterSpec(
        examples=await commit_examples(url, store, candidates(), "candidates"),
        task=TASK,
        seeds=await commit_examples(url, store, seeds()),
        held_out=[await commit_examples(url, store, [held_out], "held_out")],
    )
    return host, stub, spec


async def create(stub: Any, spec: pb.FilterSpec, request_id: str = "") -> pb.FilterRun:
    """Creates a run."""
    request = pb.CreateFilterRunRequest(parent=PARENT, spec=spec, request_id=request_id)
    run: pb.FilterRun = await stub.CreateFilterRun(request)
    return run


async def finish(stub: Any, run: pb.FilterRun) -> pb.FilterRun:
    """Follows a run to its end."""
    async for change in stub.WatchFilterRun(pb.WatchFilterRunRequest(name=run.name)):
        run = change
    return run


async def examples(host: Host, artifact: str) -> list[Example]:
    """Reads the examples of an artifact."""
    assert host.parts is not None
    manifest = await load_manifest(host.parts.store, "default", artifact.split("/")[-1])
    assert await verify(host.parts.store, manifest) == ()
    return [example async for table in read_shards(host.parts.store, manifest) for example in from_table(table)]


async def test_every_example_ends_in_one_place_and_the_funnel_names_each_cause(start: Start) -> None:
    host, stub, spec = await open_filtering(start)
    run = await create(stub, spec)
    assert run.run.state == run_pb2.RUN_STATE_PENDING
    run = await finish(stub, run)
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    counts = dict(run.run.progress.counts)
    assert {cause: counts.pop(f"rejected.{cause}", 0) for cause in CAUSES} == dict.fromkeys(CAUSES, 1), counts
    assert counts == {"kept": 5, "rejected": len(CAUSES)}
    kept, rejected = await examples(host, run.kept), await examples(host, run.rejected)
    assert await examples(host, run.failed) == []
    assert sorted(example.id for example in kept + rejected) == sorted(example.id for example in candidates())
    assert {example.text for example in kept} == {text for texts in GOOD.values() for text in texts}
    by_id = {example.id: example for example in candidates()}
    assert all(example == by_id[example.id] for example in kept + rejected)
    report = await stub.Audit(audit_pb2.AuditRequest(parent=PARENT))
    assert [finding.check for finding in report.findings if not finding.holds] == []
    assert report.counts[f"{run.kept.split('/')[-1]}/rows"] == 5
    assert report.counts[f"{spec.examples.split('/')[-1]}/rows"] == len(candidates())


async def test_explain_says_which_filters_kept_an_example_and_which_rejected_it(start: Start) -> None:
    _, stub, spec = await open_filtering(start)
    run = await finish(stub, await create(stub, spec))
    near = candidates()[list(CAUSES).index("near_duplicate.of_seed")]
    answer = await stub.Explain(pb.ExplainRequest(name=run.name, example_id=near.id))
    assert answer.outcome == pb.OUTCOME_REJECTED
    before = [use.filter for use in run.spec.filters].index("near_duplicate")
    assert [verdict.keep for verdict in answer.verdicts] == [True] * before + [False]
    assert (answer.verdicts[-1].filter, answer.verdicts[-1].reason) == ("near_duplicate", "of_seed")
    assert 0.7 <= answer.verdicts[-1].score < 1
    assert answer.example.messages[0].content == near.text
    good = candidates()[-1]
    answer = await stub.Explain(pb.ExplainRequest(name=run.name, example_id=good.id))
    assert answer.outcome == pb.OUTCOME_KEPT
    assert [verdict.filter for verdict in answer.verdicts] == [use.filter for use in run.spec.filters]
    for example, code in (("0" * 32, grpc.StatusCode.NOT_FOUND), ("no-id", grpc.StatusCode.INVALID_ARGUMENT)):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Explain(pb.ExplainRequest(name=run.name, example_id=example))
        assert refused.value.code() == code


async def test_a_repeated_request_id_makes_one_run_and_another_body_is_refused(start: Start) -> None:
    _, stub, spec = await open_filtering(start)
    first, second = await asyncio.gather(create(stub, spec, "once"), create(stub, spec, "once"))
    assert first.name == second.name
    del spec.held_out[:]
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await create(stub, spec, "once")
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_held_out_examples_are_guarded_whatever_the_recipe(start: Start) -> None:
    _, stub, spec = await open_filtering(start)
    spec.filters.append(pb.FilterUse(filter="length"))
    run = await finish(stub, await create(stub, spec))
    assert [use.filter for use in run.spec.filters] == ["length", "held_out"]
    assert run.run.progress.counts["rejected.held_out.near"] == 1
    assert run.recipe == ""


async def test_a_run_over_no_examples_succeeds_with_empty_artifacts(start: Start) -> None:
    host, stub, spec = await open_filtering(start)
    assert host.parts is not None
    spec.examples = await commit_examples(host.settings.database_url, host.parts.store, [], "candidates")
    run = await finish(stub, await create(stub, spec))
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    assert await examples(host, run.kept) == []


async def test_rows_that_repeat_an_id_fail_the_run_with_a_message_that_says_so(start: Start) -> None:
    host, stub, spec = await open_filtering(start)
    assert host.parts is not None
    twice = [candidate(1, "where has it gone"), candidate(1, "where did they leave it")]
    spec.examples = await commit_examples(host.settings.database_url, host.parts.store, twice, "candidates")
    run = await finish(stub, await create(stub, spec))
    assert run.run.state == run_pb2.RUN_STATE_FAILED
    assert "repeat the id" in run.run.error.message
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Explain(pb.ExplainRequest(name=run.name, example_id=twice[0].id))
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION


def params(**values: Any) -> Struct:
    """Parameters as a Struct."""
    struct = Struct()
    struct.update(values)
    return struct


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"filters": [pb.FilterUse(filter="lenght")]}, "spec.filters[0].filter"),
    ({"filters": [pb.FilterUse(filter="length", params=params(min_wordz=3))]}, "spec.filters[0].params.min_wordz"),
    ({"filters": [pb.FilterUse(filter="length", params=params(min_words=500))]}, "spec.filters[0].params"),
    ({"filters": [pb.FilterUse(filter="near_duplicate", params=params(threshold=2))]}, "params.threshold"),
    ({"filters": [pb.FilterUse(filter="format")] * 2}, "spec.filters[1].filter"),
    ({"filters": [pb.FilterUse(filter="format")] * 17}, "spec.filters"),
    ({"recipe": "defualt"}, "spec.recipe"),
    ({"recipe": "default", "filters": [pb.FilterUse(filter="format")]}, "spec.recipe"),
    ({"examples": ""}, "spec.examples"),
    ({"examples": f"{PARENT}/artifacts/{'0' * 64}"}, ""),
    ({"seeds": "projects/other/artifacts/" + "0" * 64}, "spec.seeds"),
    ({"held_out": ["nonsense"]}, "spec.held_out[0]"),
]


async def test_a_wrong_field_is_named_and_nothing_is_made(start: Start) -> None:
    _, stub, spec = await open_filtering(start)
    for change, field in WRONG:
        given = pb.FilterSpec(**{"examples": spec.examples, "task": TASK, **change})
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await create(stub, given)
        assert refused.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND), change
        assert field in str(refused.value.trailing_metadata()), change
    assert not (await stub.ListFilterRuns(pb.ListFilterRunsRequest(parent=PARENT))).filter_runs


async def test_another_projects_run_is_not_found(start: Start) -> None:
    _, stub, spec = await open_filtering(start)
    run = await create(stub, spec)
    for call, request in (
        (stub.GetFilterRun, pb.GetFilterRunRequest),
        (stub.CancelFilterRun, pb.CancelFilterRunRequest),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(request(name=run.name.replace("default", "other")))
        assert refused.value.code() == grpc.StatusCode.NOT_FOUND


async def test_the_lists_say_what_a_recipe_may_name_and_runs_show_it_resolved(start: Start) -> None:
    _, stub, spec = await open_filtering(start)
    filters = (await stub.ListFilters(pb.ListFiltersRequest(parent=PARENT))).filters
    recipes = (await stub.ListRecipes(pb.ListRecipesRequest(parent=PARENT))).recipes
    schemas = {found.filter: dict(found.params_schema["properties"]) for found in filters if found.reasons}
    assert all(set(use.params) == set(schemas[use.filter]) for recipe in recipes for use in recipe.filters)
    run = await create(stub, spec)
    assert run.recipe == "default"
    assert [recipe.digest for recipe in recipes if recipe.recipe == "default"] == [run.recipe_digest]
