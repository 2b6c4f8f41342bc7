"""A large filter run: calls stay quick meanwhile, and a cancelled one keeps what it has committed."""

import asyncio
import statistics
import time
from typing import Any

from cultivar.audit.v1 import audit_pb2
from cultivar.filtering.v1 import filtering_pb2 as pb
from cultivar.filtering.v1 import filtering_pb2_grpc
from cultivar.run.v1 import run_pb2
from cultivar_filtering.__main__ import build

from tests.conftest import Start
from tests.integration.filtering.crowd import PARENT, crowd, files, finish, until
from tests.seeds import TASK, commit_examples


async def test_a_run_of_20000_rows_leaves_calls_quick_and_stops_when_cancelled(start: Start) -> None:
    host = await start(build)
    assert host.parts is not None
    stub: Any = filtering_pb2_grpc.FilteringServiceStub(host.parts.channel)
    name = await commit_examples(host.settings.database_url, host.parts.store, crowd(20_000), "candidates")
    spec = pb.FilterSpec(examples=name, task=TASK)
    run = await stub.CreateFilterRun(pb.CreateFilterRunRequest(parent=PARENT, spec=spec))
    await until(stub, run, 1)
    took: list[float] = []
    while len(took) < 60:
        began = time.perf_counter()
        change = await stub.GetFilterRun(pb.GetFilterRunRequest(name=run.name))
        took.append(time.perf_counter() - began)
        assert change.run.state == run_pb2.RUN_STATE_RUNNING
        await asyncio.sleep(0.02)
    assert statistics.median(took) < 0.1
    await stub.CancelFilterRun(pb.CancelFilterRunRequest(name=run.name))
    run = await asyncio.wait_for(finish(stub, run), 10)
    assert run.run.state == run_pb2.RUN_STATE_CANCELLED
    counts = run.run.progress.counts
    assert 0 < counts["kept"] + counts["rejected"] == run.run.progress.done < 20_000
    for kind, artifact in (("kept", run.kept), ("rejected", run.rejected)):
        assert sum(file.rows for file in await files(host.parts.store, artifact)) == counts[kind]
    report = await stub.Audit(audit_pb2.AuditRequest(parent=PARENT))
    assert [finding.check for finding in report.findings if not finding.holds] == []
