"""Falls over."""

raise ZeroDivisionError("on purpose")
