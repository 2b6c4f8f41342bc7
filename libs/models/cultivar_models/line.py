"""The line before one server: what all clients of a process share that call it as one customer."""

from collections.abc import Hashable

from cultivar_models.endpoint import Endpoint
from cultivar_models.pace import Pace
from cultivar_models.slots import Slots


class Line:
    """How many requests are under way, learned from what the server bears, and how fast they are sent.

    concurrency: requests under way at once, at most. requests_per_minute: how many are sent in a minute, evenly, at
    most; 0 is no bound.
    """

    def __init__(self, concurrency: int, requests_per_minute: float = 0.0) -> None:
        self.slots = Slots(concurrency)
        self.pace = Pace(requests_per_minute)


class Lines:
    """The lines of a process: there is one for each server, model, key and pair of bounds, and it is kept.

    So the bounds hold for all who call together, and who comes later begins with what others learned.
    """

    def __init__(self) -> None:
        self._lines: dict[Hashable, Line] = {}

    def to(self, endpoint: Endpoint, concurrency: int, requests_per_minute: float = 0.0) -> Line:
        """Returns the line to a model; where nobody stands in it, its limit may rise as at the beginning."""
        # The key's hash: it parts customers, and is not to be kept.
        customer = hash((endpoint.api_key, *sorted(endpoint.headers.items())))
        name = (endpoint.url, endpoint.model, customer, concurrency, requests_per_minute)
        line = self._lines.setdefault(name, Line(concurrency, requests_per_minute))
        if not line.slots.taken:
            # It may have fallen in an hour when the server bore little.
            line.slots.recovered()
        return line
