"""Filters: programs that keep or reject an example, and say why.

To add one, write a file beside this one with a class that has what `Filter` says, and add its row to FILTERS. A filter
that looks at one example at a time returns `Rule(function)`. One that compares examples with those kept before returns
an object with what `Judge` says, which holds nothing but what `remember` gave it, so that a run may go on elsewhere.
A judge gets plain data and gives plain data, and never touches storage or the network: one that needs the vectors of
texts has a Config that names their model (`embeds`), and finds them in what it is given.
"""

from cultivar_filtering.filters.exact_duplicate import ExactDuplicate
from cultivar_filtering.filters.format import Format
from cultivar_filtering.filters.held_out import HeldOut
from cultivar_filtering.filters.label_echo import LabelEcho
from cultivar_filtering.filters.length import Length
from cultivar_filtering.filters.near_duplicate import NearDuplicate
from cultivar_filtering.filters.nonsense import Nonsense
from cultivar_filtering.filters.novelty import Novelty
from cultivar_filtering.filters.prompt_echo import PromptEcho
from cultivar_filtering.filters.protocol import Filter, FilterConfig, Given, Judge, Opinion, Rule
from cultivar_filtering.filters.refusal import Refusal
from cultivar_filtering.filters.repetition import Repetition
from cultivar_filtering.filters.semantic_duplicate import SemanticDuplicate

HELD_OUT = "held_out"

FILTERS: dict[str, Filter] = {
    "exact_duplicate": ExactDuplicate(),
    "format": Format(),
    HELD_OUT: HeldOut(),
    "label_echo": LabelEcho(),
    "length": Length(),
    "near_duplicate": NearDuplicate(),
    "nonsense": Nonsense(),
    "novelty": Novelty(),
    "prompt_echo": PromptEcho(),
    "refusal": Refusal(),
    "repetition": Repetition(),
    "semantic_duplicate": SemanticDuplicate(),
}

__all__ = ["FILTERS", "HELD_OUT", "Filter", "FilterConfig", "Given", "Judge", "Opinion", "Rule"]
