"""Strategies: programs that make candidates out of seeds.

To add one, write a file beside this one with a class that has what `Strategy` says, and add its row to STRATEGIES.
A strategy gets plain data and gives plain data: it plans one call at a time from a generator of random numbers that
belongs to that call alone, and reads drafts out of the answer. It never calls a model itself.
"""

from cultivar_generation.strategies.expand import Expand
from cultivar_generation.strategies.protocol import Draft, Drafts, Plan, Strategy
from cultivar_generation.strategies.rewrite import Rewrite

STRATEGIES: dict[str, Strategy] = {
    "expand": Expand(),
    "rewrite": Rewrite(),
}

__all__ = ["STRATEGIES", "Draft", "Drafts", "Plan", "Strategy"]
