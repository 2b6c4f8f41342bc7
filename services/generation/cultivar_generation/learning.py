"""Takes down what became of candidates, once for each artifact that says so."""

from collections.abc import Iterator, Mapping, Sequence

from cultivar_artifacts import ArtifactStore, Manifest
from cultivar_artifacts.tables import Committed, find_manifest
from cultivar_service.artifacts import open_artifact
from cultivar_service.database import Database
from cultivar_service.principal import Principal

from cultivar_generation.errors import OutcomesUnusable
from cultivar_generation.outcomes import PromptOutcome, put_outcomes
from cultivar_generation.store import find_prompt
from cultivar_generation.tallying import Tally, source_of, tally
from cultivar_generation.yields import most_common


class Learner:
    """Reads verdicts and reviews, and keeps what they say of prompts."""

    def __init__(self, database: Database, store: ArtifactStore) -> None:
        self._database = database
        self._store = store

    async def learn(self, principal: Principal, project: str, artifact: str) -> Sequence[PromptOutcome]:
        """Returns what an artifact says of each prompt version, and keeps it; the same artifact again adds nothing.

        It reads all rows, and the examples that they speak of: some ten seconds of a core for a million. Raises
        OutcomesUnusable for an artifact of another kind, and NotFound where there is none.
        """
        manifest = await open_artifact(self._store, project, artifact, "artifact")
        source_of(manifest)
        tallies = await tally(self._store, manifest)
        async with self._database.begin() as connection:
            committed = await find_manifest(connection, project, manifest.digest)
            if committed is None:
                raise OutcomesUnusable(f"{artifact} is not committed: name it once the run that makes it has ended")
            # Examples may come from elsewhere, with the names of prompts that the project never had.
            known = {
                name: told
                for name, told in tallies.items()
                if "@" in name and await find_prompt(connection, project, name) is not None
            }
            found = list(outcomes_of(manifest, committed, known))
            await put_outcomes(connection, principal, project, found)
        return found


def outcomes_of(manifest: Manifest, committed: Committed, tallies: Mapping[str, Tally]) -> Iterator[PromptOutcome]:
    """Yields what an artifact says of each prompt version, by name."""
    for versioned, told in sorted(tallies.items()):
        name, _, version = versioned.rpartition("@")
        yield PromptOutcome(
            name=name,
            version=int(version),
            artifact=manifest.digest,
            source=source_of(manifest),
            counts=dict(told.counts),
            reasons=most_common(told.reasons),
            scores=dict(told.scores),
            time=committed.committed_at,
        )
