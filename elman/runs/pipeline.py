"""From a file to a judged run: the steps that are the same for every task.

Read and split, fit what is fitted on the training part, train, score beside
baselines on the held-out part, bootstrap, write the run, render the report.
"""

from __future__ import annotations

import json
import math
import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

import elman
from elman.data.memory import names_files
from elman.errors import InputError
from elman.runs import folder, growing, keeping, reference
from elman.runs.folder import Run
from elman.runs.growing import Origin
from elman.runs.keeping import Kept
from elman.runs.later import read_as_in_training
from elman.runs.model import Model
from elman.runs.reference import Reference
from elman.scoring import Evaluation, calibration
from elman.scoring import bootstrap as intervals
from elman.scoring.blending import Blend
from elman.tasks import TASKS
from elman.tasks.base import Planning, Task
from elman.tasks.settings import TaskSettings, settings_of
from elman.training import Display, Fit, Interrupted, fit, seed, seeds
from elman.training.distributed import Ranks, from_first, ranks
from elman.training.progress import doing, say, stages
from elman.training.update import device

if TYPE_CHECKING:
    import pandas as pd


REPORTING = 9.0
"""Seconds of a budget that are kept for imports and for the report, apart from judging."""


@dataclass(frozen=True)
class Finished:
    """A finished run, as `elman.train` returns it: scores, model, and the path of the run."""

    results: dict[str, Any]
    model: Model
    path: Path


def train(
    task: str,
    data: Any,
    out: str | Path | None = None,
    *,
    valid: Any = None,
    test: Any = None,
    start_from: str | Path | None = None,
    progress: bool = True,
    **settings: Any,
) -> Finished:
    """Train a recurrent model on `data` and judge it; the same as `elman train`.

    Args:
        task: a name that `elman tasks` lists.
        data: a path, several paths, a folder, or a pandas DataFrame.
        out: the run directory; a fresh one under `runs/` when not given.
        valid: data to choose the best model on, instead of a part of `data`.
        test: data for the final score, instead of a part of `data`.
        start_from: a finished run to go on from: its model learns the new data, with new words,
            labels or series, and is also scored on the old test part, before and after.
        progress: whether to report on standard error while training.
        **settings: as `elman config TASK DATA` lists them.

    Returns:
        The scores (`results.json` as a dict), the model, and the run's path.

    Raises:
        InputError: data or settings are wrong; the message says where.
        RunFailed: training diverged for good, or the disk is full.
    """
    began = time.perf_counter()
    kind = TASKS[task]
    wanted = settings_of(kind, settings)
    origin = None
    if start_from is not None:
        opened = Run(Path(start_from))
        origin = _origin(opened, growing.check(opened, task))
        wanted = growing.settings_from(origin, wanted)
    elif wanted.rehearsal is not None:
        raise InputError(
            "rehearsal has no effect: this run goes on from no other one.",
            fix="Leave it out, or name a run with --from (start_from=).",
        )
    place = ranks()
    if wanted.reference and not place.alone:
        raise InputError(
            "a reference is trained by one process only, and there are several.",
            fix="Leave reference out.",
        )
    path = Path(out) if out is not None else folder.fresh_path(task, data)
    if not place.alone:
        path = Path(from_first(str(path)))
    run = folder.create(path) if place.writes else Run(path)
    try:
        seed(wanted.seed)
        if origin is None:
            made = kind.from_data(data, wanted, valid=valid, test=test)
        else:
            with read_as_in_training(type(wanted).may_change()):
                made = origin.task.grown(origin.task, data, wanted, valid=valid, test=test)
        sources = _sources(data, valid, test)
        if origin is not None:
            growing.check_new(origin, sources)
        if progress and place.writes:
            sys.stderr.write(f"{growing.understood(made, origin)}\n")
        module = _built(made, origin)
        if wanted.reference:
            with seeds.kept():
                reference.built(made, module)  # where there is none, that is said at once
        if place.writes:
            _record(run, made, sources, origin)
    except BaseException as error:
        if place.writes:
            folder.discard(run)
        if isinstance(error, KeyboardInterrupt):
            raise Interrupted("Interrupted before training began; nothing was kept.") from None
        raise
    return _train_and_judge(
        made, module, run, place, origin, resume=False, progress=progress, began=began
    )


