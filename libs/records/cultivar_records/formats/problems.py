"""What can be wrong with a file, and with one row of it.

ValueError
  UnreadableFile   the whole file is of no use: its format or its columns are unknown, or it is damaged
  RowProblem       one row is of no use; the reader turns it into a BadRow and goes on
"""

from dataclasses import dataclass


class UnreadableFile(ValueError):
    """Says why no row of a file can be read, and what to do."""


class RowProblem(ValueError):
    """Says why one row cannot be read, and what to do."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """Reports a row that was left out: its line, from 1 (in Parquet: its row), and the reason in a sentence.

    The reason names fields and known labels, never the row's own text.
    """

    line: int
    reason: str
