"""Which candidates of a run count: asked of the filtering service between ranges, before what is short is refilled."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pyarrow as pa
import pyarrow.compute as pc
from cultivar.filtering.v1 import filtering_pb2 as pb
from cultivar.filtering.v1 import filtering_pb2_grpc
from cultivar.run.v1 import run_pb2
from cultivar_artifacts import ArtifactStore, load_manifest, read_shards
from cultivar_service.artifacts import artifact_digest, artifact_name
from cultivar_service.calls import call
from cultivar_service.errors import FailedPrecondition
from cultivar_service.example_codec import encode_task
from cultivar_service.holds import Hold

from cultivar_generation.codec import encode_filter
from cultivar_generation.coverage import Coverage, emptied
from cultivar_generation.plan import Calls, RunSpec, pick_of

PAUSE_SECONDS = 0.5
ENDED = (run_pb2.RUN_STATE_SUCCEEDED, run_pb2.RUN_STATE_FAILED, run_pb2.RUN_STATE_CANCELLED)
AT_ONCE = 256
"""Calls that are planned again before others have a turn."""


class Sifting:
    """The filter runs of generation runs."""

    def __init__(self, channel: grpc.aio.Channel, store: ArtifactStore) -> None:
        self._stub: Any = filtering_pb2_grpc.FilteringServiceStub(channel)
        self._store = store

    async def check(self, project: str, spec: RunSpec) -> None:
        """Raises what the filtering service says against the filters, before a call is paid for."""
        if spec.filter is not None:
            asked = self._request(project, spec, spec.seeds)
            asked.validate_only = True
            await call(self._stub.CreateFilterRun, asked)

    async def begin(self, hold: Hold, spec: RunSpec, candidates: str, number: int) -> str:
        """Creates the filter run over an artifact of candidates, one for each number; returns its name."""
        asked = self._request(hold.run.project, spec, candidates)
        asked.request_id = f"{hold.run.id}-{number}-{hold.run.lease_token}"
        return str((await call(self._stub.CreateFilterRun, asked)).name)

    async def kept(self, hold: Hold, name: str) -> str:
        """Waits until a filter run has ended; returns the digest of what it kept.

        Raises FailedPrecondition where it failed or was cancelled.
        """
        try:
            while (
                run := await call(self._stub.GetFilterRun, pb.GetFilterRunRequest(name=name))
            ).run.state not in ENDED:
                await hold.report(stage="filtering")
                await asyncio.sleep(PAUSE_SECONDS)
        except asyncio.CancelledError:
            # What only moves to another replica is gone on with there.
            if hold.cancelling:
                await call(self._stub.CancelFilterRun, pb.CancelFilterRunRequest(name=name))
            raise
        if run.run.state != run_pb2.RUN_STATE_SUCCEEDED:
            why = run.run.error.message or "it was cancelled"
            raise FailedPrecondition(f"{name}, which says what counts, did not succeed: {why}; then retry this run")
        return artifact_digest(hold.run.project, run.kept, "kept")

    def _request(self, project: str, spec: RunSpec, examples: str) -> pb.CreateFilterRunRequest:
        assert spec.filter is not None
        asked = encode_filter(project, spec.filter)
        asked.examples = artifact_name(project, examples)
        asked.task.CopyFrom(encode_task(spec.task))
        asked.seeds = artifact_name(project, spec.seeds)
        return pb.CreateFilterRunRequest(parent=f"projects/{project}", spec=asked)

    async def recounted(self, project: str, kept: str, coverage: Coverage, calls: Calls) -> tuple[Coverage, int]:
        """Returns a coverage in which only kept candidates are made, and how many they are."""
        found, rows = emptied(coverage), 0
        manifest = await load_manifest(self._store, project, kept)
        async for table in read_shards(self._store, manifest):
            async for identifier, count in made_by(table):
                rows += count
                for key in calls.aims(pick_of(identifier)):
                    found[key][1] += count
        return found, rows


async def made_by(table: pa.Table) -> AsyncIterator[tuple[str, int]]:
    """Yields each call that made some of the candidates of a shard, with how many; lets others have a turn."""
    counts = pc.value_counts(pc.struct_field(table["provenance"], "call"))
    for number, each in enumerate(counts.to_pylist()):
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
        yield each["values"], each["counts"]
