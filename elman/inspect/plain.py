"""An examination becomes plain data, which JSON can hold and the page is made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from elman.inspect import units
from elman.inspect.dynamics import FixedPoint
from elman.inspect.facts import RunFacts
from elman.inspect.following import state_names
from elman.inspect.gates import HORIZONS
from elman.inspect.memory import Horizon
from elman.inspect.passage import Passage
from elman.inspect.remedies import Remedy

if TYPE_CHECKING:
    from elman.inspect.examination import Examination, Layer

SHOWN = 256
"""Units and steps of the example on the page, at most."""


def report(examination: Examination) -> dict[str, Any]:
    """Return everything that was found."""
    run, layers = examination.run, examination.layers
    passage = layers[-1].passage
    found: dict[str, Any] = {
        "title": examination.title,
        "subject": {
            "run": examination.source or None,
            "model": ", ".join(dict.fromkeys(kind(layer.passage) for layer in layers)),
            "examples": passage.batch,
            "steps": max(layer.passage.steps for layer in layers),
            "unit": run.unit,
        },
        "verdict": examination.verdict,
        "findings": [
            {
                "name": f.name,
                "severity": f.severity,
                "layer": f.layer,
                "evidence": f.evidence,
                "remedies": [
                    {"what": r.what, "set": how(r, run), "source": r.source} for r in f.remedies
                ],
            }
            for f in examination.findings
        ],
        "layers": [_layer(layer, examination) for layer in layers],
    }
    if examination.followed:
        found["followed"] = [followed.to_dict() for followed in examination.followed]
    if examination.trials:
        found["trials"] = [
            {
                "name": trial.name,
                "set": _settings(trial.settings),
                "metric": trial.metric if math.isfinite(trial.metric) else None,
                "horizon": trial.horizon,
                "helped": trial.helped,
                "by": trial.by,
                "failed": trial.failed,
            }
            for trial in examination.trials
        ]
    return found | examination.more


def how(remedy: Remedy, run: RunFacts) -> str:
    """Return a remedy as options of `elman train`, or as code where the model is no run of it."""
    return remedy.line if run.settings else remedy.code


def kind(passage: Passage) -> str:
    """Return the name of a layer's cell."""
    name = type(getattr(passage.cell, "module", passage.cell)).__name__
    return {"LSTMCell": "LSTM", "GRUCell": "GRU", "RNNCell": "Elman"}.get(name, name)


def memory(found: Horizon | None, unit: str) -> str:
    """Say in words how far a layer remembers."""
    if found is None or (found.beyond and found.steps == 0):
        return "–"  # a single step has no past
    if found.beyond:
        return f"more than {found.steps:.3g} {unit}"
    return f"{found.steps:.3g} {unit} ({found.low:.3g} to {found.high:.3g})"


def _layer(layer: Layer, examination: Examination) -> dict[str, Any]:
    passage, flow = layer.passage, layer.flow
    found: dict[str, Any] = {
        "name": passage.name,
        "cell": kind(passage),
        "hidden_size": max(passage.cell.state_sizes),
        "flow": [
            {"state": name, "lags": list(range(len(norms))), **_quantiles(norms)}
            for name, norms in zip(state_names(passage), flow.states, strict=True)
        ],
        "example": _example(layer, examination),
    }
    for name, seen in (("influence", layer.horizon), ("intervention", layer.changed)):
        if seen is not None:
            found[name] = {
                "lags": seen.lags.tolist(),
                "median": _list(seen.influence),
                "low": _list(seen.spread[0]),
                "high": _list(seen.spread[1]),
            }
    if layer.horizon is not None:
        seen = layer.horizon
        found["horizon"] = {
            "steps": seen.steps,
            "low": seen.low,
            "high": seen.high,
            "threshold": seen.threshold,
            "beyond": seen.beyond,
            "in_unit": memory(seen, examination.run.unit),
        }
    if layer.share is not None:
        lags = list(range(len(layer.share)))
        found["weight_share"] = {"lags": lags, "share": _list(layer.share)}
    if layer.spectrum is not None:
        seen_spectrum = layer.spectrum
        eigenvalues = seen_spectrum.eigenvalues[:2].flatten()
        found["spectrum"] = {
            "radius": _list(seen_spectrum.radii),
            "eigenvalues": torch.view_as_real(eigenvalues).tolist(),
            "singular": _list(seen_spectrum.quantiles(0.5)[0]),
            "lyapunov": [] if layer.lyapunov is None else _list(layer.lyapunov.exponents),
        }
    if layer.rest is not None:
        found["fixed_points"] = _at_rest(layer.rest)
    if layer.units is not None:
        found |= _of_units(layer.units)
    return found


