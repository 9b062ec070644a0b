"""Measurements as figures: axes, curves, bars and marks, which the page's script only draws.

A measurement that is missing gives no figure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

Figure = dict[str, Any]
"""A figure is data for the script: `kind`, `title`, `note`, whether it is `wide`, axes and
values."""


def of_layer(layer: dict[str, Any], dependence: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return groups of figures of one layer, each with a title and a note."""
    flow = layer.get("flow") or []
    groups = [
        (
            "Where the gradient goes",
            "On its way back through time the gradient is multiplied by the Jacobian of each step. "
            "On a logarithmic axis a straight fall is a vanishing gradient, and a straight rise "
            "is an exploding one.",
            gradient(flow) + _unrolled(flow),
        ),
        (
            "How far it remembers",
            "The influence of an input on the output so many steps later. Memory beyond the reach "
            "of the data's own dependence is not needed; dependence beyond the horizon is lost.",
            _memory(layer, dependence) + _weight_share(layer.get("weight_share")),
        ),
        (
            "Gates and time constants",
            "A gate that is always near 0 or 1 does not react to its input, and passes little "
            "gradient.",
            _gates(layer.get("gates") or []) + _time_constants(layer.get("time_constants")),
        ),
        (
            "The step as a dynamical system",
            "The Jacobian of a step says how a small change of the state goes on: it grows where "
            "values are above one (exponents above zero), and shrinks where they are below.",
            _spectrum(layer.get("spectrum") or {})
            + _fixed_points(layer.get("fixed_points"))
            + _norms(layer.get("norms")),
        ),
        (
            "One example, step by step",
            "Each row is a unit, each column a step; blue is above zero, orange below. Point at a "
            "step to read it; choose a unit by a click, or by the arrow keys and Enter, to see it "
            "drawn and the example coloured.",
            _example(layer.get("example") or {}),
        ),
    ]
    return [
        {"title": title, "note": note, "figures": paired(figures)}
        for title, note, figures in groups
        if figures
    ]


def reach(horizon: dict[str, Any]) -> str:
    """Say a reach in words, in the task's own unit if it has one; empty where there is none."""
    steps, low, high = (horizon.get(key) for key in ("steps", "low", "high"))
    if horizon.get("in_unit") or steps is None:
        return str(horizon.get("in_unit") or "")
    interval = "" if low is None or high is None else f" ({low:g} to {high:g})"
    return f"{steps:g} steps{interval}"


def _curve(
    name: str, data: dict[str, Any] | None, along: str = "lags", of: str = "median"
) -> list[dict[str, Any]]:
    """Return a curve and its quantiles; none where nothing was measured."""
    data = data or {}
    y = data.get(of) or []
    if all(v is None for v in y):
        return []
    x = data.get(along) or list(range(len(y)))
    return [
        {"name": name, "x": x, "y": y, "low": data.get("low") or [], "high": data.get("high") or []}
    ]


def _lines(
    title: str,
    note: str,
    x: str,
    y: str,
    series: list[dict[str, Any]],
    *,
    log: bool = False,
    marks: Sequence[dict[str, Any]] = (),
    rules: Sequence[dict[str, Any]] = (),
    wide: bool = False,
) -> list[Figure]:
    """Draw curves over one pair of axes; `marks` stand at an x, `rules` at a y. None without
    curves."""
    # Zeros everywhere can only be seen on an axis that has a zero.
    log = log and any((v or 0) > 0 for curve in series for v in curve["y"])
    whole = all(v is None or float(v).is_integer() for curve in series for v in curve["x"])
    axes = {"x": {"label": x, "whole": whole}, "y": {"label": y, "log": log}}
    figure = {"kind": "lines", "title": title, "note": note, "wide": wide, "series": series}
    return [figure | axes | {"marks": list(marks), "rules": list(rules)}] if series else []


def _bars(
    title: str,
    note: str,
    x: str,
    y: str,
    edges: Sequence[float | None],
    heights: Sequence[float | None],
    *,
    log: bool = False,
) -> list[Figure]:
    """Draw bars between edges; none where all are missing or empty."""
    bins = [
        [low, high, value]
        for (low, high), value in zip(pairwise(edges), heights, strict=False)
        if low is not None and high is not None and value is not None
    ]
    whole = {edge % 1 for low, high, _ in bins for edge in (low, high)} == {0.5}
    axes = {"x": {"label": x, "log": log, "whole": whole}, "y": {"label": y, "zero": True}}
    figure = {"kind": "bars", "title": title, "note": note, "wide": False, "bins": bins}
    return [figure | axes] if any(value for *_, value in bins) else []


