"""Runs beside each other: what is there, what differs, and whether a difference is sure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elman.errors import InputError
from elman.runs import folder, pipeline, report
from elman.runs.folder import Run
from elman.scoring import bootstrap as intervals
from elman.writing import written

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from elman.scoring import Evaluation

_RESAMPLES = 1000
_ROWS = (
    *("seed", "valid_fraction", "test_fraction", "modality", "target", "text", "columns"),
    *("group", "time", "together", "horizon", "unit", "lower", "cap", "score", "each"),
)
"""Settings on which it depends which rows are judged, and in what unit."""
_COLOURS = ("#1f3a5f", "#b35c1e", "#4f7a4a", "#7a3f6d", "#8a6d1f", "#2f7f86")


def listed(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return runs in a few words each.

    Returns:
        For each run its path, task, data, state ("finished", "stopped", or why it is damaged),
        and of a finished one metric, score, the best baseline with its score, and verdict.
    """
    return [_row(run) for run in runs]


def _row(run: Run) -> dict[str, Any]:
    try:
        config = run.config()
    except InputError as error:
        return {"run": str(run.path), "state": f"damaged: {error}"}
    sources = (config.get("data") or {}).get("train") or []
    row: dict[str, Any] = {
        "run": str(run.path),
        "task": config["task"],
        "data": ", ".join(Path(source).name for source in sources) or "a table in memory",
        "state": "finished" if run.finished else "stopped",
    }
    if not run.finished:
        return row
    try:
        return row | _scored(run.read_json(folder.RESULTS))
    except InputError as error:
        return row | {"state": f"damaged: {error}"}
    except (KeyError, TypeError, AttributeError):
        file = run.path / f"{folder.RESULTS}.json"
        return row | {"state": f"damaged: {file}: it holds no results of a run."}


def _scored(results: dict[str, Any]) -> dict[str, Any]:
    """Return the score of a finished run, and the best baseline."""
    metric = results["metric"]
    best = next((row for row in report.score_rows(results) if not row["ours"]), None)
    return {
        "metric": metric,
        "score": results["test"][metric],
        "baseline": best["name"] if best else None,
        "baseline_score": best["metrics"].get(metric) if best else None,
        "verdict": results["verdict"],
    }


def compare(paths: Sequence[Path]) -> dict[str, Any]:
    """Return the settings that differ between runs, and how sure the differences in score are.

    The first run is compared with each of the others. Where both were judged on the same test
    rows and their data are still there, both are scored again and the rows resampled in pairs.

    Returns:
        `metric`, `higher_is_better`; `runs`: path, scores and interval of each; `settings`: name
        to the values that differ; `differences`: for each other run by how much it is better
        than the first, with the interval, or `why` that cannot be said.

    Raises:
        InputError: fewer than two runs, one was not finished, or their tasks differ.
    """
    if len(paths) < 2:
        raise InputError("a comparison takes two runs or more.", fix="Name them one by one.")
    runs = [Run(path) for path in paths]
    known = dict[Path, Path]()
    for path in paths:
        if (first := known.setdefault(path.resolve(), path)) is not path:
            raise InputError(
                f"this is the run {first} again, and a run does not differ from itself.",
                file=path,
                fix="Name another run.",
            )
    configs = [run.config() for run in runs]
    results = [run.read_json(folder.RESULTS) for run in runs]
    tasks = sorted({config["task"] for config in configs})
    if len(tasks) > 1:
        raise InputError(
            f"these runs are of different tasks: {', '.join(tasks)}.",
            fix="Compare runs of one task.",
        )
    metrics = sorted({result["metric"] for result in results})
    if len(metrics) > 1:
        raise InputError(f"these runs are judged by different metrics: {', '.join(metrics)}.")
    names = dict.fromkeys(name for config in configs for name in config["settings"])
    values = {name: [config["settings"].get(name) for config in configs] for name in names}
    return {
        "task": tasks[0],
        "metric": metrics[0],
        "higher_is_better": results[0]["higher_is_better"],
        "runs": [
            {
                "run": str(run.path),
                "test": result["test"],
                "ci95": result["ci95"].get(metrics[0]),
                "parameters": result["parameters"],
                "seconds": result["seconds"]["train"],
            }
            for run, result in zip(runs, results, strict=True)
        ],
        "settings": {n: v for n, v in values.items() if any(one != v[0] for one in v)},
        "differences": _differences(runs, configs, metrics[0], results[0]["higher_is_better"]),
    }


