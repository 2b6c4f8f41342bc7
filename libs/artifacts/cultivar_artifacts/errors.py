"""The errors of the artifact store; each message says what was wrong and what to do.

ArtifactError
├── ArtifactInvalid      a name, a digest, a row or a manifest that cannot be stored as it is
├── ArtifactMissing      nothing is stored under this digest
│   └── ArtifactErased   something was, and a tombstone says why it is gone
├── CorruptArtifact      what is stored does not have the digest that names it
├── StoreFull            no room left; nothing was stored
└── StoreUnavailable     the store cannot be reached or refuses us
    └── BucketMissing    the store answers, its bucket is not there
"""


class ArtifactError(Exception):
    """Says what went wrong with an artifact; every error of this package is one."""


class ArtifactInvalid(ArtifactError, ValueError):
    """Refuses a name, a digest, a row or a manifest; the caller has to change it."""


class ArtifactMissing(ArtifactError):
    """Says that nothing is stored under a digest."""


class ArtifactErased(ArtifactMissing):
    """Says that a manifest was erased: only its tombstone is left."""


class CorruptArtifact(ArtifactError):
    """Says that stored bytes do not have the digest that names them."""


class StoreFull(ArtifactError):
    """Says that the store has no room left; nothing of the failed write stays."""


class StoreUnavailable(ArtifactError):
    """Says that the store cannot be reached or refuses the call; trying again later may help."""


class BucketMissing(StoreUnavailable):
    """Says that the bucket of the store's address does not exist."""
