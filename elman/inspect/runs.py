"""The doctor examines a run: its model on its own data or on yours, its course of training, and
remedies tried out side by side."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from elman.errors import ElmanError, InputError
from elman.inspect import dependence, stretches
from elman.inspect.dependence import Dependence
from elman.inspect.diagnosis import Finding, Trial
from elman.inspect.examination import Examination, measure
from elman.inspect.facts import RunFacts
from elman.inspect.following import checked
from elman.inspect.passage import in_own_time
from elman.inspect.remedies import Remedy
from elman.runs import folder, pipeline
from elman.runs.folder import Run
from elman.tasks.base import Sample, Task

NEED = 0.05
"""Share of the largest dependence at any lag that a model may do without."""

_BOUNDS = {"epochs", "max_steps", "budget"}

LATER = 0.5
"""Share of a run's rows at its end that say how training goes when it has settled."""


def of_run(
    run: str | Path,
    data: Any = None,
    *,
    rows: int = 32,
    follow: Sequence[str] = (),
    seed: int = 0,
) -> Examination:
    """Examine the model of a run.

    Args:
        run: its folder.
        data: sequences to look at the model by, as `elman train` takes them; those it was trained
            on if None.
        rows: how many of them.
        follow: patterns to search the units for, as `Examination.follow` takes them; on 8,000
            steps of a text, or on windows of a series that do not overlap.
        seed: of which, and of all else that is drawn.

    Raises:
        InputError: not a run, not finished, its data is gone and none was given, or a pattern is
            not valid, does not fit the data or is the same everywhere.
    """
    patterns = [checked(pattern) for pattern in follow]
    opened = Run(Path(run))
    config = opened.config()
    task = _task(opened, config, data)
    module = pipeline.load(run).module
    sample = task.sample(data, rows, seed)
    read = sample.series if sample.inputs is None else sample.inputs
    batch = () if read is None else torch.from_numpy(read)
    layers, broken = measure(module, lambda: sample.loss(module), batch, seed=seed)
    facts, course = _facts(opened, task), _course(opened)
    facts.broken = broken
    steps = max(layer.passage.steps for layer in layers)
    found = _need(sample, steps, seed)
    more: dict[str, Any] = {"course": course} if course else {}
    if found is not None:
        size = found.value.abs().reshape(len(found.lags), -1).amax(1)
        facts.need, facts.need_by = _reach(found), found.what
        other = _need(_reversed(sample), steps, seed) if sample.target is not None else None
        facts.need_reversed = None if other is None else _reach(other)
        more["dependence"] = {
            "lags": found.lags.tolist(),
            "value": size.tolist(),
            "floor": _of_largest(found).tolist(),
            "what": found.what,
        }
    facts.unit, facts.window = sample.unit, sample.window
    facts.sequences = sample.count
    examination = Examination(
        f"{task.name} model",
        layers,
        facts,
        sample.labels,
        more,
        source=Path(run).resolve().name,
        stretch=lambda: stretches.stretch(task.sample(data, stretches.WINDOWS, seed), module),
    )
    for pattern in patterns:
        examination.follow(pattern, seed=seed)
    return examination


def _task(opened: Run, config: dict[str, Any], data: Any) -> Task:
    if data is None:
        return pipeline.from_recorded_data(opened, config)
    return pipeline.without_data(opened, config)


