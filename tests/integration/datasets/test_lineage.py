"""Lineage, downloads, garbage and the audit."""

from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from cultivar.audit.v1 import audit_pb2
from cultivar.datasets.v1 import datasets_pb2 as pb
from cultivar_records import Message, example_id
from google.protobuf.duration_pb2 import Duration

from tests.integration.datasets.conftest import PARENT, Served, lines, source
from tests.seeds import commit_examples


async def trace(served: Served, example: str) -> pb.Trace:
    return await served.stub.TraceExample(pb.TraceExampleRequest(parent=PARENT, example_id=example))


async def broken_checks(served: Served) -> list[str]:
    report = await served.stub.Audit(audit_pb2.AuditRequest(parent=PARENT))
    assert all(finding.examined or "leaks" in finding.check for finding in report.findings)
    return [finding.check for finding in report.findings if not finding.holds]


async def test_an_example_of_a_version_leads_to_the_line_that_a_person_wrote(served: Served) -> None:
    seeds_name = await served.seeds(lines(10))
    seed = (await served.examples(seeds_name))[3]
    provenance = seed.provenance.model_copy(update={"origin": "candidate", "source": "", "line": 0})
    messages = (Message(role="user", content="said another way"), seed.messages[1])
    child = seed.model_copy(update={"id": example_id("r", "1", 0), "messages": messages, "provenance": provenance})
    kept = await commit_examples(served.host.settings.database_url, served.store, [child], "kept")
    version = await served.make_version(sources=[source(kept)])
    found = await trace(served, child.id)
    assert found.example.id == child.id and found.example.messages[0].content == "said another way"
    assert found.seed.id == seed.id
    assert (found.file.sha256, found.line) == (seed.provenance.source, seed.provenance.line)
    assert [(one.artifact, one.kind) for one in found.holdings] == [(kept, "kept"), (version.artifact, "dataset")]
    assert list(found.dataset_versions) == [version.name]
    of_seed = await trace(served, seed.id)
    assert of_seed.seed == of_seed.example and not of_seed.dataset_versions
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await trace(served, "0" * 32)
    assert error.value.code() == grpc.StatusCode.NOT_FOUND


async def test_a_download_goes_on_from_an_offset_and_an_unknown_file_is_named(served: Served) -> None:
    version = await served.make_version(sources=[source(await served.seeds(lines(5)))])
    artifact = await served.stub.GetArtifact(pb.GetArtifactRequest(name=version.artifact))
    card = next(file for file in artifact.files if file.name == "README.md")

    async def fetched(offset: int, file: str = "README.md") -> bytes:
        request = pb.DownloadArtifactRequest(name=version.artifact, file=file, offset=offset)
        return b"".join([answer.chunk async for answer in served.stub.DownloadArtifact(request)])

    assert await fetched(0) == version.card.encode()
    assert await fetched(10) == version.card.encode()[10:]
    assert await fetched(card.size) == b""
    for offset, file in ((card.size + 1, "README.md"), (-1, "README.md"), (0, "absent"), (0, "")):
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await fetched(offset, file)
        assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_artifacts_are_listed_by_kind_page_by_page(served: Served) -> None:
    names = {await served.seeds(lines(3, start)) for start in (0, 10, 20)}
    found, token = set(), ""
    while True:
        request = pb.ListArtifactsRequest(parent=PARENT, kind="seeds", page_size=2, page_token=token)
        page = await served.stub.ListArtifacts(request)
        found |= {artifact.name for artifact in page.artifacts}
        token = page.next_page_token
        if not token:
            break
    assert found == names
    everything = await served.stub.ListArtifacts(pb.ListArtifactsRequest(parent=PARENT))
    assert {artifact.kind for artifact in everything.artifacts} == {"seeds", "file"}
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await served.stub.ListArtifacts(pb.ListArtifactsRequest(parent=PARENT, page_token="bogus"))
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_garbage_is_what_no_artifact_names_once_it_is_old_enough(served: Served) -> None:
    seeds = await served.seeds(lines(5))
    left = await served.store.put("default", b"nobody names this")

    async def collect(grace: timedelta | None) -> pb.CollectGarbageResponse:
        message = Duration()
        if grace is not None:
            message.FromTimedelta(grace)
        asked = pb.CollectGarbageRequest(parent=PARENT, grace=message if grace is not None else None)
        return await served.stub.CollectGarbage(asked)

    assert (await collect(None)).blobs == 0
    collected = await collect(timedelta(0))
    assert (collected.blobs, collected.bytes, collected.complete) == (1, left.size, True)
    assert not await served.store.exists("default", left.sha256)
    assert len(await served.examples(seeds)) == 5
    assert await broken_checks(served) == []


def damage(folder: Path, sha256: str) -> None:
    """Changes the last byte of a stored blob."""
    (path,) = folder.rglob(sha256)
    path.write_bytes(path.read_bytes()[:-1] + b"!")


async def test_the_audit_finds_a_damaged_file_and_names_it(served: Served) -> None:
    run = await served.import_rows(lines(20), splits=[pb.SplitShare(kind="seeds"), pb.SplitShare(kind="held_out")])
    seeds, held_out = run.artifacts["seeds"], run.artifacts["held_out"]
    await served.make_version(sources=[source(seeds)], held_out=[held_out], budget=4)
    assert await broken_checks(served) == []
    (file,) = (await served.manifest(seeds)).files
    damage(Path(served.host.settings.artifacts), file.sha256)
    report = await served.stub.Audit(audit_pb2.AuditRequest(parent=PARENT))
    (broken,) = [finding for finding in report.findings if not finding.holds]
    assert list(broken.offenders) == [f"{seeds.split('/')[-1]}/{file.name}"]
    assert report.counts[f"{seeds.split('/')[-1]}/rows"] == 10
