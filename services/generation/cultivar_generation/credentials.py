"""Keys that teachers name and that are never stored: where they are read from, and which may be named."""

import os
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from posixpath import normpath

from cultivar_service.errors import FailedPrecondition, InvalidArgument

REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:/.+")
# Where people sign in, an engineer must not send the service's own secrets to an address of his choice.
MEANT_FOR_TEACHERS = "env:*_API_KEY env:TEACHER_* file:/run/secrets/teachers/*"


def read_credential(reference: str) -> str:
    """Reads what `env:NAME` or `file:/PATH` names; raises FailedPrecondition where it is not there."""
    kind, _, place = reference.partition(":")
    try:
        return os.environ[place] if kind == "env" else Path(place).read_text().strip()
    except (KeyError, OSError, UnicodeDecodeError) as error:
        raise FailedPrecondition(
            f"the teacher's key is not there: set {reference} for the generation service"
        ) from error


def check_credentials(references: Iterable[str], project: str, allowed: str) -> None:
    """Raises InvalidArgument for a reference that a project's teachers may not name.

    allowed: patterns separated by blanks, `*` for anything; {project} stands for the project, and {PROJECT} for it in
    capitals with underscores. Empty allows all.
    """
    named = {"{project}": project, "{PROJECT}": project.upper().replace("-", "_")}
    patterns = [re.sub(r"\{project\}|\{PROJECT\}", lambda found: named[found[0]], one) for one in allowed.split()]
    for reference in references:
        kind, _, place = reference.partition(":")
        straight = kind == "env" or normpath(place) == place
        if patterns and not (straight and any(fnmatchcase(reference, pattern) for pattern in patterns)):
            raise InvalidArgument(
                f"a teacher may not name {reference}: give one of {', '.join(patterns)}, or let an operator add it to "
                "CULTIVAR_TEACHER_CREDENTIALS",
                field="teacher.credential",
            )