def resume(run: str | Path, *, progress: bool = True) -> Finished:
    """Go on with a run that was stopped, to the same end as if it had not been.

    Raises:
        InputError: not a run, or its data is gone or has changed.
    """
    began = time.perf_counter()
    opened = Run(Path(run))
    config = opened.config()
    if opened.finished:
        if progress:
            sys.stderr.write("This run had finished; nothing was trained.\n")
        return _finished(opened)
    origin = _recorded_origin(config)
    made = from_recorded_data(opened, config, origin)
    place = ranks()
    module = _built(made, origin)
    return _train_and_judge(
        made, module, opened, place, origin, resume=True, progress=progress, began=began
    )


def load(run: str | Path, predictor: str = keeping.MODEL) -> Model:
    """A trained model, ready to predict, generate and stream.

    Args:
        run: the run directory.
        predictor: what answers: `model`, `blend`, `best` (what the verdict recommends), or a
            baseline by its name or a beginning of it.

    Raises:
        InputError: not a run, not finished, damaged, or made by a newer Elman; or there is no
            such predictor.
    """
    opened = Run(Path(run))
    config = opened.config()
    task = without_data(opened, config)
    module = _with_weights(task, opened)
    kept = Kept.of(opened, task)
    return Model(task, module, opened.path, keeping.used(kept, opened, module, predictor))


def evaluate(run: str | Path, data: Any = None) -> dict[str, Any]:
    """Score a run on new data (or again on its own test part), beside its baselines.

    The kept baselines are used. A run that keeps none has them fitted again on its training data
    where that is still there; where it is not, `baselines` is empty and `note` says why.

    Returns:
        `task`, `metric`, `test`, `ci95`, `baselines`, `verdict`, as in `results.json`.
    """
    opened = Run(Path(run))
    config = opened.config()
    note = None
    if data is not None and opened.keeps_predictors:
        task = without_data(opened, config)
    else:
        try:
            task = from_recorded_data(opened, config)
        except InputError as error:
            if data is None:
                raise
            task = without_data(opened, config)
            note = f"Baselines were not run: {error}"
    module = _with_weights(task, opened)
    kept = Kept.of(opened, task)
    with read_as_in_training():
        if kept is not None:
            blend = kept.blend(module)
            results, _ = judged(task, module, kept.all(), blend, kept.index["model"], data)
        else:
            results = judge(task, task.evaluate(module, data), {} if note else task.baselines(data))
    overlap = None if data is None else task.overlap(data)
    said = [words for words in (overlap, note) if words]
    return results | ({"note": " ".join(said)} if said else {})


def scored_again(run: Run) -> Evaluation:
    """Score a run on its own test part once more, for what its files do not hold.

    Raises:
        InputError: its data are gone or have changed.
    """
    task = from_recorded_data(run, run.config())
    return task.evaluate(_with_weights(task, run))


def judged(
    task: Task,
    module: torch.nn.Module,
    predictors: Sequence[Any],
    blend: Blend | str,
    about: dict[str, Any],
    data: Any = None,
    *,
    known: Sequence[Evaluation | InputError] | None = None,
) -> tuple[dict[str, Any], Evaluation]:
    """Score model, fitted baselines and blend on the same units.

    Args:
        task: the task of the run.
        module: the model.
        predictors: the baselines.
        blend: the mixture, or why there is none.
        about: as the task's `settle` found out about the model.
        data: what is scored on; the test part when None.
        known: the scores of the baselines, where they have been found before.

    Returns:
        What `judge` returns, with the blend, what could not be run, and how far the model's
        probabilities can be believed; and the scores of the model.
    """
    mixed = [blend] if isinstance(blend, Blend) else []
    asked = [] if known is not None else predictors
    own, *others = task.scores([module, *asked, *mixed], data)
    if isinstance(own, InputError):
        raise own
    together = others.pop() if mixed else None
    pairs = list(zip(predictors, others if known is None else known, strict=True))
    results = judge(
        task,
        own,
        {one.name: e for one, e in pairs if isinstance(e, Evaluation)},
        (blend.baseline.name, together) if isinstance(together, Evaluation) else None,  # type: ignore[union-attr]
    )
    if isinstance(blend, str):
        results["blend"] = {"none": blend}
    elif isinstance(together, Evaluation):
        facts = {"name": blend.name, "with": blend.baseline.name, "weight": blend.weight}
        results["blend"] = facts | results["blend"]
    else:
        results["blend"] = {"none": f"{blend.baseline.name} could not be run: {together}"}
    gone = {one.name: str(e) for one, e in pairs if isinstance(e, InputError)}
    found = calibration.of_units(own.units)
    return (
        results
        | ({"not_run": gone} if gone else {})
        | ({"calibration": found | about} if found is not None else {})
    ), own


