"""The errors of filtering.

InvalidArgument
├── FilterUnknown      no filter of that name; the message gives the nearest
└── RecipeUnknown      no shipped recipe of that name
FailedPrecondition
├── ExamplesUnusable   the rows of an artifact are no examples, or repeat an id
└── NotExplainable     the run has no verdicts yet, or never will
NotFound
└── ExampleUnknown     the run judged no example of that id
"""

from collections.abc import Iterable
from difflib import get_close_matches

from cultivar_service.errors import FailedPrecondition, InvalidArgument, NotFound


def hint(name: str, known: Iterable[str], plural: str) -> str:
    """Returns the nearest of the known names as a question, or all of them."""
    names = sorted(known)
    near = get_close_matches(name, names, 1)
    return f"did you mean {near[0]!r}?" if near else f"the {plural} are {', '.join(names)}"


class FilterUnknown(InvalidArgument):
    """No filter has that name."""

    reason = "FILTER_UNKNOWN"

    def __init__(self, name: str, known: Iterable[str], field: str) -> None:
        super().__init__(f"there is no filter {name[:80]!r}: {hint(name, known, 'filters')}", field=field)


class RecipeUnknown(InvalidArgument):
    """No recipe has that name."""

    reason = "RECIPE_UNKNOWN"

    def __init__(self, name: str, known: Iterable[str], field: str) -> None:
        super().__init__(f"there is no recipe {name[:80]!r}: {hint(name, known, 'recipes')}", field=field)


class ExamplesUnusable(FailedPrecondition):
    """The rows of an artifact cannot be judged."""

    reason = "EXAMPLES_UNUSABLE"


class NotExplainable(FailedPrecondition):
    """A run has no verdicts to explain with."""

    reason = "NOT_EXPLAINABLE"

    def __init__(self, run: str, state: str) -> None:
        why = "it failed before it had verdicts" if state == "FAILED" else "wait until it has ended"
        super().__init__(f"{run} is {state} and cannot explain an example: {why}")


class ExampleUnknown(NotFound):
    """The run judged no example of that id."""

    reason = "EXAMPLE_UNKNOWN"

    def __init__(self, run: str, example: str) -> None:
        super().__init__(f"{run} judged no example {example}: take an id from its examples artifact")
