"""Files in and out: an upload lies in the spool until it is whole and checked, and only then goes to the store."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from cultivar_artifacts import ArtifactStore, File, Manifest, StoreFull
from cultivar_artifacts.store import is_digest
from cultivar_artifacts.tables import commit_manifest
from cultivar_records import file_digest
from cultivar_service.database import Database
from cultivar_service.errors import InvalidArgument
from cultivar_service.principal import Principal

from cultivar_datasets import store as tables
from cultivar_datasets.errors import DigestDiffers, FileTooLarge, UploadBroken
from cultivar_datasets.spool import Draft, Spool

FILE = "file"
DATA = "data"
MOST_CHUNK = 4 << 20


@dataclass(frozen=True)
class Announced:
    """What the first message of an upload says of the whole file."""

    sha256: str
    size: int
    offset: int
    file_name: str

    def check(self, most: int) -> None:
        """Raises InvalidArgument for what cannot be a file, FileTooLarge for one over `most` bytes."""
        if self.sha256 and not is_digest(self.sha256):
            raise InvalidArgument("sha256 must be 64 lower-case hexadecimal digits, or empty", field="sha256")
        if self.size < 1:
            raise InvalidArgument(f"size is {self.size}: an empty file cannot be uploaded", field="size")
        if self.size > most:
            raise FileTooLarge(self.size, most)
        if not 0 <= self.offset <= self.size:
            raise InvalidArgument(f"offset must be 0 to the size {self.size}, got {self.offset}", field="offset")
        if len(self.file_name) > 255:
            raise InvalidArgument(f"file_name has {len(self.file_name)} characters, 255 at most", field="file_name")


class Files:
    """The files of all projects."""

    def __init__(self, database: Database, store: ArtifactStore, spool: Spool, most_bytes: int) -> None:
        self._database = database
        self._store = store
        self._spool = spool
        self._most_bytes = most_bytes

    async def find(self, project: str, sha256: str) -> tables.FileRow | None:
        """Returns a file that is whole and stored; None where it is not."""
        async with self._database.begin() as connection:
            return await tables.find_file(connection, project, sha256)

    async def received(self, project: str, sha256: str) -> int:
        """Returns how many bytes of an upload are in the spool."""
        if not is_digest(sha256):
            raise InvalidArgument("name must be projects/PROJECT/uploads/SHA256", field="name")
        return await asyncio.to_thread(self._spool.received, project, sha256)

    async def receive(
        self, principal: Principal, project: str, announced: Announced, chunks: AsyncIterator[bytes]
    ) -> tables.FileRow:
        """Takes a file in; raises UploadBroken, UploadBusy, DigestDiffers, StoreFull and what `check` raises."""
        announced.check(self._most_bytes)
        known = await self.find(project, announced.sha256) if announced.sha256 else None
        if known is not None:
            return known
        draft = await asyncio.to_thread(self._spool.open, project, announced.sha256, announced.offset)
        with draft:
            try:
                await fill(draft, announced, chunks)
                file = await self._keep(principal, project, announced, draft)
            except (InvalidArgument, StoreFull):
                # What was received is wrong, or takes room that is needed: it is no start for another call.
                draft.keep = False
                raise
            draft.keep = False
            return file

    async def _keep(self, principal: Principal, project: str, announced: Announced, draft: Draft) -> tables.FileRow:
        sha256 = await asyncio.to_thread(file_digest, draft.path)
        if announced.sha256 and sha256 != announced.sha256:
            raise DigestDiffers(announced.sha256, sha256)
        blob = await self._store.put(project, draft.path)
        manifest = file_manifest(project, blob.sha256, blob.size)
        async with self._database.begin() as connection:
            await commit_manifest(connection, self._store, manifest)
            return await tables.add_file(
                connection, principal, project, blob.sha256, blob.size, announced.file_name, manifest.digest
            )

    async def send(self, project: str, file: File, offset: int) -> AsyncIterator[bytes]:
        """Yields the bytes of a stored file from an offset on; the last only once its digest was checked."""
        if not 0 <= offset <= file.size:
            raise InvalidArgument(f"offset must be 0 to the size {file.size}, got {offset}", field="offset")
        async for piece in self._store.stream(project, file.sha256, offset):
            yield piece


async def fill(draft: Draft, announced: Announced, chunks: AsyncIterator[bytes]) -> None:
    """Writes what is sent to the draft; raises UploadBroken for too little, InvalidArgument for too much."""
    async for chunk in chunks:
        if len(chunk) > MOST_CHUNK:
            raise InvalidArgument(f"chunk has {len(chunk)} bytes, {MOST_CHUNK} at most", field="chunk")
        if draft.received + len(chunk) > announced.size:
            raise InvalidArgument(f"more than the announced {announced.size} bytes were sent", field="size")
        if chunk:
            await asyncio.to_thread(draft.write, chunk)
    await asyncio.to_thread(draft.flush)
    if draft.received < announced.size:
        again = f"go on from byte {draft.received}" if announced.sha256 else "send it again, with its sha256 to go on"
        raise UploadBroken(f"the stream ended after {draft.received} of {announced.size} bytes: {again}")


def file_manifest(project: str, sha256: str, size: int) -> Manifest:
    """Returns the manifest that keeps an uploaded file; the same bytes always have the same one."""
    return Manifest(project=project, kind=FILE, files=(File(name=DATA, sha256=sha256, size=size),))


def pick_file(manifest: Manifest, name: str) -> File:
    """Returns a file of an artifact by name, or its only one for the empty name; raises InvalidArgument."""
    names = [file.name for file in manifest.files]
    if not name and len(names) == 1:
        return manifest.files[0]
    found = next((file for file in manifest.files if file.name == name), None)
    if found is None:
        listed = ", ".join(names[:10]) or "none"
        raise InvalidArgument(f"the artifact has no file {name[:80]!r}: its files are {listed}", field="file")
    return found
