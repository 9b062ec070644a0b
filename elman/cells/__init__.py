"""The cells: one class for each recurrence, with its equation and source in the docstring.

`CELLS` maps a short name to every class; `make` builds one by that name. A cell of your own
subclasses `Cell` and needs no entry here: give the class itself wherever a name is taken.
"""

from __future__ import annotations

import inspect
from typing import Any

from elman.cells.base import Cell, State
from elman.cells.elman import IRNN, Elman
from elman.cells.esn import ESN
from elman.cells.gru import GRU, ChoGRU
from elman.cells.indrnn import IndRNN
from elman.cells.init import INITIALISERS
from elman.cells.jordan import Jordan
from elman.cells.lru import LRU
from elman.cells.lstm import LSTM
from elman.cells.minimal import MinGRU, MinLSTM
from elman.cells.onegate import MGU, UGRNN
from elman.errors import InputError, nearest

CELLS: dict[str, type[Cell]] = {
    "elman": Elman,
    "irnn": IRNN,
    "jordan": Jordan,
    "lstm": LSTM,
    "gru": GRU,
    "gru_cho": ChoGRU,
    "mgu": MGU,
    "ugrnn": UGRNN,
    "indrnn": IndRNN,
    "mingru": MinGRU,
    "minlstm": MinLSTM,
    "lru": LRU,
    "esn": ESN,
}


def make(name: str, input_size: int, hidden_size: int, **options: Any) -> Cell:
    """Build the cell called `name`.

    Raises:
        InputError: there is no such cell or option; the message names the nearest.

    >>> make("gru", 3, 8).state_sizes
    (8,)
    >>> make("lstn", 3, 8)
    Traceback (most recent call last):
    elman.errors.InputError: No cell is called 'lstn'. Did you mean 'lstm'?
    """
    if name not in CELLS:
        raise InputError(f"No cell is called {name!r}.", fix=nearest(name, CELLS))
    cls: Any = CELLS[name]
    known = options_of(name)
    for option in options:
        if option not in known:
            raise InputError(f"Cell {name!r} has no option {option!r}.", fix=nearest(option, known))
    cell: Cell = cls(input_size, hidden_size, **options)
    return cell


def options_of(name: str) -> dict[str, Any]:
    """Return the options of the cell called `name`, with their defaults.

    >>> options_of("elman")["nonlinearity"]
    'tanh'
    """
    return {
        p.name: p.default
        for p in inspect.signature(CELLS[name]).parameters.values()
        if p.kind is p.KEYWORD_ONLY
    }


__all__ = [
    "CELLS",
    "ESN",
    "GRU",
    "INITIALISERS",
    "IRNN",
    "LRU",
    "LSTM",
    "MGU",
    "UGRNN",
    "Cell",
    "ChoGRU",
    "Elman",
    "IndRNN",
    "Jordan",
    "MinGRU",
    "MinLSTM",
    "State",
    "make",
    "options_of",
]