def judge(
    task: Task,
    evaluation: Evaluation,
    baselines: Mapping[str, Evaluation],
    blend: tuple[str, Evaluation] | None = None,
) -> dict[str, Any]:
    """Scores, intervals and the verdict of one evaluation, as plain data.

    Args:
        task: tells the metric.
        evaluation: of the model.
        baselines: each one's scores on the same units.
        blend: the name of the baseline that the model is mixed with, and the mixture's scores.
    """
    settings: TaskSettings = task.settings
    found = intervals.bootstrap(
        evaluation,
        baselines,
        task.metric,
        task.higher_is_better,
        settings.resamples,
        settings.seed,
        blend=None if blend is None else blend[1],
    )
    best = found.comparison.baseline if found.comparison else None
    words, preferred = _evidence(task, found.comparison, evaluation, baselines)
    sentence = intervals.verdict(
        task.metric,
        evaluation.metrics[task.metric],
        baselines[best].metrics[task.metric] if best else None,
        found.comparison,
        words,
    )
    recommended = intervals.recommended(found.comparison, preferred)
    mixed: dict[str, Any] = {}
    if blend is not None:
        name, mixture = blend
        mixed["blend"] = {
            "test": _plain(mixture.metrics),
            "ci95": _bounds(found.blend),
            "better_by": {one.baseline: _gain(one) for one in found.gains},
        }
        if all(one.ci95 is not None and one.ci95[0] > 0 for one in found.gains):
            recommended = keeping.BLEND
            sentence = intervals.together(
                task.metric, name, mixture.metrics[task.metric], found.gains
            )
    return {
        "task": task.name,
        "metric": task.metric,
        "higher_is_better": task.higher_is_better,
        "test": _plain(evaluation.metrics),
        "ci95": _bounds(found.model),
        "baselines": {name: _plain(e.metrics) for name, e in baselines.items()},
        "baselines_ci95": {name: _bounds(by_metric) for name, by_metric in found.baselines.items()},
        **mixed,
        **({"undefined_resamples": found.undefined} if found.undefined else {}),
        "verdict": sentence,
        "recommended": recommended or keeping.MODEL,
    }


def _evidence(
    task: Task,
    found: intervals.Comparison | None,
    evaluation: Evaluation,
    baselines: Mapping[str, Evaluation],
) -> tuple[str | None, bool | None]:
    """Return what earlier origins show, and whether they prefer the model.

    They are asked only where the test has too few to resample.
    """
    if found is None or found.ci95 is not None or not isinstance(task, Planning):
        return None, None
    scores = (evaluation.metrics[task.metric], baselines[found.baseline].metrics[task.metric])
    return task.evidence(found.baseline, scores) or (None, None)


def _gain(found: intervals.Comparison) -> dict[str, Any]:
    """Return a difference with its interval as JSON can hold it: no NaN."""
    ends = [] if found.ci95 is None else list(found.ci95)
    return {
        "difference": found.difference if math.isfinite(found.difference) else None,
        "ci95": ends if ends and all(map(math.isfinite, ends)) else None,
    }


def without_data(opened: Run, config: dict[str, Any]) -> Task:
    """Return the task of a run, made from its assets: it can evaluate and predict what is given.

    Raises:
        InputError: an asset is missing or damaged.
    """
    kind = TASKS[config["task"]]
    with _whole(opened):
        assets = _assets(opened, config, kind)
        task: Task = kind.from_assets(kind.recorded(config["settings"], assets), assets)
    return task


@contextmanager
def _whole(opened: Run) -> Iterator[None]:
    """Say which part of a run's assets is gone, where something in them is looked up in vain."""
    try:
        yield
    except KeyError as error:
        raise InputError(
            f"the assets of this run are damaged: {error.args[0]!r} is missing.",
            file=opened.assets_folder,
            fix="Restore the folder, or train again.",
        ) from None


def _assets(opened: Run, config: dict[str, Any], kind: Any) -> dict[str, Any]:
    assets = opened.assets()
    if config["format"] == 1:
        assets = kind.from_format_1(assets)
    return assets


def _built(task: Task, origin: Origin | None) -> torch.nn.Module:
    """The model as its seed begins it, or as another run left it; and the seed of training."""
    seed(task.settings.seed)
    module = task.build()
    if origin is not None:
        growing.begin(module, task, origin)
    return module


