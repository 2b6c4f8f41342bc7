"""What pydantic finds wrong with a value, in its own words."""

from pydantic import ValidationError


def first_wrong(error: ValidationError) -> tuple[str, str]:
    """Returns where the first thing is wrong (a path with dots, empty for the whole) and what; no input is in it."""
    first = error.errors(include_url=False, include_input=False)[0]
    return ".".join(str(part) for part in first["loc"]), str(first["msg"]).removeprefix("Value error, ")
