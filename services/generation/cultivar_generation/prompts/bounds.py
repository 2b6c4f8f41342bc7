"""What a template may do: reach nothing outside itself, and no more work than a prompt needs.

A template is rendered where every call of the service is answered, so each loop, output, filter and call in it is
counted, and what would be large is refused before it is made. The count is of work and not of time: a template that
renders once renders always.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from inspect import isroutine
from typing import Any

from jinja2 import StrictUndefined, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

MOST_WORK = 1_000_000
"""Characters and items that one rendering may touch; a step of a loop counts as 100, a list as 200, an item as 5."""
STEP, LIST, ITEM = 100, 200, 5
MOST_BITS = 1024
LEFT_OUT = ("random", "urlize")
"""Filters that a template has not: one is never the same twice, the other's time grows faster than its text."""
METHODS = {
    *("capitalize", "casefold", "lower", "title", "upper", "strip", "lstrip", "rstrip", "removeprefix", "removesuffix"),
    *("split", "rsplit", "splitlines", "partition", "rpartition", "join", "replace", "startswith", "endswith"),
    *("count", "find", "rfind", "index", "isalnum", "isalpha", "isdigit", "islower", "isnumeric", "istitle", "isupper"),
    *("get", "items", "keys", "values"),
}
"""The methods of texts, lists and mappings that a template may call: those that give no more than they are given."""


class TooMuch(SecurityError):
    """A template does more than a prompt needs."""

    def __init__(self) -> None:
        super().__init__("it does more work than a prompt needs: use smaller loops, numbers and texts")


class CountedContext(Context):
    """What one rendering knows, with the work that it may still do."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.left = [MOST_WORK]

    def charge(self, work: int) -> None:
        """Counts work; raises TooMuch where none is left."""
        self.left[0] -= work
        if self.left[0] < 0:
            raise TooMuch

    def derived(self, locals: dict[str, Any] | None = None) -> "CountedContext":
        """Returns the context of a block, which shares the count."""
        self.charge(STEP)
        made = super().derived(locals)
        assert isinstance(made, CountedContext)
        made.left = self.left
        return made

    def measure(self, value: Any) -> int:
        """Counts the characters and items of a value, those within it too, and returns how many there are."""
        if isinstance(value, str | bytes | range):
            size = len(value) + 1
        elif isinstance(value, int):
            return 1 + (min(abs(value), MOST_WORK) if value.bit_length() <= MOST_BITS else MOST_WORK)
        elif isinstance(value, Mapping):
            self.charge(LIST + ITEM * len(value))
            return 1 + sum(self.measure(key) + self.measure(held) for key, held in value.items())
        elif isinstance(value, list | tuple | set | frozenset):
            self.charge(LIST + ITEM * len(value))
            return 1 + sum(map(self.measure, value))
        else:
            size = 1
        self.charge(size)
        return size


class Counting(NodeTransformer):
    """Puts a count around all of a template that may be large: what is looped over, compared, joined, cut or shown."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        """Counts the steps of a loop before it begins, where they are known, and each of them."""
        self.generic_visit(node)
        node.iter = through("stepped", node.iter)
        node.body.insert(0, weighed_first(node))
        return node

    def visit_Macro(self, node: nodes.Macro | nodes.CallBlock | nodes.Block) -> nodes.Node:
        """Counts the template's own text in what may be called again."""
        self.generic_visit(node)
        node.body.insert(0, weighed_first(node))
        return node

    visit_CallBlock = visit_Block = visit_Macro

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        """Counts both sides."""
        self.generic_visit(node)
        node.expr = through("measured", node.expr)
        return node

    def visit_Operand(self, node: nodes.Operand) -> nodes.Node:
        """Counts what is compared with."""
        self.generic_visit(node)
        node.expr = through("measured", node.expr)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        """Counts the parts."""
        self.generic_visit(node)
        node.nodes = [through("measured", part) for part in node.nodes]
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        """Counts a key, and what is cut."""
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            node.node = through("measured", node.node)
        else:
            node.arg = through("measured", node.arg)
        return node

    def visit_Pair(self, node: nodes.Pair) -> nodes.Node:
        """Counts the key of a mapping, which is hashed."""
        self.generic_visit(node)
        node.key = through("measured", node.key)
        return node