def _origin(opened: Run, config: dict[str, Any], missing: str | None = None) -> Origin:
    """Return a run to go on from, with its data where they are there as they were.

    Args:
        opened: the run.
        config: its configuration.
        missing: why its data could not be read, as once recorded.
    """
    if missing is None:
        try:
            recorded_sources(opened, config)
        except InputError as error:
            missing = str(error)
    task = from_recorded_data(opened, config) if missing is None else without_data(opened, config)
    Kept.of(opened, task)  # lets the task recall what was found out about its model
    return Origin(opened, task, _with_weights(task, opened).cpu().state_dict(), missing)


def _recorded_origin(config: dict[str, Any]) -> Origin | None:
    """Return the run that a recorded one goes on from; None where it goes on from none."""
    about = config.get("from")
    if about is None:
        return None
    opened = growing.check_recorded(about)
    return _origin(opened, growing.check(opened, config["task"]), about["missing"])


def _train_and_judge(
    task: Task,
    module: torch.nn.Module,
    run: Run,
    place: Ranks,
    origin: Origin | None,
    *,
    resume: bool,
    progress: bool,
    began: float,
) -> Finished:
    rivals = None
    try:
        with stages(progress):
            if place.writes:
                rivals = _rivals(task)
            settings = _planned(task, module, run, place)
        objective, batches = task.objective(module), task.batches(place.rank, place.world_size)
    except KeyboardInterrupt:
        raise Interrupted(
            f"Interrupted before training went on. Go on with: elman resume {run.path}"
        ) from None
    started = time.perf_counter()
    around = started - began + REPORTING
    if settings.reference:
        # Model and reference share the budget, and what comes around them, in halves.
        settings = settings.model_copy(update={"budget": settings.own_budget})
        around /= 2
    how: dict[str, Any] = {"resume": resume, "around": around, "judging": task.judging()}
    fitted = fit(
        objective,
        batches,
        settings,
        run=run.path,
        progress=Display() if progress else None,
        **how,
    )
    if rivals is None:
        return Finished({}, Model(task, module, run.path), run.path)
    folder.write_whole(run.weights, save(_contiguous(module), {"elman": elman.__version__}))
    seconds = {"before": started - began, "train": time.perf_counter() - started}
    beside = None
    if settings.reference:
        with stages(progress):
            say("The model is trained. A Transformer of as many parameters is, for reference.")
        beside = reference.trained(
            task,
            module,
            settings,
            run.reference,
            progress=Display() if progress else None,
            **how,
        )
        seconds["reference"] = time.perf_counter() - started - seconds["train"]
    try:
        with stages(progress):
            results = _judge_and_report(task, module, run, fitted, rivals, beside, seconds, origin)
    except KeyboardInterrupt:
        raise Interrupted(
            f"Stopped after training, before the scores. Go on with: elman resume {run.path}"
        ) from None
    return Finished(results, Model(task, module, run.path), run.path)


def _rivals(task: Task) -> Sequence[Evaluation | InputError]:
    """Fit the baselines and score them on the test part, or say why one cannot be.

    It is done before the model is trained. So their time is known when the rest of a budget is
    shared out, and a person sees what there is to beat.
    """
    predictors = task.predictors()
    with doing("scoring the baselines"):
        return task.scores(predictors)


def _planned(task: Task, module: torch.nn.Module, run: Run, place: Ranks) -> TaskSettings:
    """Return the settings to train with, by the plan of a task that makes one.

    It is made once and kept in the run, so that a resumed run goes on by the same. Several
    processes train without one.
    """
    settings: TaskSettings = task.settings
    if not isinstance(task, Planning) or not place.alone:
        return settings
    plan = run.assets().get("plan")
    if plan is None:
        try:
            plan = task.make_plan(module, say)
        except Interrupted:
            raise Interrupted(
                f"Stopped while training was planned. Go on with: elman resume {run.path}"
            ) from None
        if plan is None:
            return settings
        task.follow(plan)
        run.write_assets(task.assets())
    settings = task.follow(plan)
    return settings


