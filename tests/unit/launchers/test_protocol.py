"""A program is checked where it is described."""

from typing import Any

import pytest
from cultivar_launchers import InvalidProgram, Program


@pytest.mark.parametrize("wrong", [{"name": ""}, {"module": "os; rm"}, {"attempt": 0}, {"cpus": 0}])
def test_a_program_that_is_described_wrongly_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidProgram):
        Program(**{"name": "a", "module": "b.c", **wrong})
