"""What the audit checks: every digest recomputed, every parent there, nothing held out in a version."""

import asyncio
from collections.abc import Sequence

from cultivar_artifacts import ArtifactError, ArtifactStore, Manifest, load_manifest, verify
from cultivar_artifacts.tables import Committed, list_manifests
from cultivar_service.audit import Finding, audit_runs
from cultivar_service.database import Database
from cultivar_service.runs import SUCCEEDED

from cultivar_datasets import store as tables
from cultivar_datasets.leaks import HeldOut
from cultivar_datasets.sources import example_shards
from cultivar_datasets.specs import VersionSpec

PAGE = 500


class Checks:
    """The audit of one project."""

    def __init__(self, database: Database, store: ArtifactStore) -> None:
        self._database = database
        self._store = store

    async def audit(self, project: str) -> tuple[list[Finding], dict[str, int]]:
        """Returns what was found, and the rows of every artifact by digest."""
        rows = await self._rows(project)
        findings = [
            *await audit_runs(self._database, project),
            await self._digests(project, rows),
            await self._parents(project, rows),
            await self._files(project, rows),
            await self._leaks(project),
        ]
        return findings, {f"{row.digest}/rows": row.rows for row in rows}

    async def _rows(self, project: str) -> list[Committed]:
        rows: list[Committed] = []
        async with self._database.begin() as connection:
            while page := await list_manifests(connection, project, before=rows[-1] if rows else None, limit=PAGE):
                rows += page
        return rows

    async def _digests(self, project: str, rows: Sequence[Committed]) -> Finding:
        wrong = []
        for row in rows:
            try:
                problems = await verify(self._store, await load_manifest(self._store, project, row.digest))
            except ArtifactError:
                wrong.append(f"{row.digest}/manifest.json")
                continue
            wrong += [f"{row.digest}/{problem.file}" for problem in problems]
        return Finding("every digest of every artifact can be recomputed from what is stored", len(rows), wrong)

    async def _parents(self, project: str, rows: Sequence[Committed]) -> Finding:
        async with self._database.begin() as connection:
            known = await tables.known_digests(connection, project)
        orphans = [row.digest for row in rows if not known.issuperset(row.parents)]
        return Finding("every parent of an artifact exists or has a tombstone", len(rows), orphans)

    async def _files(self, project: str, rows: Sequence[Committed]) -> Finding:
        kept = {row.digest for row in rows}
        async with self._database.begin() as connection:
            known = await tables.known_digests(connection, project)
            files = await tables.list_files(connection, project)
        # A file whose artifact is known but not kept was erased, which is a person's will.
        lost = [file.sha256 for file in files if file.artifact not in kept and file.artifact not in known]
        return Finding("every file that was uploaded has its artifact", len(files), lost)

    async def _leaks(self, project: str) -> Finding:
        checked, leaking = 0, []
        async with self._database.begin() as connection:
            versions = await tables.all_versions(connection, project)
        for version in versions:
            spec = VersionSpec.model_validate(version.run.spec)
            if version.run.state != SUCCEEDED or not spec.held_out:
                continue
            checked += 1
            if await self._leaks_in(project, spec, version.run.result["artifact"]):
                leaking.append(f"projects/{project}/datasets/{version.dataset}/versions/{version.number}")
        return Finding("no dataset version holds what leaks from its held-out artifacts", checked, leaking)

    async def _leaks_in(self, project: str, spec: VersionSpec, digest: str) -> bool:
        try:
            held_out = await HeldOut.read(self._store, project, spec.held_out)
            manifest: Manifest = await load_manifest(self._store, project, digest)
            async for examples in example_shards(self._store, manifest):
                if len(await asyncio.to_thread(held_out.without_leaks, examples)) < len(examples):
                    return True
        except ArtifactError:
            # What cannot be read is reported by its digest, or was erased since.
            return False
        return False