def _shares(counts: Sequence[float | None] | None) -> list[float]:
    known = [count or 0 for count in counts or []]
    total = sum(known)
    return [float(f"{count / total:.4g}") for count in known] if total else []


def gradient(flow: list[dict[str, Any]]) -> list[Figure]:
    """Draw the gradient's norm against the lag."""
    series = [curve for part in flow for curve in _curve(str(part.get("state") or "state"), part)]
    for curve in series:
        # A state that the last output does not come from has no gradient at lag 0: no fall.
        if curve["y"][0] == 0 and any((v or 0) > 0 for v in curve["y"]):
            curve |= {"y": [None, *curve["y"][1:]], "low": [None, *curve["low"][1:]]}
    return _lines(
        "Gradient against the lag",
        "Norm of the gradient by the state, so many steps before the loss: median over sequences; "
        "shaded from the low to the high quantile.",
        "lag, steps",
        "norm of the gradient",
        series,
        log=True,
        wide=True,
    )


def _unrolled(flow: list[dict[str, Any]]) -> list[Figure]:
    rows = [
        {"name": curve["name"], "lags": curve["x"], "values": curve["y"]}
        for part in flow
        for curve in _curve(str(part.get("state") or "state"), part)
    ]
    note = (
        "The band between two steps is as thick as the gradient that passes, on a logarithmic "
        "scale: full where it is largest, a hair at a millionth of that. ⋯5 says that "
        "neighbours are 5 steps apart."
    )
    figure = {"kind": "unrolled", "title": "The network unrolled", "note": note, "wide": True}
    return [figure | {"rows": rows}] if rows else []


def _memory(layer: dict[str, Any], dependence: dict[str, Any] | None) -> list[Figure]:
    horizon = layer.get("horizon") or {}
    marks, rules = [], []
    if horizon.get("steps") is not None:
        ends = {"low": horizon.get("low"), "high": horizon.get("high")}
        marks = [{"x": horizon["steps"], "text": "horizon", **ends}]
    if horizon.get("threshold") is not None:
        rules = [{"y": horizon["threshold"], "text": f"threshold {horizon['threshold']:g}"}]
    series = _curve("by gradient", layer.get("influence"))
    series += _curve("by changing the input", layer.get("intervention"))
    influence = _lines(
        "Influence of an input",
        "The change of the output by an input. The horizon is the lag up to which it stays "
        "above the threshold"
        f"{': ' + reach(horizon) if marks else ''}.",
        "lag, steps",
        "relative influence",
        series,
        log=True,
        marks=marks,
        rules=rules,
    )
    past = _curve("the data", dependence, of="value")
    if past:
        past += _curve("by chance", dependence, of="floor")
    what = str((dependence or {}).get("what") or "dependence")
    return influence + _lines(
        "Dependence in the data",
        "How much the sequence itself depends on its own past, whatever the model. Values below "
        "the broken line are reached by data without any memory too."
        if len(past) > 1
        else "How much the sequence itself depends on its own past, whatever the model.",
        "lag, steps",
        what,
        past,
        log=all(v is None or v > 0 for curve in past for v in curve["y"]),
        marks=marks,
    )


_HAIR = 0.01
"""Share of the largest bar: a lower bar cannot be seen."""


def _weight_share(share: dict[str, Any] | None) -> list[Figure]:
    curves = _curve("share", share, of="share")
    if not curves:
        return []
    lags, values = curves[0]["x"], [value or 0 for value in curves[0]["y"]]
    total, half = sum(values), ""
    if total > 0:
        reached = next(k for k, s in enumerate(accumulate(values)) if s >= total / 2)
        half = f" Half of it comes from lags up to {lags[reached]:g}."
        last = max(k for k, s in enumerate(values) if abs(s) >= _HAIR * max(values)) + 1
        if last < 0.8 * len(values):
            half += f" Beyond {lags[last - 1]:g} no lag has a hundredth of the largest."
            lags, values = lags[:last], values[:last]
    edges = [lags[0] - 0.5, *(a + (b - a) / 2 for a, b in pairwise(lags)), lags[-1] + 0.5]
    return _bars(
        "Lags that the weights learn from",
        f"Share of each lag in the gradient of the recurrent weights.{half}",
        "lag, steps",
        "share of the gradient",
        edges,
        values,
    )


def _gates(gates: list[dict[str, Any]]) -> list[Figure]:
    figures = []
    for gate in gates:
        ends = [
            f"{100 * gate[end]:.0f} % {words}"
            for end, words in (("low", "at its low end"), ("high", "at its high end"))
            if gate.get(end) is not None
        ]
        figures += _bars(
            f"Gate {gate.get('name') or ''}".strip(),
            f"{', '.join(ends)}." if ends else "",
            "activation",
            "share",
            gate.get("edges") or [],
            _shares(gate.get("counts")),
        )
    return figures


