"""Guidelines as HTML."""

from html.parser import HTMLParser

from cultivar_console.rendering import markdown
from hypothesis import given
from hypothesis import strategies as st

ALLOWED = {
    *("h3", "h4", "h5", "h6", "p", "ul", "ol", "li", "strong", "em", "code", "pre", "blockquote", "a", "hr", "br"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}


class Tags(HTMLParser):
    """Collects the tags, links and other attributes of a text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name == "href"]


PIECES = [
    "<script>",
    "<img src=x onerror=a>",
    "[a](javascript:a)",
    "![a](b)",
    "<a href='javascript:a'>",
    "# ",
    "**",
    "`",
]


@given(
    st.lists(
        st.sampled_from([*PIECES, "|a|b|\n|:-|-:|\n", "```", "\n", "\n\n", "x", "&lt;", "[a](https://b)", "    "])
    ).map("".join)
)
def test_no_markup_of_the_writer_passes(text: str) -> None:
    found = Tags()
    found.feed(markdown(text))
    assert found.tags <= ALLOWED
    assert found.attributes <= {"href", "start"}
    assert set(found.links) <= {"https://b", "b"}


def test_headings_stand_below_the_pages_own_and_tables_are_tables() -> None:
    shown = markdown("# One\n\n## Two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n")
    assert "<h3>One</h3>" in shown and "<h4>Two</h4>" in shown
    assert "<td>1</td>" in shown
