"""What every artifact store must do; a test module inherits the class and gives it a `subject`."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cultivar_artifacts import ArtifactInvalid, ArtifactMissing, ArtifactStore, Blob, CorruptArtifact

PROJECT = "support"
CONTENT = b"four words of text" * 1000
ABSENT = "0" * 64
ODD_PROJECTS = ["", "..", "a/b", "Support", "1st", "a" * 64, "süd", "a\n", "-a", "a.b"]
ODD_DIGESTS = ["", "..", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 65, "g" * 64, "a" * 64 + "\n"]


@dataclass
class Subject:
    """A store under test, two ways around it (to damage an object, to see what is kept), and its clock's step."""

    store: ArtifactStore
    overwrite: Callable[[str, bytes], None]
    keys: Callable[[], list[str]]
    clock_step_s: float = 0.02


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def streamed(store: ArtifactStore, digest: str, offset: int = 0, chunk: int = 1 << 20) -> bytes:
    return b"".join([piece async for piece in store.stream(PROJECT, digest, offset, chunk)])


class ArtifactStoreConformance:
    """Promises that files, S3 and memory keep alike."""

    async def test_bytes_come_back_as_they_were(self, subject: Subject) -> None:
        blob = await subject.store.put(PROJECT, CONTENT)
        assert blob == Blob(sha256(CONTENT), len(CONTENT))
        assert await subject.store.read(PROJECT, blob.sha256) == CONTENT

    async def test_a_file_comes_back_as_it_was(self, subject: Subject, tmp_path: Path) -> None:
        source = tmp_path / "source"
        source.write_bytes(CONTENT * 100)
        blob = await subject.store.put(PROJECT, source)
        assert blob == Blob(sha256(CONTENT * 100), len(CONTENT) * 100)
        await subject.store.fetch(PROJECT, blob.sha256, tmp_path / "new" / "copy")
        assert (tmp_path / "new" / "copy").read_bytes() == CONTENT * 100

    async def test_empty_bytes_are_a_blob(self, subject: Subject) -> None:
        blob = await subject.store.put(PROJECT, b"")
        assert await subject.store.read(PROJECT, blob.sha256) == b""
        assert await streamed(subject.store, blob.sha256) == b""

    async def test_the_same_content_is_kept_once(self, subject: Subject, tmp_path: Path) -> None:
        source = tmp_path / "source"
        source.write_bytes(CONTENT)
        first = await subject.store.put(PROJECT, CONTENT)
        assert await subject.store.put(PROJECT, source) == first
        assert subject.keys() == [f"{PROJECT}/blobs/{first.sha256}"]

    async def test_content_put_at_once_from_many_places_is_whole(self, subject: Subject) -> None:
        blobs = await asyncio.gather(*(subject.store.put(PROJECT, CONTENT) for _ in range(8)))
        assert len(set(blobs)) == 1
        assert await subject.store.read(PROJECT, blobs[0].sha256) == CONTENT

    async def test_putting_again_makes_a_blob_young(self, subject: Subject) -> None:
        await subject.store.put(PROJECT, CONTENT)
        [before] = [found async for found in subject.store.list(PROJECT)]
        await asyncio.sleep(subject.clock_step_s)
        await subject.store.put(PROJECT, CONTENT)
        [after] = [found async for found in subject.store.list(PROJECT)]
        assert after.modified > before.modified
        assert await subject.store.read(PROJECT, after.sha256) == CONTENT

    @pytest.mark.parametrize("offset", [0, 1, 4096, len(CONTENT) - 1, len(CONTENT), len(CONTENT) + 5])
    async def test_a_stream_begins_at_its_offset(self, subject: Subject, offset: int) -> None:
        blob = await subject.store.put(PROJECT, CONTENT)
        assert await streamed(subject.store, blob.sha256, offset, chunk=4096) == CONTENT[offset:]

    async def test_a_stream_comes_in_bounded_pieces(self, subject: Subject) -> None:
        blob = await subject.store.put(PROJECT, CONTENT)
        pieces = [len(piece) async for piece in subject.store.stream(PROJECT, blob.sha256, chunk=4096)]
        assert len(pieces) > 1 and max(pieces) <= 4096

    async def test_a_stream_may_be_left_early(self, subject: Subject) -> None:
        blob = await subject.store.put(PROJECT, CONTENT)
        for _ in range(20):  # more often than an S3 client has connections
            async with aclosing(subject.store.stream(PROJECT, blob.sha256, chunk=1024)) as pieces:  # type: ignore[type-var]
                assert await anext(pieces) == CONTENT[:1024]
        assert await subject.store.read(PROJECT, blob.sha256) == CONTENT

    @pytest.mark.parametrize(("offset", "chunk"), [(-1, 10), (0, 0), (0, -5)])
    async def test_a_stream_refuses_an_impossible_range(self, subject: Subject, offset: int, chunk: int) -> None:
        with pytest.raises(ArtifactInvalid, match="offset"):
            subject.store.stream(PROJECT, ABSENT, offset, chunk)

    @pytest.mark.parametrize("damage", [b"", CONTENT[:-1], CONTENT + b"!", b"!" + CONTENT[1:]])
    async def test_damage_is_noticed_at_every_read(self, subject: Subject, tmp_path: Path, damage: bytes) -> None:
        digest = (await subject.store.put(PROJECT, CONTENT)).sha256
        subject.overwrite(f"{PROJECT}/blobs/{digest}", damage)
        with pytest.raises(CorruptArtifact, match=digest):
            await subject.store.read(PROJECT, digest)
        with pytest.raises(CorruptArtifact, match=digest):
            await streamed(subject.store, digest, offset=len(CONTENT) - 10)
        with pytest.raises(CorruptArtifact, match=digest):
            await subject.store.fetch(PROJECT, digest, tmp_path / "copy")
        with pytest.raises(CorruptArtifact, match=digest):
            await subject.store.local(PROJECT, digest, tmp_path / "cache")
        assert files_in(tmp_path) == []

    async def test_a_damaged_blob_is_never_given_whole(self, subject: Subject) -> None:
        digest = (await subject.store.put(PROJECT, CONTENT)).sha256
        subject.overwrite(f"{PROJECT}/blobs/{digest}", b"!" + CONTENT[1:])
        given = b""
        with pytest.raises(CorruptArtifact):
            async for piece in subject.store.stream(PROJECT, digest, chunk=4096):
                given += piece
        assert len(given) < len(CONTENT)

    async def test_putting_again_mends_a_blob_of_the_wrong_size(self, subject: Subject) -> None:
        digest = (await subject.store.put(PROJECT, CONTENT)).sha256
        subject.overwrite(f"{PROJECT}/blobs/{digest}", CONTENT[:100])
        await subject.store.put(PROJECT, CONTENT)
        assert await subject.store.read(PROJECT, digest) == CONTENT

    async def test_what_is_not_there_is_missing(self, subject: Subject, tmp_path: Path) -> None:
        await subject.store.put(PROJECT, CONTENT)
        for call in (
            subject.store.read(PROJECT, ABSENT),
            streamed(subject.store, ABSENT),
            subject.store.fetch(PROJECT, ABSENT, tmp_path / "copy"),
            subject.store.local(PROJECT, ABSENT, tmp_path / "cache"),
            subject.store.read_document(PROJECT, ABSENT),
        ):
            with pytest.raises(ArtifactMissing, match=ABSENT):
                await call
        assert not await subject.store.exists(PROJECT, ABSENT)
        assert not (tmp_path / "copy").exists()

    async def test_another_projects_blob_is_missing(self, subject: Subject) -> None:
        digest = (await subject.store.put(PROJECT, CONTENT)).sha256
        assert await subject.store.exists(PROJECT, digest)
        assert not await subject.store.exists("support-2", digest)
        with pytest.raises(ArtifactMissing):
            await subject.store.read("support-2", digest)

    async def test_a_listing_has_the_projects_blobs_only(self, subject: Subject) -> None:
        mine = {await subject.store.put(PROJECT, b"%d" % number) for number in range(5)}
        await subject.store.put("support-2", b"other")
        await subject.store.put("sup", b"other")
        await subject.store.put_document(PROJECT, ABSENT, b"{}")
        found = [stored async for stored in subject.store.list(PROJECT)]
        assert {Blob(stored.sha256, stored.size) for stored in found} == mine
        assert all(abs(datetime.now(UTC) - stored.modified) < timedelta(minutes=1) for stored in found)
        assert [stored async for stored in subject.store.list("nothing-yet")] == []

    async def test_strange_objects_are_passed_over(self, subject: Subject) -> None:
        blob = await subject.store.put(PROJECT, CONTENT)
        subject.overwrite(f"{PROJECT}/blobs/notes.txt", b"not ours")
        assert [stored.sha256 async for stored in subject.store.list(PROJECT)] == [blob.sha256]

    async def test_a_deleted_blob_is_gone_and_deleting_again_is_no_error(self, subject: Subject) -> None:
        digest = (await subject.store.put(PROJECT, CONTENT)).sha256
        await subject.store.delete(PROJECT, digest)
        await subject.store.delete(PROJECT, digest)
        assert not await subject.store.exists(PROJECT, digest)
        assert subject.keys() == []

    async def test_a_document_is_kept_beside_the_blobs(self, subject: Subject) -> None:
        await subject.store.put_document(PROJECT, ABSENT, b'{"rows":1}')
        await subject.store.put_document(PROJECT, ABSENT, b'{"rows":2}')
        assert await subject.store.read_document(PROJECT, ABSENT) == b'{"rows":2}'
        assert subject.keys() == [f"{PROJECT}/manifests/{ABSENT}.json"]
        assert [(found.sha256, found.size) async for found in subject.store.list_documents(PROJECT)] == [(ABSENT, 10)]
        await subject.store.delete_document(PROJECT, ABSENT)
        await subject.store.delete_document(PROJECT, ABSENT)
        assert subject.keys() == []

    async def test_an_alias_is_replaced_and_lies_apart_from_what_is_collected(self, subject: Subject) -> None:
        with pytest.raises(ArtifactMissing):
            await subject.store.read_alias(PROJECT, "champion")
        await subject.store.put_alias(PROJECT, "champion", b"first")
        await subject.store.put_alias(PROJECT, "champion", b"second")
        assert await subject.store.read_alias(PROJECT, "champion") == b"second"
        assert subject.keys() == [f"{PROJECT}/aliases/champion.json"]
        assert [found async for found in subject.store.list(PROJECT)] == []
        assert [found async for found in subject.store.list_documents(PROJECT)] == []

    @pytest.mark.parametrize("alias", ["", "..", "a/b", "Champion", "1st", "a" * 64, "a\n"])
    async def test_an_odd_alias_is_refused(self, subject: Subject, alias: str) -> None:
        for call in (subject.store.put_alias(PROJECT, alias, b"{}"), subject.store.read_alias(PROJECT, alias)):
            with pytest.raises(ArtifactInvalid, match="is not an alias"):
                await call
        assert subject.keys() == []

    async def test_a_local_file_holds_the_blob_and_a_damaged_copy_is_fetched_anew(
        self, subject: Subject, tmp_path: Path
    ) -> None:
        digest = (await subject.store.put(PROJECT, CONTENT)).sha256
        path = await subject.store.local(PROJECT, digest, tmp_path)
        assert path.read_bytes() == CONTENT
        for copy in files_in(tmp_path):
            copy.write_bytes(b"damaged")
        assert (await subject.store.local(PROJECT, digest, tmp_path)).read_bytes() == CONTENT

    async def test_a_source_that_changes_while_it_is_read_is_refused(
        self, subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = tmp_path / "source"
        source.write_bytes(CONTENT)
        measured = Blob(sha256(CONTENT), len(CONTENT))
        monkeypatch.setattr("cultivar_artifacts.checked.measure", lambda _: measured)
        for changed in (b"!" + CONTENT[1:], CONTENT[:-1], b""):
            source.write_bytes(changed)
            with pytest.raises(CorruptArtifact, match="changed while"):
                await subject.store.put(PROJECT, source)
        assert subject.keys() == []

    @pytest.mark.parametrize("project", ODD_PROJECTS)
    async def test_an_odd_project_is_refused_by_every_call(
        self, subject: Subject, tmp_path: Path, project: str
    ) -> None:
        store = subject.store
        for call in _every_call(store, project, ABSENT, tmp_path):
            with pytest.raises(ArtifactInvalid, match="is not a project"):
                await call()
        assert subject.keys() == []

    @pytest.mark.parametrize("digest", ODD_DIGESTS)
    async def test_an_odd_digest_is_refused_by_every_call(self, subject: Subject, tmp_path: Path, digest: str) -> None:
        without_digest = 5
        for call in _every_call(subject.store, PROJECT, digest, tmp_path)[without_digest:]:
            with pytest.raises(ArtifactInvalid, match="is not a digest"):
                await call()
        assert subject.keys() == []


def _every_call(store: ArtifactStore, project: str, digest: str, folder: Path) -> list[Callable[[], Awaitable[object]]]:
    async def first(listing: Callable[[], AsyncIterator[object]]) -> None:
        async for _ in listing():
            return

    return [
        lambda: store.put(project, CONTENT),
        lambda: first(lambda: store.list(project)),
        lambda: first(lambda: store.list_documents(project)),
        lambda: store.put_alias(project, "champion", b"{}"),
        lambda: store.read_alias(project, "champion"),
        lambda: store.read(project, digest),
        lambda: first(lambda: store.stream(project, digest)),
        lambda: store.fetch(project, digest, folder / "copy"),
        lambda: store.local(project, digest, folder),
        lambda: store.exists(project, digest),
        lambda: store.delete(project, digest),
        lambda: store.put_document(project, digest, b"{}"),
        lambda: store.read_document(project, digest),
        lambda: store.delete_document(project, digest),
    ]