def _judge_and_report(
    task: Task,
    module: torch.nn.Module,
    run: Run,
    fitted: Fit,
    rivals: Sequence[Evaluation | InputError],
    beside: Reference | None,
    seconds: dict[str, float],
    origin: Origin | None,
) -> dict[str, Any]:
    from elman.runs import report

    began = time.perf_counter()
    module.eval()
    say("Training is over. The model is judged on the test part.")
    about, predictors = task.settle(module), task.predictors()
    with doing("mixing the model with the best baseline"):
        blend = task.blend(module, predictors)
    keeping.keep(run, predictors, about, blend)
    with doing("scores and their intervals"):
        results, evaluation = judged(task, module, predictors, blend, about, known=rivals)
    if origin is not None:
        with doing("scoring the old test part"):
            before = _with_weights(origin.task, origin.run)
            results["grown"] = growing.remembered(task, origin, before, module)
    if evaluation.predictions is not None:
        _write_predictions(run, evaluation.predictions)
    with doing("the pictures of the report"):
        sections = report.freeze(task.sections(module, evaluation))
    if beside is not None:
        with doing("scoring the reference"):
            results["reference"] = _referred(task, evaluation, beside, fitted)
    seconds["judge"] = time.perf_counter() - began
    results |= _circumstances(task, module, fitted, seconds)
    if beside is not None:
        sections += report.freeze([reference.section(results)])
    run.write_json(folder.SECTIONS, sections)
    results["understood"] = growing.understood(task, origin).to_json()
    if origin is not None:
        results["understood"]["doubts"] += growing.warning(results["grown"])
    perfect = [name for name, one in results["baselines"].items() if one.get(task.metric) == 1.0]
    if results["test"][task.metric] == 1.0:
        perfect = ["the model", *perfect]
    if perfect and task.higher_is_better:
        results["understood"]["doubts"].append(_perfect(task, perfect))
    run.write_json(folder.RESULTS, results)
    report.render(run)
    run.keep_checkpoints(task.settings.checkpoints)
    run.drop_reference()
    return results


def _referred(task: Task, evaluation: Evaluation, beside: Reference, fitted: Fit) -> dict[str, Any]:
    """Return the scores of the reference, and how far the model is from it on the same units.

    The difference is positive where the model is better.
    """
    theirs, settings = beside.judged(), task.settings
    found = intervals.bootstrap(
        evaluation,
        {reference.NAME: theirs},
        task.metric,
        task.higher_is_better,
        settings.resamples,
        settings.seed,
    )
    between = found.comparison
    return beside.facts() | {
        "test": _plain(theirs.metrics),
        "ci95": _bounds(found.baselines[reference.NAME]),
        "difference": None if between is None else _gain(between),
        "model_seconds": round(fitted.seconds, 1),
        "step_costs": reference.step_costs(task, beside.module),
    }


def _perfect(task: Task, perfect: Sequence[str]) -> str:
    """Return what is to be said of a perfect score, of the model or of a baseline."""
    more = f" and {len(perfect) - 3} more" if perfect[3:] else ""
    said = f"the score of {', '.join(perfect[:3])}{more} is perfect, which real data seldom allow"
    found = task.leaks()
    if found is None:
        return f"{said}."
    if not found:
        return f"{said}; no single word or column tells the answer by itself."
    one = len(found) == 1
    return (
        f"{said}: look for a leak. {', '.join(found[:8])} "
        f"{'tells the answer by itself' if one else 'tell the answer by themselves'}. If "
        f"{'it is' if one else 'they are'} not known yet when the model is used, take "
        f"{'it' if one else 'them'} out."
    )


def _record(run: Run, task: Task, sources: dict[str, Any], origin: Origin | None) -> None:
    grown_from = None if origin is None else origin.recorded()
    config = folder.config_yaml(task.name, task.settings, sources, grown_from)
    folder.record(run, config, task.assets())


