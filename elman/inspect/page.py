"""The doctor's report as one page that anyone can open, keep and send: nothing is loaded from
anywhere.

Measurements become figures (`figures`), which the template's script draws; what was not measured
is left out. Verdict, findings, layers and trials are in the page
itself, so that it can be read without a script too. Text of a model or its data never becomes
markup: jinja escapes it, and the script puts it into text nodes only.
"""

from __future__ import annotations

import math
import shlex
from typing import Any

import jinja2
import numpy as np
import torch
from markupsafe import Markup

from elman.errors import InputError
from elman.inspect import figures
from elman.inspect.concepts import coloured

_SEVERITIES = {"ill": "✕", "warning": "!", "unknown": "?", "note": "i", "healthy": "✓"}
"""Worst first, each with the sign it is shown by."""


def render(report: dict[str, Any]) -> str:
    """Write the page of a doctor's report.

    Args:
        report: what was found, as JSON has it; any part may be missing or empty and is then left
            out. Numbers may also be arrays or tensors; one that is not finite counts as missing.
            At the top: `title`, `subject` (run, model, examples, steps, unit), `verdict`,
            `findings` (name, severity, layer, evidence, remedies of what, set, source), `layers`,
            `course` (step, curves: values, or values by name), `dependence` (lags, value, floor,
            what), `followed` (pattern, verdict, best, example) and `trials` (name, set, metric,
            horizon, helped). A layer has name, cell, hidden_size, horizon, and what was measured:
            flow, influence, intervention, weight_share, gates, time_constants, spectrum,
            fixed_points, norms, example.

    Returns:
        One HTML document, with its style, script and data inside.

    Raises:
        InputError: the report holds what is neither number, text, list nor dict.

    >>> page = render({"title": "A model", "findings": [{"name": "stuck gates"}]})
    >>> "<h1>A model</h1>" in page, "stuck gates" in page, "<h2>Layers" in page
    (True, True, False)
    """
    found = _plain(report)
    layers = [_layer(layer, found.get("dependence")) for layer in found.get("layers") or []]
    followed = [_followed(one) for one in found.get("followed") or []]
    drawn = {
        "layers": [
            {k: layer[k] for k in ("name", "groups")} for layer in layers if layer["groups"]
        ],
        "course": figures.course(found.get("course")),
        "followed": [one.pop("figures") for one in followed],
    }
    findings = _findings(found.get("findings") or [])
    worst = findings[0]["severity"] if findings else "note"
    if worst == "healthy" and len(findings) == 1 and not findings[0]["remedies"]:
        # The verdict says it all.
        findings = [f for f in findings if str(f.get("evidence")) not in str(found.get("verdict"))]
    return _ENVIRONMENT.get_template("doctor.html").render(
        title=found.get("title") or "The doctor's report",
        subject=_subject(found.get("subject") or {}),
        verdict=found.get("verdict"),
        worst=worst,
        findings=findings,
        layers=layers,
        followed=followed,
        trials=found.get("trials") or [],
        drawn=drawn,
    )


def _plain(value: Any) -> Any:
    """Prepare a value for JSON: four significant digits, None where it is not finite."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {_plain(str(key)): _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else None
    if isinstance(value, str):
        # Half of a surrogate pair, as a split token may end in, cannot be written to a file.
        return value.encode("utf-8", "replace").decode()
    if value is None or isinstance(value, int):
        return value
    raise InputError(
        f"A report cannot hold a {type(value).__name__}.",
        fix="Give numbers, text, lists and dicts.",
    )


def _subject(subject: dict[str, Any]) -> str:
    parts = [str(subject[key]) for key in ("run", "model") if subject.get(key)]
    if subject.get("examples") is not None:
        parts.append(f"{subject['examples']:,} examples")
    if subject.get("steps") is not None:
        parts.append(f"{subject['steps']:,} steps each")
    if subject.get("unit") not in (None, "", "steps"):
        parts.append(f"measured in {subject['unit']}")
    return " · ".join(parts)


def _findings(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort findings, the worst first, with the settings of a remedy as a shell takes them."""
    order = list(_SEVERITIES)
    shown = []
    for finding in findings:
        severity = str(finding.get("severity"))
        severity = severity if severity in order else "note"
        remedies = [
            {**remedy, "option": _option(remedy.get("set"))}
            for remedy in finding.get("remedies") or []
        ]
        sign = _SEVERITIES[severity]
        shown.append({**finding, "severity": severity, "sign": sign, "remedies": remedies})
    return sorted(shown, key=lambda finding: order.index(finding["severity"]))


def _option(setting: str | None) -> str:
    """Write a setting as a shell takes it; a line of settings stays as it is."""
    if not setting or setting.startswith("--set "):
        return setting or ""
    return f"--set {shlex.quote(setting)}"


def _layer(layer: dict[str, Any], dependence: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "name": str(layer.get("name") or "layer"),
        "cell": layer.get("cell"),
        "hidden_size": layer.get("hidden_size"),
        "horizon": figures.reach(layer.get("horizon") or {}),
        "still": _still(figures.gradient(layer.get("flow") or [])),
        "groups": figures.of_layer(layer, dependence),
    }


def _followed(found: dict[str, Any]) -> dict[str, Any]:
    """Add the example: a text in the unit's colours, or figures of a series."""
    example = found.get("example") or {}
    labels, values = example.get("labels") or [], example.get("values") or []
    shown = {**found, "best": found.get("best") or [], "figures": [], "text": None}
    if labels and len(labels) == len(values):
        if all(isinstance(label, str) for label in labels):
            holds = example.get("holds") or []
            marked = torch.tensor([v == 1 for v in holds]) if {*holds} <= {0, 1} else None
            known = torch.tensor([math.nan if v is None else v for v in values])
            shown["text"] = Markup(coloured(labels, known, marked))
        else:
            shown["figures"] = figures.following(found)
    return shown


_WIDTH, _HEIGHT = 640, 200
"""Size of the still picture, in its own units."""


def _still(flow: list[figures.Figure]) -> dict[str, Any] | None:
    """Draw the gradient's curve as paths, for a reader without scripts."""
    series = flow[0]["series"] if flow else []
    points = [
        (
            s["name"],
            [(x, math.log10(y)) for x, y in zip(s["x"], s["y"], strict=False) if (y or 0) > 0],
        )
        for s in series
    ]
    every = [point for _, some in points for point in some]
    if not every:
        return None
    (left, bottom), (right, top) = np.min(every, 0).tolist(), np.max(every, 0).tolist()
    bottom, top = math.floor(bottom), max(math.ceil(top), math.floor(bottom) + 1)

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - left) / (right - left or 1)
        return round(across * _WIDTH, 1), round((top - y) / (top - bottom) * _HEIGHT, 1)

    every_so_many = math.ceil((top - bottom) / 5)
    return {
        "width": _WIDTH,
        "height": _HEIGHT,
        "lags": (left, right),
        "powers": [(k, place(left, k)[1]) for k in range(bottom, top + 1, every_so_many)],
        "curves": [
            (name, "M" + "L".join(f"{x} {y}" for x, y in (place(*p) for p in some)))
            for name, some in points
            if some
        ],
    }


_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.PackageLoader("elman.inspect", "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
