"""Knows what aliases name, from the objects that the training service writes beside the adapters."""

import asyncio
import time
from collections.abc import Callable

from cultivar_artifacts.aliases import Alias, load_alias
from cultivar_artifacts.errors import ArtifactError, ArtifactInvalid, ArtifactMissing, StoreUnavailable
from cultivar_artifacts.store import ArtifactStore

from cultivar_generation.teachers.errors import BadRequest, StoreDown, UnknownModel


class AliasBook:
    """Looks up aliases and remembers each for `seconds`: so long may an answer come from what was promoted before.

    open_store: opens the artifact store at the first use. text_model: the base model that adapters here are for.
    """

    def __init__(
        self,
        open_store: Callable[[], ArtifactStore | None],
        text_model: str,
        seconds: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open_store = open_store
        self._text_model = text_model
        self._seconds = seconds
        self._clock = clock
        self._known: dict[str, tuple[float, Alias]] = {}
        self._one_at_a_time = asyncio.Lock()

    async def digest(self, project: str, alias: str) -> str:
        """Gives the digest of the adapter that an alias names now.

        Raises `UnknownModel`, `BadRequest` for an alias that cannot be used, and `StoreDown`: an answer from an adapter
        that is perhaps no longer the alias's would be wrong without saying so.
        """
        name = f"{project}/{alias}"
        found = self._fresh(name)
        if found is None:
            async with self._one_at_a_time:
                found = self._fresh(name) or await self._read(project, alias)
        if found.base_model != self._text_model:
            raise UnknownModel(
                f"the alias {name} names an adapter for {found.base_model}, and {self._text_model} is served here: set "
                "CULTIVAR_TEACHERS_MODEL, or CULTIVAR_TEACHERS_MODEL_NAME, to the adapter's base model"
            )
        return found.adapter

    def _fresh(self, name: str) -> Alias | None:
        read, found = self._known.get(name, (-self._seconds, None))
        return found if self._clock() - read < self._seconds else None

    async def _read(self, project: str, alias: str) -> Alias:
        name = f"{project}/{alias}"
        self._known.pop(name, None)
        # What is read is as old as the beginning of the reading.
        began = self._clock()
        store = self._open_store()
        if store is None:
            raise UnknownModel("no aliases are served here: set CULTIVAR_ARTIFACTS to the artifact store's address")
        try:
            found = await load_alias(store, project, alias)
        except (ArtifactMissing, ArtifactInvalid) as error:
            raise UnknownModel(
                f"there is no model and no alias {name}: /v1/models lists models, `cultivar adapter list` aliases"
            ) from error
        except (StoreUnavailable, OSError) as error:
            raise StoreDown() from error
        except ArtifactError as error:
            raise BadRequest(f"the alias {name} cannot be read: {error}", "alias_invalid", "model") from error
        self._known[name] = (began, found)
        return found
