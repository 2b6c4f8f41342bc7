"""An alias names one adapter after another; the artifact store says the same as the table."""

import asyncio
from typing import Any

import grpc
import pytest
from cultivar.audit.v1 import audit_pb2
from cultivar.training.v1 import training_pb2 as pb
from cultivar_artifacts import ArtifactStore, StoreUnavailable, load_alias

from tests.integration.training.conftest import PARENT, Open, Training
from tests.terminal import Terminal

NAME = f"{PARENT}/aliases/champion"


async def trained(training: Training, count: int = 2) -> list[str]:
    """Returns the names of some adapters."""
    runs = [await training.finish(await training.create(random_seed=seed)) for seed in range(1, count + 1)]
    return [run.adapter for run in runs]


async def promote(training: Training, adapter: str, alias: str = "champion", request_id: str = "") -> pb.Alias:
    """Makes an alias name an adapter."""
    request = pb.SetAliasRequest(parent=PARENT, alias_id=alias, adapter=adapter, request_id=request_id)
    made: pb.Alias = await training.stub.SetAlias(request)
    return made


def store_of(training: Training) -> ArtifactStore:
    assert training.host.parts is not None
    return training.host.parts.store


async def broken_checks(training: Training) -> list[str]:
    report = await training.stub.Audit(audit_pb2.AuditRequest(parent=PARENT))
    return [finding.check for finding in report.findings if finding.offenders]


async def test_promotion_moves_an_alias_and_every_move_is_kept(open_training: Open) -> None:
    training = await open_training()
    first, second = await trained(training)
    made = await promote(training, first)
    assert (made.name, made.model, made.revision) == (NAME, "smollm2-135m-instruct:default/champion", 1)
    await promote(training, second)
    await promote(training, first)
    champion = await training.stub.GetAlias(pb.GetAliasRequest(name=NAME))
    assert [(move.revision, move.adapter) for move in champion.moves] == [(3, first), (2, second), (1, first)]
    assert champion.moves[0].principal and champion.update_time == champion.moves[0].create_time
    found = await load_alias(store_of(training), "default", "champion")
    assert (found.adapter, found.base_model, found.revision) == (first.rpartition("/")[2], champion.base_model, 3)
    assert await broken_checks(training) == []


async def test_naming_the_same_adapter_again_is_no_move(open_training: Open) -> None:
    training = await open_training()
    (adapter,) = await trained(training, 1)
    assert [(await promote(training, adapter)).revision for _ in range(3)] == [1, 1, 1]


async def test_a_repeated_request_does_not_move_an_alias_back(open_training: Open) -> None:
    training = await open_training()
    first, second = await trained(training)
    await promote(training, first, request_id="once")
    await promote(training, second)
    assert (await promote(training, first, request_id="once")).adapter == first
    assert (await training.stub.GetAlias(pb.GetAliasRequest(name=NAME))).adapter == second


async def test_of_many_promotions_at_once_the_last_in_the_table_is_the_one_in_the_store(open_training: Open) -> None:
    training = await open_training()
    adapters = await trained(training)
    await asyncio.gather(*[promote(training, adapters[turn % 2]) for turn in range(12)])
    champion = await training.stub.GetAlias(pb.GetAliasRequest(name=NAME))
    found = await load_alias(store_of(training), "default", "champion")
    assert (found.adapter, found.revision) == (champion.adapter.rpartition("/")[2], champion.revision)
    assert await broken_checks(training) == []


async def test_an_alias_does_not_move_where_the_store_cannot_be_written(
    open_training: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = await open_training()
    first, second = await trained(training)
    await promote(training, first)

    async def fails(*_: Any) -> None:
        raise StoreUnavailable("the store is away")

    with monkeypatch.context() as broken:
        broken.setattr(store_of(training), "put_alias", fails)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await promote(training, second, request_id="again")
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert (await training.stub.GetAlias(pb.GetAliasRequest(name=NAME))).adapter == first
    assert await broken_checks(training) == []
    assert (await promote(training, second, request_id="again")).revision == 2


async def test_the_audit_finds_a_store_that_says_something_else_and_setting_the_alias_again_puts_it_right(
    open_training: Open,
) -> None:
    training = await open_training()
    (adapter,) = await trained(training, 1)
    await promote(training, adapter)
    await store_of(training).put_alias("default", "champion", b"{}")
    assert "the artifact store says what every alias names; set one again where not" in await broken_checks(training)
    await promote(training, adapter)
    assert await broken_checks(training) == []


@pytest.mark.parametrize("alias", ["", "Champion", "smollm2-135m-instruct", "a/b", "0" * 64])
async def test_a_name_that_can_be_no_alias_is_refused(open_training: Open, alias: str) -> None:
    training = await open_training()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await promote(training, f"{PARENT}/artifacts/{'0' * 64}", alias)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_only_an_adapter_of_the_project_can_be_promoted(open_training: Open) -> None:
    training = await open_training()
    for name, code in (
        (training.dataset, grpc.StatusCode.NOT_FOUND),
        (f"{PARENT}/artifacts/{'0' * 64}", grpc.StatusCode.NOT_FOUND),
        (f"projects/other/artifacts/{'0' * 64}", grpc.StatusCode.INVALID_ARGUMENT),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await promote(training, name)
        assert refused.value.code() == code
    with pytest.raises(grpc.aio.AioRpcError) as absent:
        await training.stub.GetAlias(pb.GetAliasRequest(name=NAME))
    assert absent.value.code() == grpc.StatusCode.NOT_FOUND


async def test_the_commands_promote_list_and_tell_the_history(open_training: Open, terminal: Terminal) -> None:
    training = await open_training()
    first, second = [adapter.rpartition("/")[2] for adapter in await trained(training)]
    terminal.at(training.host)
    for adapter in (first, second):
        told = await terminal("adapter", "promote", adapter[:12])
        assert told.exit_code == 0, told.output
    assert "smollm2-135m-instruct:default/champion" in told.output
    await terminal("adapter", "promote", first[:12], "--alias", "challenger")
    rows = [line.split() for line in (await terminal("adapter", "list")).output.splitlines()[1:]]
    assert [row[:2] for row in rows] == [[second[:12], "champion"], [first[:12], "challenger"]]
    moves = [line.split() for line in (await terminal("adapter", "history")).output.splitlines()[1:]]
    assert [move[:2] for move in moves] == [["2", second[:12]], ["1", first[:12]]]
    assert (await terminal("adapter", "promote", "zz")).exit_code == 1
