"""A run that refills what its filters do not keep: between ranges it asks the filtering service."""

from typing import Any

import grpc
import pytest
from cultivar.filtering.v1 import filtering_pb2, filtering_pb2_grpc
from cultivar.generation.v1 import generation_pb2 as pb
from cultivar.run.v1 import run_pb2
from cultivar_filtering.__main__ import build as build_filtering
from cultivar_models.fake import FakeTeacher
from cultivar_service.serving import Host
from cultivar_service.struct_codec import encode_struct

from tests.conftest import Start
from tests.integration.generation.test_generation_runs import PARENT, candidates, finish, open_generation
from tests.integration.generation.test_generation_runs import spec as plan

COUNT = 60


def filters(**params: Any) -> filtering_pb2.FilterSpec:
    """Keeps what is new by its ROUGE-L."""
    return filtering_pb2.FilterSpec(filters=[filtering_pb2.FilterUse(filter="novelty", params=encode_struct(params))])


async def begun(
    start: Start, teacher: FakeTeacher, asked: filtering_pb2.FilterSpec, refill: bool = True
) -> tuple[Host, Any, pb.GenerationRun]:
    """Creates a run of sixty candidates beside a filtering service."""
    host, stub, seeds_name = await open_generation(start, teacher, build_filtering)
    use = pb.StrategyUse(strategy="expand", count=COUNT, refill=refill, params=encode_struct({"per_call": 2}))
    spec = plan(seeds_name, use)
    spec.filter.CopyFrom(asked)
    return host, stub, await stub.CreateGenerationRun(pb.CreateGenerationRunRequest(parent=PARENT, spec=spec))


async def test_what_the_filters_do_not_keep_is_asked_for_again(start: Start, teacher: FakeTeacher) -> None:
    host, stub, run = await begun(start, teacher, filters(threshold=0.6))
    run = await finish(stub, run)
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    assert host.parts is not None
    filtering: Any = filtering_pb2_grpc.FilteringServiceStub(host.parts.channel)
    asked = [await filtering.GetFilterRun(filtering_pb2.GetFilterRunRequest(name=name)) for name in run.filter_runs]
    kept = [each.run.progress.counts["kept"] for each in asked]
    assert len(asked) > 1 and kept == sorted(kept) and kept[0] < kept[-1]
    counts, made = run.run.progress.counts, await candidates(host, run)
    assert counts["kept"] == kept[-1] < counts["candidates"] == len(made)
    assert sum(asked[-1].run.progress.counts[state] for state in ("kept", "rejected")) == len(made)
    labels = {part.value: part for part in run.coverage if part.dimension == "label"}
    assert sum(part.made for part in labels.values()) == kept[-1]
    assert [part.asked for part in labels.values()] == [30, 30]


async def test_where_every_candidate_counts_the_filters_are_asked_once(start: Start, teacher: FakeTeacher) -> None:
    harmless = filtering_pb2.FilterSpec(filters=[filtering_pb2.FilterUse(filter="repetition")])
    _, stub, run = await begun(start, teacher, harmless)
    run = await finish(stub, run)
    counts = run.run.progress.counts
    assert (counts["answered"], counts["candidates"], counts["kept"]) == (COUNT // 2, COUNT, COUNT)
    assert len(run.filter_runs) == 1


@pytest.mark.parametrize(
    ("asked", "refill", "says"),
    [
        (filters(), False, "set refill"),
        (filtering_pb2.FilterSpec(recipe="novle"), True, "no recipe"),
        (filters(treshold=0.5), True, "treshold"),
        (filtering_pb2.FilterSpec(examples=f"{PARENT}/artifacts/{'0' * 64}"), True, "leave examples"),
    ],
)
async def test_filters_that_cannot_judge_are_refused_before_a_call_is_paid_for(
    start: Start, teacher: FakeTeacher, asked: filtering_pb2.FilterSpec, refill: bool, says: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match=says) as refused:
        await begun(start, teacher, asked, refill)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert teacher.stats.calls == 0


async def test_filters_are_refused_where_no_filtering_service_is(start: Start, teacher: FakeTeacher) -> None:
    _, stub, seeds_name = await open_generation(start, teacher)
    spec = plan(seeds_name, pb.StrategyUse(strategy="expand", count=COUNT, refill=True))
    spec.filter.CopyFrom(filters())
    with pytest.raises(grpc.aio.AioRpcError, match="start that service") as refused:
        await stub.CreateGenerationRun(pb.CreateGenerationRunRequest(parent=PARENT, spec=spec))
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
