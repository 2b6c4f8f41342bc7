"""The errors of the program."""

from collections.abc import Iterator
from contextlib import contextmanager

REFUSED = 2
"""Exit status: the rows or the settings cannot be trained with; another attempt would end the same."""
FAILED = 1
"""Exit status: the training raised an error; another attempt would meet it again."""
LOST = 75
"""Exit status: a worker or Ray was lost; another attempt may end well."""


class Refused(Exception):
    """Says why the rows or settings cannot be trained with, and what to do."""


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turns what a full or broken disk does to a write into a sentence; safetensors has an error of its own for it."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        raise Refused(
            f"the folder of training cannot be written ({type(error).__name__}): make room there, or set another one "
            "with CULTIVAR_TRAINING_FOLDER"
        ) from error