def _need(sample: Sample, steps: int, seed: int) -> Dependence | None:
    """Measure how far back the data behind a sample depends on itself, or its target on it."""
    longest = max(1, steps - 1)
    try:
        if sample.series is not None:
            series = torch.from_numpy(sample.series)
            most = min(longest, len(series) // 4)
            if series.dim() == 1:
                return dependence.mutual_information(series, most, seed=seed)
            return dependence.autocorrelation(series, most, seed=seed)
        if sample.inputs is not None and sample.target is not None:
            inputs, target = (torch.from_numpy(part) for part in (sample.inputs, sample.target))
            return dependence.input_target(inputs, target, longest, sample.lengths, seed=seed)
    except InputError:
        return None  # too little data to say
    return None


def _of_largest(found: Dependence) -> Tensor:
    """Return the floor of the feature that depends most, at each lag: `(L,)`."""
    value, floor = (part.reshape(len(found.lags), -1) for part in (found.value, found.floor))
    return floor.gather(1, value.abs().argmax(1, keepdim=True))[:, 0]


def _reach(found: Dependence) -> float:
    return float(dependence.reach(found, NEED * float(found.value.abs().max())))


def _reversed(sample: Sample) -> Sample:
    """Return sequences with one target each, read from their other end."""
    assert sample.inputs is not None
    inputs = torch.from_numpy(sample.inputs)
    return replace(sample, inputs=in_own_time(inputs, sample.lengths).numpy())


def _facts(opened: Run, task: Task) -> RunFacts:
    """Collect the facts in the training rows and the settings."""
    # Settings that a run of an older version does not have are at their defaults.
    settings = task.settings.model_dump()
    rows = _rows(opened)
    training = [row for row in rows if "loss" in row]
    later = training[int(len(training) * (1 - LATER)) :]
    facts = RunFacts(settings=settings, rollbacks=sum(r.get("event") == "rollback" for r in rows))
    facts.clip_at = task.settings.clip_threshold if task.settings.clip == "norm" else None
    norms = sorted(float(row["norm"]) for row in later if _known(row.get("norm")))
    if norms:
        facts.norms = median(norms), norms[int(0.9 * (len(norms) - 1))]
    rates = [row["clip_rate"] for row in later if _known(row.get("clip_rate"))]
    if rates:
        facts.clip_rate = sum(rates) / len(rates)
    ratios = [row["update_ratio"] for row in later if _known(row.get("update_ratio"))]
    if ratios:
        facts.update_ratio = median(ratios)
    every = [row["update_ratio"] for row in rows if _known(row.get("update_ratio"))]
    facts.largest_update = max(every, default=None)
    spikes = [len(row["spikes"]) for row in training if "spikes" in row]
    steps = training[-1]["step"] if training else 0
    if spikes and steps:
        facts.spikes = sum(spikes) / steps
    _losses(facts, rows)
    _evaluated(facts, opened)
    return facts


def _losses(facts: RunFacts, rows: Sequence[dict[str, Any]]) -> None:
    """Add the losses of training and validation, each with its step."""
    facts.trained = [(row["step"], float(row["loss"])) for row in rows if _known(row.get("loss"))]
    valid = [(row["step"], row["valid"].get("loss")) for row in rows if _validation(row)]
    facts.validated = [(step, float(loss)) for step, loss in valid if _known(loss)]


def _validation(row: dict[str, Any]) -> bool:
    return isinstance(row.get("valid"), dict)


def _evaluated(facts: RunFacts, opened: Run) -> None:
    """Add the headline score of the test part, its interval, and how many rows it is from."""
    import pyarrow.parquet

    results = opened.read_json(folder.RESULTS)
    name = results["metric"]
    facts.metric, facts.score = name, _plain(results["test"].get(name))
    interval = (results.get("ci95") or {}).get(name)
    if interval and all(_known(end) for end in interval):
        facts.interval = float(interval[0]), float(interval[1])
    if opened.predictions.exists():
        facts.examples = int(pyarrow.parquet.read_metadata(opened.predictions).num_rows)
    facts.stopped = str((results.get("training") or {}).get("stopped") or "")


def _course(opened: Run) -> dict[str, Any]:
    rows = [row for row in _rows(opened) if "loss" in row or "loss" in (row.get("valid") or {})]
    if not rows:
        return {}
    curves: dict[str, Any] = {}
    validated = [_plain((row.get("valid") or {}).get("loss")) for row in rows]
    trained = [_plain(row.get("loss")) for row in rows]
    if any(value is not None for value in validated):
        curves["loss"] = {"training": trained, "validation": validated}
    elif any(value is not None for value in trained):
        curves["loss"] = trained
    for name in ("norm", "clip_rate", "update_ratio"):
        values = [_plain(row.get(name)) for row in rows]
        if any(value is not None for value in values):
            curves[name] = values
    for name in ("gradients", "horizon", "saturation"):  # by parameter, or by layer
        parts = dict.fromkeys(part for row in rows for part in row.get(name) or ())
        if parts:
            told = [row.get(name) or {} for row in rows]
            curves[name] = {part: [_plain(row.get(part)) for row in told] for part in parts}
    return {"step": [row["step"] for row in rows], "curves": curves}


def _rows(opened: Run) -> list[dict[str, Any]]:
    path = opened.metrics
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def _known(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _plain(value: Any) -> float | None:
    return float(value) if _known(value) else None


# Remedies tried out


def try_remedies(
    run: str | Path,
    findings: Sequence[Finding],
    *,
    budget: float | str = "60s",
    most: int = 4,
    progress: Callable[[str], None] | None = None,
    **bounds: Any,
) -> list[Trial]:
    """Train again for a short while, as it was and with each remedy proposed, side by side.

    All begin afresh with the run's data, seed and settings, under one budget.

    Args:
        run: its folder; the trials lie in `doctor/` beneath.
        findings: of its examination; their remedies that are settings are tried, the first first.
        budget: time of training each, such as 60s or 10m.
        most: how many remedies.
        progress: told what is being tried.
        bounds: settings for all of them, such as `max_steps` in place of the budget.

    Raises:
        InputError: there is no remedy that is a setting, or the run's data is gone.
    """
    opened = Run(Path(run))
    config = opened.config()
    remedies = _distinct(findings, config["settings"])[:most]
    if not remedies:
        raise InputError("There is no remedy to try: none of the findings has a setting for one.")
    sources = pipeline.recorded_sources(opened, config)
    tried: list[Trial] = []
    given: dict[str, Any] = {"epochs": None, "max_steps": None, "budget": budget, **bounds}
    for remedy in (Remedy("as it was", {}, ""), *remedies):
        if progress is not None:
            progress(f"{remedy.what}: {remedy.line or 'no change'}")
        settings = {**config["settings"], **given, **remedy.settings, "resamples": 0}
        settings["reference"] = None
        folder = opened.trial(len(tried))
        origin = (config.get("from") or {}).get("run")
        tried.append(_trial(remedy, config["task"], sources, folder, settings, tried, origin))
    return tried


def _distinct(findings: Sequence[Finding], settings: dict[str, Any]) -> list[Remedy]:
    """Return the first remedy of every finding, then the second; none that changes nothing."""
    found: list[Remedy] = []
    deepest = max((len(f.remedies) for f in findings), default=0)
    for k in range(deepest):
        for finding in findings:
            if k < len(finding.remedies):
                remedy = finding.remedies[k]
                if remedy.settings.keys() <= _BOUNDS:  # all trials end with the same budget
                    continue
                known = [r.settings for r in found]
                same = all(settings.get(n) == v for n, v in remedy.settings.items())
                if remedy.settings and remedy.settings not in known and not same:
                    found.append(remedy)
    return found


def _trial(
    remedy: Remedy,
    task: str,
    sources: dict[str, Any],
    folder: Path,
    settings: dict[str, Any],
    before: Sequence[Trial],
    origin: str | None,
) -> Trial:
    shutil.rmtree(folder, ignore_errors=True)
    try:
        finished = pipeline.train(
            task,
            sources["train"],
            folder,
            valid=sources["valid"],
            test=sources["test"],
            start_from=origin,
            progress=False,
            **settings,
        )
    except ElmanError as error:
        helped = False if before else None
        return Trial(remedy.what, remedy.settings, math.nan, None, helped, str(error))
    metric, higher, by = _validated(Run(folder), finished.results)
    better = None
    if before:
        was = before[0].metric
        better = math.isnan(was) or (metric != was and (metric > was) == higher)
    memories = [layer.horizon.steps for layer in of_run(folder).layers if layer.horizon is not None]
    longest = max(memories, default=None)
    return Trial(
        remedy.what, remedy.settings, metric, longest, better, by=by, higher_is_better=higher
    )


def _validated(run: Run, results: dict[str, Any]) -> tuple[float, bool, str]:
    """Return the best validation, whether higher is better, and what it is.

    The test part, on which nothing is to be chosen, counts only where nothing was held out.
    """
    name, higher = results["metric"], bool(results["higher_is_better"])
    values = [
        float(row["valid"][name])
        for row in _rows(run)
        if isinstance(row.get("valid"), dict) and _known(row["valid"].get(name))
    ]
    losses = [
        float(row["valid"]["loss"])
        for row in _rows(run)
        if _validation(row) and "loss" in row["valid"]
    ]
    if not values and losses:  # the headline score is too dear to be looked at while training
        return min(losses), False, "validation loss"
    if not values:
        score = results["test"][name]
        return (math.nan if score is None else float(score)), higher, f"test {name}"
    return (max if higher else min)(values), higher, f"validation {name}"
