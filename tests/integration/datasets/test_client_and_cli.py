"""The client's transfers and the commands, over real gRPC."""

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from cultivar.client import Client
from cultivar.connection import Connection
from cultivar.datasets.v1 import datasets_pb2 as pb
from cultivar.files import CHUNK, digest_of, download, upload

from tests.integration.datasets.conftest import PARENT, Served, lines, source
from tests.terminal import Terminal


def client_of(served: Served) -> Client:
    return Client(Connection(served.host.listening.address, served.host.token))


async def test_a_file_goes_up_and_comes_down_and_progress_ends_at_its_size(served: Served, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(os.urandom(3 * CHUNK + 17))
    told: list[tuple[int, int]] = []
    with client_of(served) as client:
        name = await asyncio.to_thread(upload, client, path, lambda *both: told.append(both))
        assert name == f"{PARENT}/files/{digest_of(path)}"
        assert told[-1] == (path.stat().st_size, path.stat().st_size) and len(told) == 4
        assert await asyncio.to_thread(upload, client, path) == name
        file = await served.stub.GetFile(pb.GetFileRequest(name=name))
        target = await asyncio.to_thread(download, client, file.artifact, "data", tmp_path / "down")
    assert target.read_bytes() == path.read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["artifacts", "down", "rows.jsonl", "spool", "token"]


async def test_an_upload_goes_on_where_the_server_stopped(served: Served, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(os.urandom(3 * CHUNK))
    (served.spool / f"default-{digest_of(path)}.part").write_bytes(path.read_bytes()[: 2 * CHUNK])
    told: list[int] = []
    with client_of(served) as client:
        await asyncio.to_thread(upload, client, path, lambda done, _: told.append(done))
    assert told == [3 * CHUNK]


async def test_an_upload_begins_again_at_a_replica_that_has_received_nothing(serve: Any, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(os.urandom(3 * CHUNK))
    first, second = await serve(), await serve(datasets_spool=tmp_path / "another")
    (first.spool / f"default-{digest_of(path)}.part").write_bytes(path.read_bytes()[:CHUNK])
    with client_of(first) as client, client_of(second) as other:
        client.datasets = SimpleNamespace(GetUpload=client.datasets.GetUpload, UploadFile=other.datasets.UploadFile)
        name = await asyncio.to_thread(upload, client, path)
    assert name == f"{PARENT}/files/{digest_of(path)}"


async def test_a_download_goes_on_from_what_is_there_and_damage_is_fetched_again(
    served: Served, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(os.urandom(2 * CHUNK))
    with client_of(served) as client:
        name = await asyncio.to_thread(upload, client, path)
        artifact = (await served.stub.GetFile(pb.GetFileRequest(name=name))).artifact
        part = tmp_path / f"down.{artifact[-12:]}.part"
        part.write_bytes(path.read_bytes()[:CHUNK])
        told: list[int] = []
        await asyncio.to_thread(download, client, artifact, "", tmp_path / "down", lambda done, _: told.append(done))
        assert told == [2 * CHUNK]
        (tmp_path / "down").unlink()
        part.write_bytes(b"x" * CHUNK)
        with pytest.raises(Exception, match="fetch it again"):
            await asyncio.to_thread(download, client, artifact, "", tmp_path / "down")
        assert not (tmp_path / "down").exists()
        await asyncio.to_thread(download, client, artifact, "", tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == path.read_bytes()


async def test_a_refusal_is_not_tried_again(served: Served, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    with client_of(served) as client, pytest.raises(grpc.RpcError, match="empty file cannot be uploaded"):
        await asyncio.to_thread(upload, client, empty)


async def test_pull_fetches_a_version_once_and_list_shows_it(
    served: Served, tmp_path: Path, terminal: Terminal
) -> None:
    terminal.at(served.host)
    seeds = await served.seeds(lines(12))
    await served.make_version(sources=[source(seeds)])
    version = await served.make_version(sources=[source(seeds)], budget=4)
    listed = await terminal("dataset", "list")
    assert "support@1" in listed.output and "support@2" in listed.output and "succeeded" in listed.output
    pulled = await terminal("dataset", "pull", "support", "-o", str(tmp_path / "out"))
    assert pulled.exit_code == 0 and "support@2: 4 examples" in pulled.output
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == ["README.md", "chat.jsonl", "dataset-00000.parquet"]
    assert (tmp_path / "out" / "README.md").read_text() == version.card
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    await terminal("dataset", "pull", "support@2", "-o", str(tmp_path / "out"))
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == times


async def test_what_goes_wrong_in_a_command_is_one_sentence(served: Served, terminal: Terminal) -> None:
    terminal.at(served.host)
    absent = await terminal("dataset", "pull", "nothing")
    assert absent.exit_code == 1
    assert absent.output.startswith("cultivar: ") and "ListDatasetVersions gives those that do" in absent.output
    collected = await terminal("gc")
    assert (collected.exit_code, collected.output) == (0, "removed 0 files (0 bytes) and 0 manifests\n")
