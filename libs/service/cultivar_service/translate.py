"""One place where the errors of libraries become errors that a caller understands."""

from cultivar_artifacts import ArtifactMissing, CorruptArtifact, StoreFull, StoreUnavailable
from cultivar_models import ModelAnswerInvalid, ModelRejected, ModelUnavailable
from cultivar_records import first_wrong
from psycopg import DataError
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError

from cultivar_service.errors import (
    CultivarError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unavailable,
)

KNOWN: dict[type[Exception], type[CultivarError]] = {
    ArtifactMissing: NotFound,
    CorruptArtifact: FailedPrecondition,
    StoreFull: ResourceExhausted,
    StoreUnavailable: Unavailable,
    ModelUnavailable: Unavailable,
    ModelRejected: FailedPrecondition,
    ModelAnswerInvalid: FailedPrecondition,
}


def translate(error: Exception) -> CultivarError:
    """Returns the error that a caller is shown; what is not known becomes an internal error without its text."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, CultivarError):
        return error
    if isinstance(error, ValidationError):
        return invalid(error)
    if isinstance(error, DBAPIError) and isinstance(error.orig, DataError) and "NUL" in str(error.orig):
        return InvalidArgument("a text of the request holds the character NUL, which cannot be kept: leave it out")
    for kind, known in KNOWN.items():
        if isinstance(error, kind):
            return known(str(error))
    return CultivarError(f"an internal error ({type(error).__name__}): the service's log has the rest")


def invalid(error: ValidationError, prefix: str = "") -> InvalidArgument:
    """Returns what pydantic found wrong first, with the path of the field."""
    where, reason = first_wrong(error)
    path = ".".join(part for part in (prefix, where) if part)
    return InvalidArgument(f"{path}: {reason}" if path else reason, field=path)
