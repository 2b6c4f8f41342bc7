"""A run against a teacher that refuses, fails, hangs and lies: every call ends, and none is paid twice."""

from collections import Counter

from cultivar.audit.v1 import audit_pb2
from cultivar.generation.v1 import generation_pb2 as pb
from cultivar.run.v1 import run_pb2
from cultivar_artifacts import load_manifest, read_shards
from cultivar_models.fake import FakeSettings, FakeTeacher

from tests.conftest import Start
from tests.integration.generation.test_generation_runs import PARENT, candidates, finish, open_generation, spec

ASKED = 600
FAULTS = FakeSettings(
    latency_s=0.01,
    too_many_rate=0.05,
    retry_after_s=0.2,
    error_rate=0.02,
    hang_rate=0.01,
    broken_rate=0.01,
    empty_rate=0.01,
    lie_rate=0.03,
)


async def test_a_run_against_a_teacher_that_refuses_fails_hangs_and_lies_loses_nothing_and_pays_nothing_twice(
    start: Start, teacher: FakeTeacher
) -> None:
    host, stub, seeds_name = await open_generation(start, teacher)
    teacher.settings = FAULTS
    given = pb.Teacher(url=teacher.url, model="fake-teacher", concurrency=32, timeout_seconds=2)
    await stub.RegisterTeacher(
        pb.RegisterTeacherRequest(parent=PARENT, teacher_id="fake", teacher=given, skip_probe=True)
    )
    # Two examples a call, so that a lie, which holds one half item, can be told from them.
    use = pb.StrategyUse(strategy="expand", count=2 * ASKED)
    use.params.update({"per_call": 2})
    run = await stub.CreateGenerationRun(pb.CreateGenerationRunRequest(parent=PARENT, spec=spec(seeds_name, use)))
    run = await finish(stub, run)
    counts, outcomes = run.run.progress.counts, teacher.stats.outcomes
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    assert min(outcomes[fault] for fault in ("too_many", "error", "cancelled", "broken", "empty", "lie")) > 0
    assert counts["answered"] == ASKED and counts["failed"] == 0
    # A hanging call was given up at its time limit, which the teacher sees as cancelled, and was made again.
    assert outcomes["answered"] + outcomes["lie"] == ASKED and teacher.stats.answered_twice == 0
    assert run.run.usage.calls >= teacher.stats.calls
    assert host.parts is not None
    manifest = await load_manifest(host.parts.store, "default", run.calls.split("/")[-1])
    rows = [row async for table in read_shards(host.parts.store, manifest) for row in table.to_pylist()]
    assert len({row["id"] for row in rows}) == len(rows) == ASKED
    lies = [row for row in rows if "half an it" in row["raw"]]
    assert len(lies) == outcomes["lie"] and all(row["malformed"] for row in lies)
    made = Counter(example.provenance.call for example in await candidates(host, run))
    assert made.total() == counts["candidates"] and all(made[row["id"]] == row["candidates"] for row in rows)
    report = await stub.Audit(audit_pb2.AuditRequest(parent=PARENT))
    assert all(finding.holds for finding in report.findings)