def _time_constants(found: dict[str, Any] | None) -> list[Figure]:
    edges = (found or {}).get("edges") or []
    counts = [count or 0 for count in (found or {}).get("counts") or []]
    held = [k for k, count in enumerate(counts) if count]
    if not held:
        return []
    # Edges may span far more than the units do: only that part is shown, and a bin on either side.
    first, last = max(held[0] - 1, 0), held[-1] + 2
    known = [edge for edge in edges if edge is not None]
    return _bars(
        "Time constants",
        "After so many steps a unit has forgotten all but 1/e of what it held.",
        "time constant, steps",
        "share of units",
        edges[first : last + 1],
        _shares(counts[first:last]),
        log=bool(known) and known[0] > 0 and known[-1] / known[0] > 50,
    )


def _spectrum(spectrum: dict[str, Any]) -> list[Figure]:
    figures: list[Figure] = []
    points = [p for p in spectrum.get("eigenvalues") or [] if None not in p]
    if points:
        outside = sum(math.hypot(*p) > 1 for p in points) / len(points)
        note = f"{100 * outside:.3g} % lie outside the unit circle."
        figure = {"kind": "plane", "title": "Eigenvalues of the Jacobian", "note": note}
        figures.append(figure | {"wide": False, "points": points})
    radius = [r for r in spectrum.get("radius") or [] if r is not None]
    if radius:
        counts, edges = np.histogram(radius, bins="auto" if len(set(radius)) > 1 else 1)
        figures += _bars(
            "Spectral radius",
            f"The largest eigenvalue's size, at {len(radius)} sampled steps.",
            "spectral radius",
            "share of steps",
            [float(f"{edge:.4g}") for edge in edges],
            _shares(counts.tolist()),
        )
    singular = _ranked(spectrum.get("singular"))
    figures += _lines(
        "Singular values of the Jacobian",
        "How much a step can stretch a change of the state, direction by direction.",
        "rank",
        "singular value",
        singular,
        log=True,
        rules=[{"y": 1, "text": "unchanged"}],
    )
    exponents = _ranked(spectrum.get("lyapunov"))
    return figures + _lines(
        "Lyapunov exponents",
        _lyapunov(exponents[0]["y"][0]) if exponents else "",
        "rank",
        "exponent, nats a step",
        exponents,
        rules=[{"y": 0, "text": "neither grows nor shrinks"}],
    )


def _fixed_points(found: dict[str, Any] | None) -> list[Figure]:
    """Draw where the state comes to rest, each point by how far it is from the origin and how much
    its least stable direction grows in a step."""
    found = found or {}
    if found.get("distinct") is None:
        return []
    distinct, stable, slow = (found.get(key) or 0 for key in ("distinct", "stable", "slow"))
    words = {0: "no fixed point was found", 1: "one fixed point was found"}
    note = f"{words.get(distinct, f'{distinct} fixed points were found')}, "
    note += "it is stable" if distinct == stable == 1 else f"{stable} of them stable"
    note = words[0] if not distinct else note
    note += f", and {slow} places where it hardly moves" if slow else ""
    given = found.get("input") or "one input"
    points = found.get("points") or []
    kinds = (
        ("stable", [p for p in points if p.get("stable") and not p.get("slow")]),
        ("unstable", [p for p in points if not p.get("stable") and not p.get("slow")]),
        ("slow", [p for p in points if p.get("slow")]),
    )
    series = [
        {
            "name": name,
            "x": [p.get("norm") for p in some],
            "y": [p.get("radius") for p in some],
            "low": [],
            "high": [],
            "dots": True,
        }
        for name, some in kinds
        if some
    ]
    note = f"While the layer reads {given} again and again, {note}. A push dies out below 1."
    return _lines(
        "Fixed points",
        note,
        "norm of the state there",
        "largest eigenvalue, size",
        series,
        rules=[{"y": 1, "text": "neither returns nor leaves"}],
    )


def _ranked(values: list[float | None] | None) -> list[dict[str, Any]]:
    ranked = sorted((v for v in values or [] if v is not None), reverse=True)
    return _curve("value", {"rank": list(range(1, len(ranked) + 1)), "y": ranked}, "rank", "y")


def _lyapunov(largest: float) -> str:
    """Say what the largest exponent does to a small change."""
    if largest == 0:
        return "In the long run a small change neither grows nor shrinks."
    verb = "doubles" if largest > 0 else "is halved"
    return f"In the long run a small change {verb} every {math.log(2) / abs(largest):.3g} steps."


