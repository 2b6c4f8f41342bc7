"""The card of a version."""

from cultivar_datasets.card import write_card
from cultivar_datasets.selection import Selection
from cultivar_datasets.specs import Source, VersionSpec

COUNTS = {"selected": 3, "not_selected": 1, "leaked": 2, "repeated": 0}


def card(label: str, description: str = "") -> str:
    source = Source(artifact="1" * 64, role="real")
    spec = VersionSpec(dataset="support", sources=(source,), selector="random", params={}, description=description)
    return write_card("p", spec, 4, Selection({}, {"real": 3}, {label: 3}, {0: 3}), COUNTS)


def test_the_card_says_what_is_in_the_version_and_what_is_not() -> None:
    text = card("refund", "For the spring.")
    assert "# support, version 4\n\nFor the spring.\n\n3 examples." in text
    assert "| refund | 3 |" in text
    assert f"| projects/p/artifacts/{'1' * 64} | 3 |" in text
    assert "2 were left out because they leak" in text


def test_a_label_cannot_leave_its_cell() -> None:
    assert "| a\\|b c &lt;script> | 3 |" in card("a|b\nc <script>")