def _differences(
    runs: Sequence[Run], configs: Sequence[dict[str, Any]], metric: str, higher: bool
) -> list[dict[str, Any]]:
    """Return for each run after the first its difference to it, or why none can be said."""
    evaluations: dict[Path, Evaluation] = {}
    said = []
    for run, config in zip(runs[1:], configs[1:], strict=True):
        why = _unpaired(configs[0], config)
        found: dict[str, Any] = {"run": str(run.path)}
        try:
            if why is None:
                for one in (runs[0], run):
                    if one.path not in evaluations:
                        evaluations[one.path] = pipeline.scored_again(one)
        except InputError as error:
            why = f"their rows cannot be paired: {error}"
        if why is not None:
            said.append(found | {"why": why})
            continue
        beside = intervals.bootstrap(
            evaluations[run.path],
            {"first": evaluations[runs[0].path]},
            metric,
            higher,
            int(config["settings"]["resamples"]) or _RESAMPLES,
            int(config["settings"]["seed"]),
        ).comparison
        difference, pair = (beside.difference, beside.ci95) if beside else (None, None)
        said.append(
            found
            | {
                "better_by": difference,
                "ci95": None if pair is None else list(pair),
                "sure": pair is not None and not pair[0] <= 0 <= pair[1],
            }
        )
    return said


def _unpaired(first: dict[str, Any], other: dict[str, Any]) -> str | None:
    """Return why the test rows of two runs are not the same, or None where they are."""
    if first.get("data") != other.get("data"):
        return "they were trained on different data, so no rows can be paired"
    one, two = first["settings"], other["settings"]
    names = [name for name in _ROWS if one.get(name) != two.get(name)]
    if names:
        return f"their test rows differ, since {', '.join(names)} differ"
    return None


def words(found: dict[str, Any]) -> list[str]:
    """Return the differences of a comparison as sentences."""
    first, said = found["runs"][0]["run"], []
    metric = found["metric"].replace("_", " ")
    for other in found["differences"]:
        if "why" in other:
            said.append(f"{other['run']} beside {first}: not said, for {other['why']}.")
            continue
        by, pair = other["better_by"], other["ci95"]
        beside = f"{other['run']} is {'better' if by > 0 else 'worse'} than {first}"
        if by == 0:
            beside = f"{other['run']} is as good as {first}"
        sure, much = "surely" if other["sure"] else "not surely", written(abs(by), 3)
        interval = "not known"
        if pair is not None:
            interval = f"[{written(pair[0], 3)}, {written(pair[1], 3)}]"
        said.append(
            f"{beside} by {much} in {metric}, {sure}: the interval of the gain on the same rows is "
            f"{interval}."
        )
    return said


def page(found: dict[str, Any]) -> str:
    """Return the comparison as a self-contained page: scores, differences, settings, curves."""
    histories = {one["run"]: Run(Path(one["run"])).history() for one in found["runs"]}
    curves = report.svg(_curves(histories, found["metric"]))
    return report.page("compare", found=found, words=words(found), curves=curves)


def _curves(histories: dict[str, list[dict[str, Any]]], metric: str) -> Figure:
    from matplotlib.figure import Figure

    panels: dict[str, Callable[[dict[str, Any]], float | None]] = {
        "training loss": lambda row: row.get("loss"),
        f"validation {metric.replace('_', ' ')}": lambda row: row.get("valid", {}).get(metric),
    }
    drawn = {
        label: {
            name: [(row["step"], of(row)) for row in history if of(row) is not None]
            for name, history in histories.items()
        }
        for label, of in panels.items()
    }
    drawn = {label: lines for label, lines in drawn.items() if any(lines.values())}
    figure = Figure(figsize=(7.5, 2.5 * max(1, len(drawn))))
    if not drawn:
        return figure
    axes = figure.subplots(len(drawn), 1, sharex=True, squeeze=False)[:, 0]
    for panel, (label, lines) in zip(axes, drawn.items(), strict=True):
        for number, (name, points) in enumerate(lines.items()):
            if points:
                colour = _COLOURS[number % len(_COLOURS)]
                panel.plot(
                    *zip(*points, strict=True),
                    color=colour,
                    linewidth=1.2,
                    marker="o",
                    markersize=3,
                    label=name,
                )
        panel.set_ylabel(label)
    axes[0].legend(frameon=False, fontsize=8)
    axes[-1].set_xlabel("step")
    return figure
