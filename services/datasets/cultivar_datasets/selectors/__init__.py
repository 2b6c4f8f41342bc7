"""Selectors: programs that choose examples where a budget or a limit is smaller than what there is.

To add one, write a file beside this one with a class that has what `Selector` says, and add its row to SELECTORS.
A selector gets plain data and gives ids: it never reads an artifact. The same choices, budget and generator of random
numbers must give the same ids, whatever the order of the choices.
"""

from cultivar_datasets.selectors.balanced import Balanced
from cultivar_datasets.selectors.protocol import Choice, Selector, SelectorConfig
from cultivar_datasets.selectors.random import RandomSelector

SELECTORS: dict[str, Selector] = {
    "balanced": Balanced(),
    "random": RandomSelector(),
}
DEFAULT = "balanced"

__all__ = ["DEFAULT", "SELECTORS", "Choice", "Selector", "SelectorConfig"]
