"""Templates and Markdown; both escape whatever people and models wrote."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

FOLDER = Path(__file__).parent
TEMPLATES = Environment(
    loader=FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
# No HTML passes, and pictures from elsewhere would tell others who reads what.
MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


def markdown(text: str) -> Markup:
    """Returns CommonMark with tables as HTML; HTML in it is shown as text, and headings stand below the page's own."""
    tokens = MARKDOWN.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
        # The language of code would become a class, and the side of a column a style, which the policy refuses.
        token.info = ""
        token.attrs.pop("style", None)
    # The renderer escapes all text, and HTML is disabled in the parser.
    return Markup(MARKDOWN.renderer.render(tokens, MARKDOWN.options, {}))


def page(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Renders a page with what every page shows: the sections, and who is signed in."""
    shared: Mapping[str, Any] = {
        "session": getattr(request.state, "session", None),
        "sections": request.app.state.console.sections,
        "project": request.path_params.get("project", "default"),
        "path": request.url.path,
    }
    content = TEMPLATES.get_template(template).render({**shared, **values})
    return HTMLResponse(content, status, headers={"Cache-Control": "no-store"})
