"""The services that one process can mount, by name. To add one, add its row."""

from cultivar_campaigns.__main__ import MIGRATIONS as CAMPAIGNS
from cultivar_campaigns.__main__ import build as campaigns
from cultivar_console.__main__ import MIGRATIONS as CONSOLE
from cultivar_console.__main__ import build as console
from cultivar_datasets.__main__ import MIGRATIONS as DATASETS
from cultivar_datasets.__main__ import build as datasets
from cultivar_evaluation.__main__ import build as evaluation
from cultivar_filtering.__main__ import build as filtering
from cultivar_generation.__main__ import MIGRATIONS as GENERATION
from cultivar_generation.__main__ import build as generation
from cultivar_identity.__main__ import MIGRATIONS as IDENTITY
from cultivar_identity.__main__ import build as identity
from cultivar_review.__main__ import MIGRATIONS as REVIEW
from cultivar_review.__main__ import build as review
from cultivar_service.errors import StartError
from cultivar_service.migration import Schemas
from cultivar_service.parts import Build
from cultivar_training.__main__ import MIGRATIONS as TRAINING
from cultivar_training.__main__ import build as training

BUILDS: dict[str, Build] = {
    "campaigns": campaigns,
    "console": console,
    "datasets": datasets,
    "evaluation": evaluation,
    "filtering": filtering,
    "generation": generation,
    "identity": identity,
    "review": review,
    "training": training,
}

SCHEMAS: Schemas = {
    "campaigns": (CAMPAIGNS,),
    "console": (CONSOLE,),
    "datasets": (DATASETS,),
    "evaluation": (),
    "filtering": (),
    "generation": (GENERATION,),
    "identity": (IDENTITY,),
    "review": (REVIEW,),
    "training": (TRAINING,),
}
"""The schema of each service that has one, with the migrations of its own tables."""


def chosen(only: str) -> list[Build]:
    """Returns the services of a comma-separated list, all for the empty one; raises StartError for an unknown name."""
    names = [name.strip() for name in only.split(",") if name.strip()] or list(BUILDS)
    unknown = [name for name in names if name not in BUILDS]
    if unknown:
        raise StartError(f"there is no service {unknown[0]!r}: --only takes {', '.join(BUILDS)}")
    return [BUILDS[name] for name in names]
