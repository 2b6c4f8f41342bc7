"""Strategies: programs that make candidates out of seeds.

To add one, write a file beside this one with a class that has what `Strategy` says, and add its row to STRATEGIES.
A strategy gets plain data and gives plain data: it plans one call at a time from a generator of random numbers that
belongs to that call alone, and reads drafts out of the answer. It never calls a model itself.
"""

from cultivar_records import TaskKind

from cultivar_generation.strategies.answer import Answer
from cultivar_generation.strategies.code import Code
from cultivar_generation.strategies.dialogue import Dialogue
from cultivar_generation.strategies.documents import Documents
from cultivar_generation.strategies.expand import Expand
from cultivar_generation.strategies.pool import Pool
from cultivar_generation.strategies.preference import Preference
from cultivar_generation.strategies.protocol import Draft, Drafts, Plan, Strategy
from cultivar_generation.strategies.rewrite import Rewrite

STRATEGIES: dict[str, Strategy] = {
    "answer": Answer(),
    "code": Code(),
    "dialogue": Dialogue(),
    "documents": Documents(),
    "expand": Expand(),
    "preference": Preference(),
    "rewrite": Rewrite(),
}

OTHER_DEFAULTS = {
    ("expand", TaskKind.ENTITIES): "entities",
    ("rewrite", TaskKind.ENTITIES): "entities-paraphrase",
}
"""Where a kind of task has a prompt of its own as the default of a strategy."""

__all__ = ["OTHER_DEFAULTS", "STRATEGIES", "Draft", "Drafts", "Plan", "Pool", "Strategy"]
