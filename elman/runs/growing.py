"""A run that goes on from another one: what it takes over, what is new, and what was forgotten.

The tensors of a network that have an entry for each name of a vocabulary keep the entries of the
names that were known, wherever these stand now; every other tensor is taken over whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from elman.data import fingerprint
from elman.data.vocabulary import SPECIALS
from elman.errors import InputError
from elman.modalities.base import Indexed
from elman.runs import folder
from elman.runs.folder import Run
from elman.scoring import Evaluation
from elman.scoring import bootstrap as intervals
from elman.tasks import TASKS
from elman.tasks.base import Growing
from elman.tasks.understood import Understood, listed
from elman.writing import written

REHEARSAL = 0.2
"""Share of the old training data that is read again where nothing is set."""
_LEFT_OPEN = frozenset({"epochs", "max_steps", "budget", "valid_fraction", "test_fraction", "rows"})
"""Settings that say how long to train and what to hold out: they follow from the new data."""
_MEMBER = re.compile(r"^members\.\d+\.")


@dataclass(frozen=True)
class Origin:
    """The run that another one goes on from.

    Attributes:
        run: its folder.
        task: its task, with its data where these are still there.
        state: its parameters.
        missing: why its data cannot be read again; None where they can.
    """

    run: Run
    task: Any
    state: dict[str, Tensor]
    missing: str | None

    def recorded(self) -> dict[str, Any]:
        """Return what the configuration of the new run says of this one."""
        return {
            "run": str(self.run.path.resolve()),
            "weights": fingerprint(self.run.weights),
            "missing": self.missing,
        }


def check(run: Run, task: str) -> dict[str, Any]:
    """Return the configuration of a run that a new one may go on from.

    Raises:
        InputError: it is of another task or of an older format, its task cannot grow, or it was
            not finished.
    """
    config = run.config()
    if config["task"] != task:
        raise InputError(
            f"this run is of the task {config['task']}, so a run of {task} cannot go on from it.",
            file=run.path,
            fix=f"Use: elman train {config['task']} DATA --from {run.path}",
        )
    if config["format"] != folder.FORMAT:
        raise InputError(
            f"this run has format {config['format']}, of an older Elman; only runs of format "
            f"{folder.FORMAT} can be gone on from.",
            file=run.path,
            fix="Train it again with this Elman.",
        )
    if not issubclass(TASKS[task], Growing):
        raise InputError(
            f"a run of {task} cannot go on with new data yet.",
            file=run.path,
            fix="Put the old data and the new ones together, and train a new run on them: "
            f"elman train {task} DATA, without --from.",
        )
    if not run.finished:
        raise InputError(
            "this run is not finished, so nothing can go on from it.",
            file=run.path,
            fix=f"Go on with: elman resume {run.path}",
        )
    return config


def check_recorded(origin: Mapping[str, Any]) -> Run:
    """Return the run that a recorded one went on from, which must be there as it was.

    Raises:
        InputError: it is gone, or its weights are others.
    """
    run = Run(Path(origin["run"]))
    if not run.weights.exists():
        raise InputError(
            "the run that this one goes on from is no longer there.",
            file=run.path,
            fix="Put it back, or train a new run.",
        )
    if fingerprint(run.weights) != origin["weights"]:
        raise InputError(
            "the run that this one goes on from has other weights than when it began.",
            file=run.weights,
            fix="Put the old ones back, or train a new run.",
        )
    return run


def settings_from(origin: Origin, wanted: Any) -> Any:
    """Return the settings of the other run with those that were set anew.

    Args:
        origin: the other run.
        wanted: settings that were given, checked.

    Raises:
        InputError: one would shape the model otherwise, or has no effect.
    """
    old = origin.task.settings
    known, free = type(old).model_fields, type(old).may_change()
    given = {name: getattr(wanted, name) for name in wanted.model_fields_set}
    for name, value in given.items():
        if name not in known:
            raise InputError(
                f"{name} means nothing for the input of the run that this one goes on from.",
                file=origin.run.path,
                fix="Leave it out.",
            )
        if name not in free and value != getattr(old, name):
            raise InputError(
                f"{name} comes from the run that this one goes on from: there it is "
                f"{getattr(old, name)!r}, and its weights need it so.",
                file=origin.run.path,
                fix=f"Leave {name} out, or train a new run without --from.",
            )
    rehearsal = given.get("rehearsal")
    if rehearsal and origin.missing is not None:
        raise InputError(
            f"rehearsal={rehearsal:g} has no effect: the data of the other run cannot be read "
            f"again. {origin.missing}",
            file=origin.run.path,
            fix="Put them back, or leave rehearsal out.",
        )
    if rehearsal is None:
        given["rehearsal"] = 0.0 if origin.missing is not None else REHEARSAL
    values = {n: getattr(old, n) for n in known if n not in _LEFT_OPEN}
    return type(old).recorded(values, given)


def check_new(origin: Origin, sources: Mapping[str, Any]) -> None:
    """Refuse training data that are those of the other run.

    Args:
        origin: the other run.
        sources: what the configuration of the new one will say of its data.

    Raises:
        InputError: there is nothing new to learn.
    """
    old = origin.run.config().get("data") or {}
    prints = [set(one.get("train_fingerprint") or ()) for one in (old, sources)]
    if prints[0] and prints[0] == prints[1]:
        raise InputError(
            "these are the data that the other run was trained on: there is nothing new in them.",
            file=origin.run.path,
            fix="Give new data; the old ones are rehearsed by themselves.",
        )


def begin(module: torch.nn.Module, task: Any, origin: Origin) -> None:
    """Give a model the parameters of the run that it goes on from.

    Raises:
        InputError: they do not fit.
    """
    after = module.state_dict()
    names = set(after) ^ set(origin.state)
    if names:
        raise InputError(
            f"the weights of this run do not fit: {listed(sorted(names), 3)}.",
            file=origin.run.weights,
            fix="Train a new run without --from.",
        )
    olds, news = origin.task.indexed(), task.indexed()
    module.load_state_dict(carried(origin.state, after, olds, news))


def carried(
    before: Mapping[str, Tensor],
    after: Mapping[str, Tensor],
    olds: Sequence[Indexed],
    news: Sequence[Indexed],
) -> dict[str, Tensor]:
    """Return the tensors of a network that has grown, with all that it knew before.

    Args:
        before: the tensors of the old network.
        after: those of the new one, as it begins; the entries of new names are taken from here
            where these are to begin like no other one.
        olds, news: the vocabularies by which either is indexed, in the same order.

    >>> old, new = (Indexed("classes", list(names), {"bias": (0,)}) for names in ("ab", "bca"))
    >>> made = carried({"bias": torch.tensor([1.0, 2.0])}, {"bias": torch.zeros(3)}, [old], [new])
    >>> made["bias"].tolist()
    [2.0, 0.0, 1.0]
    """
    kept: dict[str, list[tuple[int, Tensor, Tensor]]] = {}
    for was, now in zip(olds, news, strict=True):
        places = {name: place for place, name in enumerate(was.names)}
        known = [places.get(name, places.get(now.like)) for name in now.names]
        pairs = [(k, place) for k, place in enumerate(known) if place is not None]
        to = torch.tensor([k for k, _ in pairs], dtype=torch.int64)
        of = torch.tensor([place for _, place in pairs], dtype=torch.int64)
        for name, axes in now.axes.items():
            kept.setdefault(name, []).extend((axis, to, of) for axis in axes)
    made = {}
    for name, tensor in after.items():
        source, target = before[name], tensor.clone()
        along = kept.get(_MEMBER.sub("", name), [])
        for axis, _, of in along:
            source = source.index_select(axis, of)
        _put(target, source.to(target), [(axis, to) for axis, to, _ in along])
        made[name] = target
    return made


def _put(target: Tensor, source: Tensor, places: Sequence[tuple[int, Tensor]]) -> None:
    """Write a tensor into another one, at some places of some of its axes."""
    if not places:
        target.copy_(source)
        return
    (axis, to), *rest = places
    part = target.index_select(axis, to.to(target.device))
    _put(part, source, rest)
    target.index_copy_(axis, to.to(target.device), part)


def understood(task: Any, origin: Origin | None) -> Understood:
    """Return how data were read, and beside it what a run goes on from and what is new to it."""
    found: Understood = task.understood()
    if origin is None:
        return found
    lines = [("goes on", f"from {origin.run.path}; {told(task, origin)}")]
    share = task.settings.rehearsal
    words = f"{share:.3g} of its training data is read again" if share else "nothing is read again"
    if origin.missing is not None:
        words += f": {origin.missing}"
    lines.append(("rehearsal", words))
    return Understood([*lines, *found.lines], [*found.doubts, *task.met_before(origin.task)])


_SPECIAL = frozenset(SPECIALS.values())


def told(task: Any, origin: Origin) -> str:
    """Return in words what the vocabularies had, symbols for nothing and the unknown apart, and
    what is new in them."""
    said = []
    for was, now in zip(origin.task.indexed(), task.indexed(), strict=True):
        new = [str(name) for name in now.names if name not in set(was.names)]
        few = f" ({listed(new, 6)})" if new else ""
        old = sum(name not in _SPECIAL for name in was.names)
        said.append(f"{old:,} {was.what} and {len(new):,} new{few}")
    return "; ".join(said) or "nothing in it grows"


def remembered(
    task: Any, origin: Origin, before: torch.nn.Module, after: torch.nn.Module
) -> dict[str, Any]:
    """Return the scores of the other run's test part before and after, as plain data.

    Where its data are gone, `unknown` says why.
    """
    facts: dict[str, Any] = {"run": str(origin.run.path), "new": told(task, origin)}
    why = origin.missing
    if why is None:
        try:
            was, now = task.before_and_after(origin.task, before, after)
        except InputError as error:
            why = str(error)
    if why is not None:
        words = f"What was forgotten of the data of {origin.run.path} cannot be known: {why}"
        return facts | {"unknown": why, "words": words, "forgotten": None}
    return facts | compared(task, was, now, origin.run.path)


def compared(task: Any, was: Evaluation, now: Evaluation, run: Path) -> dict[str, Any]:
    """Return two evaluations on the same units, their difference, and a sentence on both."""
    settings, metric = task.settings, task.metric
    name = "before"
    found = intervals.bootstrap(
        now, {name: was}, metric, task.higher_is_better, settings.resamples, settings.seed
    )
    # Where the old score is undefined there is nothing to compare with.
    gain = found.comparison
    between = None if gain is None else gain.ci95
    worse = None if between is None else between[1] < 0
    words = (
        f"The old test part, of {run}: {metric.replace('_', ' ')} {written(was.metrics[metric])} "
        f"before, {written(now.metrics[metric])} after"
    )
    if between is not None:
        by = "worse" if worse else "better" if between[0] > 0 else "no clear difference"
        edge = f"[{written(between[0], 3)}, {written(between[1], 3)}]"
        words += f"; {by}: {written(gain.difference, 3)} {edge}"  # type: ignore[union-attr]
    elif gain is not None:
        words += "; whether the difference is chance cannot be told"
    return {
        "before": _plain(was.metrics),
        "after": _plain(now.metrics),
        "ci95": {n: _bounds(found.baselines[name][n]) for n in was.metrics},
        "ci95_after": {n: _bounds(found.model[n]) for n in now.metrics},
        "difference": None if gain is None else gain.difference,
        "between": None if between is None else list(between),
        "forgotten": worse,
        "words": f"{words}.",
    }


def _plain(metrics: Mapping[str, float]) -> dict[str, float | None]:
    return {n: v if v == v and abs(v) != float("inf") else None for n, v in metrics.items()}


def _bounds(pair: tuple[float, float]) -> list[float] | None:
    return None if pair[0] != pair[0] else list(pair)


def warning(found: Mapping[str, Any]) -> list[str]:
    """Return a doubt where the old test part is scored worse than before, beyond chance."""
    if not found["forgotten"]:  # or it cannot be told
        return []
    return [
        f"the model has forgotten of what it knew. {found['words']} Set rehearsal higher, or lr "
        "or epochs lower; or train a new run on all the data."
    ]
