"""What a template names of what it is given, such as the `text` of a shot, in branches that no trial takes too."""

from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from jinja2 import nodes
from pydantic import BaseModel

from cultivar_generation.errors import TemplateInvalid
from cultivar_generation.prompts import parsed

Values = Mapping[str, Sequence[Any]]
"""For each name that a template is given, what it may be."""
SEEN_THROUGH = ("measured", "stepped")
ASKS = ("defined", "undefined", "default", "d")


def check_attributes(template: str, given: Values) -> None:
    """Raises TemplateInvalid for an attribute that nothing given has, unless the template asks whether it is there."""
    tree = parsed(template)
    scope, asked = scope_of(tree, given), asked_for(tree)
    for node in tree.find_all(nodes.Getattr):
        values = values_of(node.node, scope)
        if not values or node.attr in asked or any(has(value, node.attr) for value in values):
            continue
        known = sorted({name for value in values for name in attributes(value)})
        near = get_close_matches(node.attr, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}" if known else "there are none"
        raise TemplateInvalid(f"it names {node.attr!r} of {named(node.node)}, which is not there: {hint}")


def scope_of(tree: nodes.Template, given: Values) -> Values:
    """Returns what the names of a template may be, those of its loops too; left out are those that it sets itself."""
    stored = Counter(name.name for name in tree.find_all(nodes.Name) if name.ctx != "load")
    scope = {name: values for name, values in given.items() if not stored[name]}
    for loop in tree.find_all(nodes.For):
        values = values_of(loop.iter, scope)
        if isinstance(loop.target, nodes.Name) and stored[loop.target.name] == 1 and values:
            scope[loop.target.name] = items(values)
    return scope


def asked_for(tree: nodes.Template, *, names: bool = False) -> set[str]:
    """Returns the attributes (or names) of which a template asks whether they are there, by a test or a default.

    An attribute that stands in the template as a text is asked for too, as in `'tone' in axes`.
    """
    asking = [node for node in tree.find_all((nodes.Test, nodes.Filter)) if node.name in ASKS]
    if names:
        return {each.name for node in asking for each in node.find_all(nodes.Name)}
    tested = {each.attr for node in asking for each in node.find_all(nodes.Getattr)}
    return tested | {each.value for each in tree.find_all(nodes.Const) if isinstance(each.value, str)}


def shown_of(template: str, name: str) -> set[str] | None:
    """Returns which parts of a mapping a template shows; None where it takes the whole, as a loop over it does."""
    tree = parsed(template)
    found: list[Any] = list(tree.find_all((nodes.Getattr, nodes.Getitem)))
    own = [node for node in found if getattr(bare(node.node), "name", None) == name]
    parts = [node.attr if isinstance(node, nodes.Getattr) else getattr(bare(node.arg), "value", None) for node in own]
    shown = {part for part in parts if isinstance(part, str)}
    whole = len(parts) < sum(each.name == name for each in tree.find_all(nodes.Name))
    return None if whole or None in parts or shown & {"items", "keys", "values"} else shown


def bare(node: Any) -> Any:
    """Returns an expression without the filters that count its work."""
    while isinstance(node, nodes.Filter) and node.name in SEEN_THROUGH:
        node = node.node
    return node


def values_of(node: nodes.Node, scope: Values) -> Sequence[Any]:
    """Returns what an expression may be; nothing where that is not known."""
    if isinstance(node, nodes.Name):
        return scope.get(node.name, ())
    if isinstance(node, nodes.Filter) and node.name in SEEN_THROUGH and node.node is not None:
        return values_of(node.node, scope)
    if isinstance(node, nodes.Getattr):
        return [got for value in values_of(node.node, scope) if (got := value_at(value, node.attr)) is not None]
    if isinstance(node, nodes.Getitem) and not isinstance(node.arg, nodes.Slice):
        return items([value for value in values_of(node.node, scope) if not isinstance(value, Mapping)])
    return ()


def items(values: Sequence[Any]) -> Sequence[Any]:
    """Returns what the lists among some values hold."""
    return [each for value in values if isinstance(value, list | tuple) for each in value]


def has(value: Any, name: str) -> bool:
    """Tells whether a value has an attribute, as a template reads it."""
    return hasattr(value, name) or (isinstance(value, Mapping) and name in value)


def value_at(value: Any, name: str) -> Any:
    """Returns an attribute of a value, None where it has none."""
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def attributes(value: Any) -> Sequence[str]:
    """Returns the attributes of a value that a prompt is meant to name."""
    return list(
        value if isinstance(value, Mapping) else type(value).model_fields if isinstance(value, BaseModel) else ()
    )


def named(node: nodes.Node) -> str:
    """Returns an expression as a person reads it."""
    if isinstance(node, nodes.Name):
        return repr(node.name)
    inner = getattr(node, "node", None)
    return f"{named(inner)}, {node.attr!r}" if isinstance(node, nodes.Getattr) and inner is not None else "an item"
