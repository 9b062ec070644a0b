"""What the literature does about a disease, as settings of `elman train`, with its source."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass, replace
from typing import Any

from elman.inspect.facts import LayerFacts, RunFacts

FAR = 20
"""Steps beyond which no ungated network is worth mending: what keeps it from exploding makes it
vanish (Bengio, Simard & Frasconi 1994)."""
EXPANDS = 1.2
"""Spectral radius of the step's Jacobian beyond which it is the weights that explode."""
UPDATES, LEAPS = 0.03, 0.2
"""Size of an update over that of the weights: too much for long, and too much even once; around
1e-3 is usual."""


@dataclass(frozen=True)
class Remedy:
    """What the literature does about it.

    Attributes:
        what: in words.
        settings: of `elman train`, to be changed together; empty where it is no setting.
        source: who found it.
    """

    what: str
    settings: dict[str, Any]
    source: str

    @property
    def line(self) -> str:
        """As it is given to `elman train` in a shell.

        >>> print(Remedy("", {"clip_at": 0.5, "cell_options": {"chrono": 40}}, "").line)
        --set clip_at=0.5 --set 'cell_options={chrono: 40}'
        """
        pairs = [f"{name}={_yaml(value)}" for name, value in self.settings.items()]
        return " ".join(f"--set {shlex.quote(pair) if ' ' in pair else pair}" for pair in pairs)


def with_options(run: RunFacts, **changed: Any) -> dict[str, Any]:
    """The setting that changes these options of the cell and leaves the others."""
    return {"cell_options": {**(run.settings.get("cell_options") or {}), **changed}}


def orthogonal(run: RunFacts, what: str) -> Remedy:
    """Recurrent weights that begin orthogonal."""
    return Remedy(what, with_options(run, init="orthogonal"), "Saxe, McClelland & Ganguli 2014")


def normalised(run: RunFacts, what: str) -> Remedy:
    """Layer normalisation within the cell."""
    return Remedy(what, with_options(run, layer_norm=True), "Ba, Kiros & Hinton 2016")


def to_remember(facts: LayerFacts, run: RunFacts) -> tuple[Remedy, ...]:
    """Cures of a short memory, the one for this cell first."""
    need = max(4, round(run.need or 0))
    gated = Remedy(
        "a gated cell whose gates begin open for as long as is needed",
        {"cell": "lstm", "cell_options": {"chrono": need}},
        "Hochreiter & Schmidhuber 1997; Tallec & Ollivier 2018",
    )
    identity = Remedy(
        "rectified units that begin as the identity",
        {"cell": "irnn", "cell_options": {}},
        "Le, Jaitly & Hinton 2015",
    )
    if facts.cell in ("LSTM", "GRU"):
        chrono_begun = Remedy(
            f"biases of the gates that begin with horizons up to {need} {run.unit}",
            with_options(run, chrono=need),
            "Tallec & Ollivier 2018",
        )
        forget = Remedy(
            "a bias of the forget gate that begins at 1",
            with_options(run, forget_bias=1.0),
            "Gers, Schmidhuber & Cummins 2000; Jozefowicz, Zaremba & Sutskever 2015",
        )
        return (chrono_begun, forget) if facts.cell == "LSTM" else (chrono_begun,)
    if facts.cell == "Elman":
        return gated, identity, orthogonal(run, "recurrent weights that begin orthogonal")
    return gated, identity


def to_calm(facts: LayerFacts, run: RunFacts) -> tuple[Remedy, ...]:
    """Cures of gradients that explode, the one for this cell first."""
    at = run.norms[0] if run.norms is not None and math.isfinite(run.norms[0]) else 1.0
    clipped = Remedy(
        "clip the norm of the gradient, at the median that was measured",
        {"clip": "norm", "clip_at": rounded(min(at, 1.0))},
        "Pascanu, Mikolov & Bengio 2013",
    )
    begun = orthogonal(run, "recurrent weights that begin orthogonal, of radius 1")
    gated = Remedy(
        "a gated cell", {"cell": "lstm", "cell_options": {}}, "Hochreiter & Schmidhuber 1997"
    )
    if run.need is not None and run.need > FAR:
        gated = replace(
            gated, settings={"cell": "lstm", "cell_options": {"chrono": round(run.need)}}
        )
    rate = to_slow(run)
    if facts.cell in ("LSTM", "GRU"):
        return clipped, *rate
    if facts.cell != "Elman":
        return clipped, gated, *rate
    # Clipping helps a step that is now and then too long, not a matrix that always is.
    if run.need is not None and run.need > FAR:
        return gated, clipped, begun, *rate
    expands = facts.radius is not None and facts.radius > EXPANDS
    return (begun, clipped, gated, *rate) if expands else (clipped, begun, gated, *rate)


def to_slow(run: RunFacts) -> tuple[Remedy, ...]:
    """A learning rate at which weights move as much as is usual; none where none is known."""
    lr = run.settings.get("lr")
    if lr is None:
        return ()
    factor = 1 / 3
    # Early updates are the largest: weights are small and the steps of Adam are not.
    if run.largest_update is not None and run.largest_update > LEAPS:
        factor = min(factor, UPDATES / run.largest_update)
    if run.update_ratio is not None and run.update_ratio > UPDATES:
        factor = min(factor, UPDATES / 4 / run.update_ratio)
    what = (
        "a third of the learning rate" if factor == 1 / 3 else "a rate at which weights move less"
    )
    return (Remedy(what, {"lr": rounded(lr * factor)}, "Bengio 2012"),)


def rounded(value: float) -> float:
    """To two figures: no setting is known better."""
    return float(f"{value:.2g}")


def _yaml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_yaml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