def _at_rest(points: list[FixedPoint]) -> dict[str, Any]:
    """Count the fixed points, slow ones apart, and for each how far it is from the origin, how many
    directions lead away, and its largest eigenvalue's size."""
    fixed = [point for point in points if not point.slow]
    return {
        "input": "the mean input",
        "distinct": len(fixed),
        "stable": sum(point.stable for point in fixed),
        "slow": len(points) - len(fixed),
        "points": [
            {
                "norm": float(point.state.norm()),
                "unstable": point.unstable,
                "stable": point.stable,
                "slow": point.slow,
                "radius": float(point.eigenvalues[0].abs()),
            }
            for point in points
        ],
    }


def _example(layer: Layer, examination: Examination) -> dict[str, Any]:
    """Return states of the first sequence up to the step asked about, in the sequence's own order
    also in a layer that reads backwards."""
    passage = layer.passage
    length = int(passage.lengths[0])
    last = max(int(layer.flow.at[0]) + 1, min(length, SHOWN))
    first = max(0, last - SHOWN)
    states = passage.states[0][first:last, 0, :SHOWN]
    gradients = torch.cat([g[first:last, 0].double() for g in layer.flow.gradients], -1)
    norms, due = gradients.norm(dim=-1), layer.due
    due = due if due is None else due[first:last]
    at = int(layer.flow.at[0])
    if passage.reverse:
        states, norms = states.flip(0), norms.flip(0)
        due = due if due is None else due.flip(0)
        first, last, at = length - last, length - first, length - 1 - at
    labels = examination.labels
    found: dict[str, Any] = {
        "first": first,
        "states": [_list(row) for row in states],
        "labels": list(labels[first:last]) if len(labels) == length else [],
        "gradient": _list(norms),
    }
    if due is not None:
        found["attribution"] = {"step": at, "values": _list(due)}
    return found


def _of_units(found: units.Units) -> dict[str, Any]:
    edges = [k / 20 for k in range(21)]
    gates = [
        {
            "name": name,
            "edges": edges,
            "counts": torch.histc(values.float(), 20, 0.0, 1.0).tolist(),
            "low": found.saturation[name].closed_share,
            "high": found.saturation[name].open_share,
        }
        for name, values in found.gates.items()
    ]
    kept: dict[str, Any] = {"gates": gates}
    if found.time_constants:
        longest = found.time_constants[-1]
        kept["time_constants"] = {"edges": list(HORIZONS), "counts": longest.counts}
    kept["norms"] = {
        "median": _list(found.drift.norms),
        "trained_length": found.drift.steps,
    }
    return kept


def _settings(settings: Mapping[str, Any]) -> str:
    return Remedy("", dict(settings), "").line


def _list(values: Tensor) -> list[float | None]:
    return [v if math.isfinite(v) else None for v in values.detach().double().tolist()]


def _quantiles(norms: Tensor) -> dict[str, list[float | None]]:
    at = torch.tensor([0.1, 0.5, 0.9], dtype=norms.dtype)
    low, median, high = torch.nanquantile(norms, at, dim=1)
    return {"median": _list(median), "low": _list(low), "high": _list(high)}