def _norms(norms: dict[str, Any] | None) -> list[Figure]:
    trained = (norms or {}).get("trained_length")
    marks = [] if trained is None else [{"x": trained, "text": f"trained up to {trained:g}"}]
    return _lines(
        "Norm of the state",
        "A norm that goes on growing meets values that were never seen in training.",
        "step",
        "norm",
        _curve("norm", norms, along="step"),
        marks=marks,
    )


def _example(example: dict[str, Any]) -> list[Figure]:
    states = [row for row in example.get("states") or [] if row]
    if not states:
        return []
    labels = example.get("labels") or []
    if labels == list(range(len(labels))):
        labels = []  # the steps counted: they say nothing that the axis does not
    numbers = [v for v in labels if v is not None]
    numeric = bool(numbers) and all(isinstance(v, int | float) for v in numbers)
    # The liveliest unit is the first one shown.
    spread = np.nan_to_num(np.array(states, dtype=float)).var(axis=0)
    due = example.get("attribution") or {}
    note = ""
    if due.get("step") is not None:
        note = (
            f"Beneath: the gradient at every step, and what each input adds to the output at step "
            f"{due['step']}, as compared with an average input (integrated gradients)."
        )
    figure = {"kind": "states", "title": "Hidden states", "note": note, "wide": True}
    return [
        figure
        | {
            "states": states,
            "words": [] if numeric else words_of(labels),
            "values": labels if numeric else [],
            "gradient": example.get("gradient") or [],
            "due": due.get("values") or [],
            "first": example.get("first") or 0,
            "unit": int(spread.argmax()),
        }
    ]


def following(followed: dict[str, Any]) -> list[Figure]:
    """Draw a series and the unit that follows a pattern in it, both in standard units."""
    example = followed.get("example") or {}
    parts = {"the series": example.get("labels"), "the unit": example.get("values")}
    series = []
    for name, values in parts.items():
        known = [v for v in values or [] if isinstance(v, int | float)]
        if len(known) != len(values or []) or not np.std(known or [0]):
            continue
        scaled = (np.array(known) - np.mean(known)) / np.std(known)
        series += _curve(name, {"y": [float(f"{v:.4g}") for v in scaled]}, "step", "y")
    note = "In standard units, in the row in which the pattern changes most."
    return _lines("The unit beside the series", note, "step", "value", series, wide=True)


def words_of(labels: list[Any]) -> list[str]:
    """Return the text of each step; whole words, which have no spaces of their own, are set
    apart."""
    words = ["" if label is None else str(label) for label in labels]
    apart = any(len(word) > 1 for word in words) and not any(c.isspace() for c in "".join(words))
    return [f"{word} " for word in words] if apart else words


_TOGETHER = 8
"""Curves of one figure, at most."""

_COURSES = {
    "norm": ("Gradient norm", "norm before clipping", True),
    "gradients": ("Gradient norm of each parameter", "norm before clipping", True),
    "clip_rate": ("Clipping", "share of steps clipped", False),
    "horizon": ("Memory horizon", "horizon, steps", False),
    "saturation": ("Saturation", "share of saturated gates", False),
    "update_ratio": ("Size of an update", "update over weights, norms", True),
}
"""Title, label and whether the axis is logarithmic, where the name alone does not say it."""


def course(course: dict[str, Any] | None) -> list[Figure]:
    """Draw how training went."""
    course = course or {}
    steps, figures = course.get("step") or [], []
    for name, values in (course.get("curves") or {}).items():
        words = name.replace("_", " ")
        title, label, log = _COURSES.get(name, (words.capitalize(), words, False))
        several = values if isinstance(values, dict) else {words: values}
        largest = sorted(several, key=lambda k: -max((v or 0.0 for v in several[k]), default=0.0))
        shown = [k for k in several if k in largest[:_TOGETHER]]
        note = f"The {_TOGETHER} largest of {len(several)}." if len(shown) < len(several) else ""
        # Some are measured now and then, and a point alone makes no line.
        seen = {
            k: [(at, v) for at, v in zip(steps, several[k], strict=False) if v is not None]
            for k in shown
        }
        series = [
            {"name": k, "x": list(x), "y": list(y), "low": [], "high": []}
            for k, (x, y) in (
                (k, zip(*points, strict=True)) for k, points in seen.items() if points
            )
        ]
        figures += _lines(title, note, "training step", label, series, log=log)
    return paired(figures)


def paired(figures: list[Figure]) -> list[Figure]:
    """Give the last of an odd number of figures its whole row, two being a row, so that there is
    no hole; but for a plane, which is square."""
    alone = False
    for figure in figures:
        alone = not (alone or figure["wide"])
    if alone and figures[-1]["kind"] != "plane":
        return [*figures[:-1], figures[-1] | {"wide": True}]
    return figures
