"""What the benchmarks say is what was measured."""

from benchmarks import table
from benchmarks.__main__ import COMPARISONS
from benchmarks.comparison import read_results


def test_the_table_is_made_from_the_results() -> None:
    assert table.written() == table.render(read_results())


def test_each_comparison_was_measured() -> None:
    assert set(read_results()) == {*(comparison.name for comparison in COMPARISONS), "memory"}
