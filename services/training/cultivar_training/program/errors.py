"""The errors of the program."""

REFUSED = 2
"""Exit status: the rows or the settings cannot be trained with; another attempt would end the same."""
FAILED = 1
"""Exit status: the training raised an error; another attempt would meet it again."""
LOST = 75
"""Exit status: a worker or Ray was lost; another attempt may end well."""


class Refused(Exception):
    """Says why the rows or settings cannot be trained with, and what to do."""