def through(name: str, node: Any) -> nodes.Expr:
    """Returns an expression whose value goes through a filter."""
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def weighed_first(node: nodes.Node) -> nodes.ExprStmt:
    """Returns a statement that counts the template's own text within a node."""
    weight = STEP + sum(len(text.data) for text in node.find_all(nodes.TemplateData))
    return nodes.ExprStmt(through("weighed", nodes.Const(weight, lineno=node.lineno)), lineno=node.lineno)


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox in which a template can do no more than MOST_WORK."""

    context_class = CountedContext
    intercepted_binops = frozenset(["+", "-", "*", "/", "//", "%", "**"])

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=False, finalize=shown)
        del self.globals["lipsum"]
        # None is worked out when a template is compiled: a filter that is given the context is no constant.
        self.filters = {name: counted(name, each) for name, each in self.filters.items() if name not in LEFT_OUT}
        self.filters |= {"measured": measured, "stepped": stepped, "weighed": weighed}
        self.tests = {name: counted(name, each) for name, each in self.tests.items()}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        parsed = Counting().visit(super()._parse(source, name, filename))
        assert isinstance(parsed, nodes.Template)
        return parsed.set_environment(self)  # type: ignore[return-value]

    def wrap_str_format(self, value: Any) -> None:
        """Leaves `format` the method that it is, which `call` refuses: its widths have no bound."""

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Works out a sum, product and so on; raises SecurityError for powers and TooMuch for what would be large."""
        assert isinstance(context, CountedContext)
        if operator == "**":
            raise SecurityError("a prompt has no powers (**)")
        numbers = all(isinstance(side, int | float) for side in (left, right))
        if numbers and all(isinstance(side, int) for side in (left, right)):
            if left.bit_length() + right.bit_length() > MOST_BITS:
                raise TooMuch
        elif not numbers and operator == "*":
            context.charge(context.measure(left) * context.measure(right))
        elif not numbers:
            context.charge(context.measure(left) + context.measure(right))
            check_format(context, left if operator == "%" else None, right)
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Calls what a template calls; raises SecurityError for methods that a prompt does not need."""
        assert isinstance(__context, CountedContext)
        of, name = getattr(__obj, "__self__", None), getattr(__obj, "__name__", "")
        if isroutine(__obj) and isinstance(of, str | bytes | int | float | list | tuple | Mapping):
            if name not in METHODS:
                raise SecurityError(f"a prompt has no method {name!r}")
            check_growth(__context, name, of, args)
            __context.measure(of)
        if __obj is not __self.globals["range"]:
            __context.charge(STEP + sum(map(__context.measure, (*args, *kwargs.values()))))
        return super().call(__context, __obj, *args, **kwargs)


def counted(name: str, given: Any) -> Callable[..., Any]:
    """Returns a filter or test that counts what it is given before it begins."""
    taken = getattr(given, "jinja_pass_arg", None)

    @pass_context
    def counting(context: CountedContext, value: Any, *args: Any, **kwargs: Any) -> Any:
        more = (*args, *kwargs.values())
        context.charge(STEP + context.measure(value) + sum(map(context.measure, more)))
        check_growth(context, name, value, more)
        first = {"context": context, "eval_context": context.eval_ctx, "environment": context.environment}
        made = given(*([first[taken.name]] if taken is not None else []), value, *args, **kwargs)
        return steps(context, made) if isinstance(made, Iterator) else made

    return counting


def check_growth(context: CountedContext, name: str, value: Any, more: Iterable[Any]) -> None:
    """Counts what a filter or method gives beyond what it is given; raises TooMuch where that is too much."""
    given = list(more)
    if name == "replace" and len(given) > 1:
        old, new = str(given[0]), str(given[1])
        context.charge((str(value).count(old) if old else len(str(value)) + 1) * len(new))
    elif name == "join" and given:
        method = isinstance(value, str) and not isinstance(given[0], str)
        joined, between = (given[0], value) if method else (value, given[0])
        context.charge((len(joined) if hasattr(joined, "__len__") else MOST_WORK // STEP) * len(str(between)))
    elif name in ("indent", "wordwrap", "tojson", "sum", "batch", "slice", "round") and given:
        # Of a number to be rounded the places are a power.
        parts = (
            str(value).count("\n") + 1 if name == "indent" else STEP**2 if name == "round" else context.measure(value)
        )
        context.charge(parts * sum(context.measure(each) for each in given if not isinstance(each, bool)))
    elif name == "striptags":
        context.charge(str(value).count("<") * len(str(value)) // STEP)
    elif name == "format":
        check_format(context, value, given)


def check_format(context: CountedContext, text: Any, given: Any) -> None:
    """Counts what a format shows; raises TooMuch for one that fills up to a width of over 999."""
    if isinstance(text, str):
        context.charge(text.count("%") * context.measure(given))
        if re.search(r"%[^%a-zA-Z]*(\d{4}|\*)", text):
            raise TooMuch


@pass_context
def shown(context: CountedContext, value: Any) -> Any:
    """Counts what is shown."""
    context.charge(10 + (len(value) if type(value) is str else context.measure(value)))
    return value


@pass_context
def weighed(context: CountedContext, weight: int) -> None:
    """Counts the template's own text, which is shown uncounted."""
    context.charge(weight)


@pass_context
def measured(context: CountedContext, value: Any) -> Any:
    """Counts what is compared, joined or cut."""
    context.measure(value)
    return value


@pass_context
def stepped(context: CountedContext, value: Any) -> Any:
    """Refuses a loop of too many steps before it begins; what has no length is counted as it goes."""
    if hasattr(value, "__len__"):
        if STEP * len(value) > MOST_WORK:
            raise TooMuch
        context.charge(ITEM * len(value))
        return value
    return steps(context, value)


def steps(context: CountedContext, value: Iterable[Any]) -> Iterator[Any]:
    """Yields the items of what has no length, each counted."""
    for each in value:
        context.charge(STEP)
        yield each
