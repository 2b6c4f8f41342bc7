"""A server that nobody here wrote as a teacher: `transformers serve` with the small model, on this machine."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cultivar.audit.v1 import audit_pb2
from cultivar.generation.v1 import generation_pb2 as pb
from cultivar.generation.v1 import generation_pb2_grpc
from cultivar.run.v1 import run_pb2
from cultivar_generation.__main__ import build
from cultivar_models import Endpoint, ModelClient
from cultivar_models.weights import find_weights

from tests.conftest import Start
from tests.integration.generation.test_generation_runs import PARENT, candidates, finish
from tests.seeds import TASK, commit_examples, seeds

CALLS = 12
START_SECONDS = 240.0
# Half a minute on a quiet machine; minutes on a busy one.
pytestmark = pytest.mark.timeout(480)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Starts the server; yields its URL and the name under which it knows the model."""
    model = str(find_weights("smollm2-135m-instruct"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("transformers")), "serve", model]
    log = (tmp_path_factory.mktemp("serve") / "log").open("wb")
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"],
        stdout=log,
        stderr=subprocess.STDOUT,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "2"},
    )
    yield f"http://127.0.0.1:{port}/v1", model
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


async def test_a_run_against_a_server_that_nobody_here_wrote_makes_candidates_and_passes_the_audit(
    start: Start, served: tuple[str, str]
) -> None:
    url, model = served
    host = await start(build)
    assert host.parts is not None
    stub: Any = generation_pb2_grpc.GenerationServiceStub(host.parts.channel)
    async with ModelClient(Endpoint(url, model)) as client:
        await client.wait_ready(START_SECONDS, listed=False)
    given = pb.Teacher(url=url, model=model, concurrency=2, max_tokens=40, temperature=0.6, top_p=0.9)
    teacher = await stub.RegisterTeacher(pb.RegisterTeacherRequest(parent=PARENT, teacher_id="foreign", teacher=given))
    # So small a model does not keep to what it is asked; that it was asked and answered is what counts.
    assert teacher.probe.state in (pb.TEACHER_STATE_FINE, pb.TEACHER_STATE_POOR), teacher.probe.problems
    assert teacher.probe.latency_seconds > 0 and not teacher.probe.structured_output
    name = await commit_examples(host.settings.database_url, host.parts.store, seeds())
    use = pb.StrategyUse(strategy="expand", count=CALLS)
    use.params.update({"per_call": 1, "shots": 3})
    asked = pb.GenerationSpec(seeds=name, task=TASK, strategies=[use], teacher=teacher.name)
    run = await stub.CreateGenerationRun(pb.CreateGenerationRunRequest(parent=PARENT, spec=asked))
    run = await finish(stub, run)
    counts, usage = run.run.progress.counts, run.run.usage
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    assert (counts["answered"], counts["failed"]) == (CALLS, 0)
    assert usage.prompt_tokens > 0 and usage.completion_tokens > 0
    made = await candidates(host, run)
    assert len(made) == counts["candidates"] > 0
    assert {example.provenance.model for example in made} == {model}
    report = await stub.Audit(audit_pb2.AuditRequest(parent=PARENT))
    assert report.findings and all(finding.holds for finding in report.findings)
