"""A teacher that is named by an alias: what training promoted answers it, with no new process and no new teacher."""

from typing import Any

import grpc
import pytest
from cultivar.generation.v1 import generation_pb2 as pb
from cultivar.generation.v1 import generation_pb2_grpc
from cultivar.run.v1 import run_pb2
from cultivar_artifacts import Alias, save_alias
from cultivar_generation.__main__ import build
from cultivar_models.fake import FakeSettings, FakeTeacher

from tests.conftest import Start
from tests.integration.generation.test_generation_runs import PARENT, candidates, finish, spec
from tests.seeds import commit_examples, seeds
from tests.terminal import Terminal


async def test_a_teacher_named_by_an_alias_writes_candidates(
    start: Start, teacher: FakeTeacher, terminal: Terminal
) -> None:
    teacher.settings = FakeSettings(models=("small",))
    host = await start(build, teachers_url=teacher.url)
    assert host.parts is not None
    champion = Alias(project="default", alias="champion", adapter="1" * 64, base_model="small", revision=1)
    await save_alias(host.parts.store, champion)
    terminal.at(host)
    told = await terminal("teacher", "register", "best", "--model", "champion")
    assert told.exit_code == 0, told.output
    assert "small:default/champion" in (await terminal("teacher", "list")).output
    stub: Any = generation_pb2_grpc.GenerationServiceStub(host.parts.channel)
    wanted = spec(
        await commit_examples(host.settings.database_url, host.parts.store, seeds()),
        pb.StrategyUse(strategy="expand", count=8),
    )
    wanted.teacher = f"{PARENT}/teachers/best"
    run = await finish(stub, await stub.CreateGenerationRun(pb.CreateGenerationRunRequest(parent=PARENT, spec=wanted)))
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    assert await candidates(host, run)


async def test_a_teacher_may_not_be_another_projects_alias(start: Start) -> None:
    host = await start(build)
    assert host.parts is not None
    stub: Any = generation_pb2_grpc.GenerationServiceStub(host.parts.channel)
    request = pb.RegisterTeacherRequest(
        parent=PARENT, teacher_id="best", teacher=pb.Teacher(model="small:other/champion"), skip_probe=True
    )
    with pytest.raises(grpc.aio.AioRpcError, match="another project"):
        await stub.RegisterTeacher(request)