def _circumstances(
    task: Task, module: torch.nn.Module, fitted: Fit, seconds: Mapping[str, float]
) -> dict[str, Any]:
    settings: TaskSettings = task.settings
    return {
        "seed": settings.seed,
        "budget": settings.budget,
        "seconds": {phase: round(took, 1) for phase, took in seconds.items()},
        "training": {
            "steps": fitted.steps,
            "epochs": fitted.epochs,
            "stopped": fitted.stopped,
            "best": _plain(fitted.best),
            "best_step": fitted.best_step,
            "best_epoch": fitted.best_epoch,
            "still_improving": fitted.improving,
        },
        "parameters": sum(p.numel() for p in module.parameters() if p.requires_grad),
        "data": task.describe(),
        "versions": {
            "elman": elman.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
    }


def _finished(run: Run) -> Finished:
    return Finished(run.read_json(folder.RESULTS), load(run.path), run.path)


def _with_weights(task: Task, run: Run) -> torch.nn.Module:
    if not run.weights.exists():
        told = [row["what"] for row in run.history() if row.get("event") == "rollback"]
        if told:
            raise InputError(
                f"training of this run diverged {len(told)} times and left no model. {told[-1]}",
                file=run.path,
                fix="Train again with a lower lr or with clipping, and look at the data of that "
                "step for numbers beyond the others.",
            )
        raise InputError(
            "this run has no trained model yet.",
            file=run.path,
            fix=f"Go on with: elman resume {run.path}",
        )
    settings: TaskSettings = task.settings
    module = task.build()
    try:
        module.load_state_dict(load_file(run.weights))
    except (SafetensorError, RuntimeError) as error:
        raise InputError(
            f"these weights do not fit the run's configuration: {str(error).splitlines()[0]}",
            file=run.weights,
            fix=f"Restore the file, or train again with: elman train {task.name} DATA",
        ) from None
    wanted = settings.device if torch.cuda.is_available() else "cpu"
    return module.to(device(wanted)).eval()


def _contiguous(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {k: v.detach().cpu().contiguous() for k, v in module.state_dict().items()}


def _sources(data: Any, valid: Any, test: Any) -> dict[str, Any]:
    """Where the data came from and what it was, so that a later resume can be sure of it."""
    from elman.data import fingerprint

    parts = {"train": data, "valid": valid, "test": test}
    recorded: dict[str, Any] = {}
    for part, source in parts.items():
        if source is None:
            continue
        paths = _paths(source)
        if paths is None:
            recorded[part] = None
            continue
        recorded[part] = [str(path.resolve()) for path in paths]
        recorded[f"{part}_fingerprint"] = [fingerprint(path) for path in paths]
    return recorded


def _paths(source: Any) -> list[Path] | None:
    if not names_files(source):
        return None
    return [Path(p) for p in (source if isinstance(source, list | tuple) else [source])]


def recorded_sources(run: Run, config: dict[str, Any]) -> dict[str, Any]:
    """Where a run's `train`, `valid` and `test` data lie, None for a part it was not given.

    Raises:
        InputError: some is gone, has changed or was a table in memory.
    """
    from elman.data import fingerprint

    recorded = config.get("data") or {}
    parts: dict[str, Any] = {}
    for part in ("train", "valid", "test"):
        if part not in recorded:
            parts[part] = None
            continue
        if recorded[part] is None:
            raise InputError(
                f"the {part} data of this run was a table in memory, so it cannot be read again.",
                file=run.config_file,
            )
        for name, expected in zip(recorded[part], recorded[f"{part}_fingerprint"], strict=True):
            if not Path(name).exists():
                raise InputError(
                    f"the {part} data of this run is no longer there.",
                    file=name,
                    fix="Put it back, or train a new run.",
                )
            if fingerprint(Path(name)) != expected:
                raise InputError(
                    f"the {part} data has changed since run {run.path} began.",
                    file=name,
                    fix="Put the old data back, or train a new run.",
                )
        parts[part] = recorded[part] if len(recorded[part]) > 1 else recorded[part][0]
    return parts


def from_recorded_data(run: Run, config: dict[str, Any], origin: Origin | None = None) -> Task:
    """The task of a run, made again from its data, and where it went on from another run from that.

    Args:
        run: the run.
        config: its configuration.
        origin: the run that it went on from, where that was opened already.

    Raises:
        InputError: as `recorded_sources`.
    """
    parts = recorded_sources(run, config)
    origin = origin or _recorded_origin(config)
    kind = TASKS[config["task"]]
    with _whole(run):
        assets = _assets(run, config, kind)
        settings = kind.recorded(config["settings"], assets)
    seed(settings.seed)
    given = parts.pop("train")
    task: Task
    if origin is None:
        task = kind.from_data(given, settings, **parts)
    else:
        task = origin.task.grown(origin.task, given, settings, **parts)
    if isinstance(task, Planning):
        with _whole(run):
            task.follow(assets.get("plan"))
    return task


def _write_predictions(run: Run, predictions: pd.DataFrame) -> None:
    from io import BytesIO

    buffer = BytesIO()
    predictions.to_parquet(buffer, index=False)
    folder.write_whole(run.predictions, buffer.getvalue())


def _bounds(found: Mapping[str, tuple[float, float]]) -> dict[str, list[float] | None]:
    """Return intervals as JSON can hold them: none of a metric that is undefined."""
    return {name: None if low != low else [low, high] for name, (low, high) in found.items()}


def _plain(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """Metrics as JSON can hold them: no NaN, no infinity."""
    return json.loads(  # type: ignore[no-any-return]
        json.dumps(
            {k: v if v == v and abs(v) != float("inf") else None for k, v in metrics.items()}
        )
    )
