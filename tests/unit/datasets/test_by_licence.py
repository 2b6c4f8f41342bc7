"""What a version says of licences that was made before any was kept."""

from typing import Any

import pytest
from cultivar_datasets.codec import by_licence


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ({"by_role": {"real": 5, "synthetic": 3, "replay": 2}}, {"unstated": 3}),
        ({"by_role": {"real": 5}}, {}),
        ({}, {}),
        ({"by_role": {"real": 5, "synthetic": 3}, "by_licence": {"MIT": 3}}, {"MIT": 3}),
    ],
)
def test_what_teachers_wrote_before_licences_were_kept_is_unstated(
    result: dict[str, Any], told: dict[str, int]
) -> None:
    assert dict(by_licence(result)) == told
