"""Forecasting: from series in a file to a model that forecasts any horizon, with intervals.

One or many series, one or many targets, columns known ahead and the calendar. A recurrence
reads a window of the past, segment by segment or step by step, and gives every step of the
horizon at once: a point and quantiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from elman.data import Batches, Scaler, shuffled
from elman.data.seen import Seen, hashes_of
from elman.errors import InputError
from elman.nn.segment import DirectForecaster, SegmentForecaster
from elman.scoring import Evaluation
from elman.scoring.baselines.automatic import NotFitted
from elman.scoring.blending import Blend, blend_of
from elman.scoring.forecasts import score, window_sums
from elman.scoring.predictors import CannotSay
from elman.tasks.base import Sample, Section, device_of
from elman.tasks.forecast import backtest, filling, history, times
from elman.tasks.forecast import baselines as forecast_baselines
from elman.tasks.forecast import data as forecast_data
from elman.tasks.forecast.backtest import Looking, Plan
from elman.tasks.forecast.baselines import Baseline, Forecaster
from elman.tasks.forecast.blend import Judged, blended, weight_of
from elman.tasks.forecast.columns import as_list
from elman.tasks.forecast.data import read_panel
from elman.tasks.forecast.effect import check_effect
from elman.tasks.forecast.intervals import Calibrated
from elman.tasks.forecast.looking import at_series
from elman.tasks.forecast.panel import Panel, Series
from elman.tasks.forecast.rules import rule_of
from elman.tasks.forecast.settings import (
    STEPS,
    ForecastSettings,
    decided,
    plans,
    shortened,
    sized,
)
from elman.tasks.forecast.stream import WindowStream
from elman.tasks.forecast.tables import apart, table, times_of
from elman.tasks.forecast.understood import understood
from elman.tasks.forecast.windows import (
    Batch,
    Ends,
    Floats,
    Held,
    Origins,
    Scale,
    Windows,
    blocks,
    check_positive,
    cut,
    headline,
    held_out_origins,
    observed,
    training_origins,
)
from elman.tasks.reading.tables import named_parts
from elman.tasks.understood import Understood, overlap_words
from elman.training import Objective, fit, seed
from elman.training.progress import announced
from elman.writing import written

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

MOST_TEST_WINDOWS = 20_000
MOST_VALIDATION_WINDOWS = 1_000
BASELINES_SHARE = 0.1
"""Part of a budget for baselines whose form is chosen by itself, ..."""
SECONDS_A_STEP = 0.005
"""... and their time for each step of training where there is no budget, ..."""
MOST_SECONDS = 30.0
"""... and no more than that."""
BACKTEST_SHARE = 3.0
"""As many times longer may baselines take in all origins of a backtest together."""
PLAN = "plan"
MODEL = "recurrent model"


class Forecast:
    """The task `forecast`; see `elman.tasks.base.Task` for what its methods promise."""

    name: ClassVar[str] = "forecast"
    summary: ClassVar[str] = "the next values of one or many series, with intervals"
    Settings = ForecastSettings
    higher_is_better = False

    def __init__(
        self,
        settings: ForecastSettings,
        about: dict[str, Any],
        scales: dict[str, Scale],
        panel: Panel | None = None,
        ends: list[Ends] | None = None,
    ) -> None:
        self.settings = settings
        self.metric: str = settings.metric
        self.targets: list[str] = about["targets"]
        self.frequency: str | None = about["frequency"]
        self.cycles: list[str] = about["cycles"]
        self.columns = Scaler.from_json(about["columns"]) if about["columns"] else None
        # Runs of before numbers were kept have none.
        self.numbers: str | None = about.get("numbers")
        self.time: list[str] = about.get("time") or as_list(settings.time)
        """The columns that the times were read from."""
        self.scales = scales
        self._ends = ends or []
        self.seen: Seen | None = None
        """Hashes of the rows that are trained on and chosen on; None of a run that has none."""
        self._rivals: dict[str, Forecaster] = {}
        """The baselines of the test part, once they have been scored."""
        self._data: Held | None = None
        self._predictors: list[Baseline] | None = None
        self._evaluated: nn.Module | None = None
        self.plan: Plan | None = None
        """The result of the backtest of a short series, once there is one."""
        if panel is not None:
            self._data = self._hold(panel, [scales[s.name] for s in panel.series])

    # Data

    @classmethod
    def modalities(cls) -> list[str]:
        """Return series."""
        return ["series"]

    @classmethod
    def reads(cls, modality: str) -> None:
        """Return None: a forecast cuts windows out of series in its own way."""

    @classmethod
    def recorded(cls, values: dict[str, Any], assets: dict[str, Any]) -> ForecastSettings:
        """Return the settings of a run."""
        return cls.Settings.recorded(values)

    @classmethod
    def from_format_1(cls, assets: dict[str, Any]) -> dict[str, Any]:
        """Return the assets of a run of format 1, which have not changed."""
        return assets

    @classmethod
    def example(cls, modality: str, n: int, seed: int = 0) -> pd.DataFrame:
        """Return a table of one noisy wave over `n` days."""
        import pandas as pd

        noise = np.random.default_rng(seed).normal(scale=0.2, size=n)
        wave = 10 + 3 * np.sin(2 * np.pi * np.arange(n) / 7) + noise
        return pd.DataFrame({"date": pd.date_range("2024-01-01", periods=n), "sales": wave})

    @classmethod
    def from_data(
        cls, data: Any, settings: ForecastSettings, valid: Any = None, test: Any = None
    ) -> Self:
        """Read series and cut them by time: the first rows train, the last ones test.

        A folder whose files say train and test in their names is cut as they say. Where the
        headline metric is undefined for all series, another one takes its place.

        Raises:
            InputError: a cell is no number, times are unsorted or repeated, or a series is too
                short for the horizon.
        """
        if valid is None and test is None and (parts := named_parts(data)) is not None:
            data, valid, test = (parts.get(part) for part in ("train", "valid", "test"))
        panel = read_panel(data, settings)
        given, panels = settings, [panel]
        settings = settings.model_copy(update=panel.found)
        told: dict[str, dict[str, int]] = {}
        for part, source in (("valid", valid), ("test", test)):
            if source is not None:
                later = read_panel(source, settings)
                panels.append(later)
                told[part] = {s.name: len(s) for s in later.series}
                panel = forecast_data.extend(panel, later, part)
        check_effect(given, panels, list(told))
        asked, settings = settings, decided(settings, panel, told)
        if (why := shortened(asked, settings, panel, told)) is not None:
            panel = replace(panel, doubts=[*panel.doubts, why])
        assert settings.horizon is not None
        assert settings.season is not None
        shares = (settings.valid_fraction, settings.test_fraction)
        ends = cut(panel, settings.horizon, shares, settings.rows, told)
        _check(ends, settings.horizon, panel)
        known = [e.train for e in ends]
        panel = filling.without_holes(panel, settings.fill, settings.season, known)
        settings = sized(settings, ends)
        scales = {}
        for series, end in zip(panel.series, ends, strict=True):
            if settings.log:
                check_positive(series, panel.source)
            train, history = series.observed[: end.train], series.observed[: end.valid]
            scales[series.name] = Scale.fit(train, settings.season or 1, settings.log, history)
        held_out = [s.values[e.train : e.test] for s, e in zip(panel.series, ends, strict=True)]
        metric = headline(settings.metric, list(scales.values()), held_out)
        settings = settings.model_copy(update={"metric": metric})
        covariates = [s.known[: e.train] for s, e in zip(panel.series, ends, strict=True)]
        timed = settings.calendar and panel.series[0].times is not None
        rows, lookback = max(e.train for e in ends), settings.lookback or 1
        about = {
            "targets": panel.targets,
            "frequency": panel.frequency,
            "cycles": times.cycles_of(panel.frequency, rows, lookback) if timed else [],
            "columns": Scaler.fit(np.concatenate(covariates)).to_json()
            if panel.covariates
            else None,
            "numbers": panel.numbers,
            "time": panel.time,
        }
        made = cls(settings, about, scales, panel, ends)
        made.seen = Seen.of(_rows(panel.series, [end.valid for end in ends]))
        return made

    @classmethod
    def from_assets(cls, settings: ForecastSettings, assets: dict[str, Any]) -> Self:
        """The task of a finished run, without its data."""
        scales = {name: Scale.from_json(about) for name, about in assets["scales"].items()}
        made = cls(settings, assets["series"], scales)
        made.seen = Seen.from_json(assets["seen"]) if "seen" in assets else None
        made.follow(assets.get(PLAN))
        return made

    def assets(self) -> dict[str, Any]:
        """Return the facts about the series, and the scale of each as its training part had it."""
        return {
            "series": {
                "targets": self.targets,
                "frequency": self.frequency,
                "cycles": self.cycles,
                "columns": self.columns.to_json() if self.columns else None,
                "numbers": self.numbers,
                "time": self.time,
            },
            "scales": {name: scale.to_json() for name, scale in self.scales.items()},
            **({"seen": self.seen.to_json()} if self.seen is not None else {}),
            **({PLAN: self.plan.to_json()} if self.plan is not None else {}),
        }

    def understood(self) -> Understood:
        """Return how the series were read, and what a forecast will see and say."""
        return understood(self, self._here.panel)

    def look(self) -> list[Section]:
        """Return the series drawn with their parts, a table of them, and the calendar."""
        return at_series(self._here.panel, self._ends)

    def overlap(self, data: Any) -> str | None:
        """Return how many rows of `data` were trained on or chosen on, or None.

        Rows are known by their times, so without times nothing can be said.
        """
        if self.seen is None:
            return None
        series = read_panel(data, self.settings, self.frequency).series
        rows = _rows(series, [len(s) for s in series])
        return overlap_words(self.seen.shared(rows), len(rows), "rows")

    def leaks(self) -> list[str]:
        """Return nothing: what is to be said is the input itself, later."""
        return []

    def describe(self) -> dict[str, Any]:
        """Series, columns, what was chosen, and the sizes of the parts."""
        s, panel = self.settings, self._here.panel
        facts: dict[str, Any] = {
            "series": len(panel.series),
            "targets": panel.targets,
            "covariates": panel.covariates or "none",
            "calendar": self.cycles or "none",
            "frequency": rule_of(self.frequency).words if self.frequency else "not known",
            "season": s.season,
            "horizon": s.horizon,
            "lookback": s.lookback,
            "split": "by time: the first rows of each series train, the last ones test",
        }
        sizes = np.array([[e.train, e.valid - e.train, e.test - e.valid] for e in self._ends])
        windows = (self._train_origins(), self._valid_origins(None), self._test_origins())
        for part, column, found in zip(("train", "valid", "test"), sizes.T, windows, strict=True):
            facts[part] = {"rows": int(column.sum()), "windows": found.count}
        facts["resampled"] = blocks(windows[2], self.horizon).words
        if self.plan is not None:
            facts["backtest"] = {"origins": len(self.plan.origins), "steps": self.plan.steps}
        return facts

    def notes(self) -> list[str]:
        """Return how the series were read and what was chosen for them, in sentences."""
        return [*self._here.panel.notes, *(sentence for _, sentence in self.told())]

    def told(self) -> list[tuple[str, str]]:
        """Return what was chosen for the series: what a sentence is about, and the sentence."""
        s, told = self.settings, []
        if (how := filling.words(self._here.panel, s.fill)) is not None:
            told.append(("filled", how))
        if s.season != times.season_of(self.frequency):
            told.append(("time", f"The season was set to {s.season} steps."))
        unit = times.unit_of(self.frequency)
        told.append(
            (
                "forecast",
                f"It sees the last {s.lookback} rows and gives the next {s.horizon} {unit}.",
            )
        )
        if len(self.targets) > 1:
            told.append(
                (
                    "scores",
                    f"mse, rmse, mae, crps and wql take the {len(self.targets)} targets together, "
                    "each in its own unit, so the target with the largest numbers rules them. The "
                    "other metrics count all targets alike; the report scores each target.",
                )
            )
        without = [n for n, scale in self.scales.items() if np.isnan(scale.naive).all()]
        if without:
            some = (
                "every series"
                if len(without) == len(self.scales)
                else (f"{len(without):,} of {len(self.scales):,} series")
            )
            told.append(
                (
                    "metric",
                    f"MASE is undefined for {some}: in the history a value is always that of a "
                    f"season before. The headline metric is {s.metric}.",
                )
            )
        return told

    @property
    def horizon(self) -> int:
        """Steps ahead."""
        return self.settings.horizon or 1

    @property
    def lookback(self) -> int:
        """Past values a forecast sees."""
        return self.settings.lookback or 1

    @property
    def season(self) -> int:
        """Steps in a season."""
        return self.settings.season or 1

    @cached_property
    def step(self) -> int | None:
        """Microseconds between rows, or None where months and the like differ in length."""
        return None if self.frequency is None else times.step_of(self.frequency)

    @property
    def _here(self) -> Held:
        if self._data is None:
            raise InputError("this needs the run's own data.", fix="Give data to score on.")
        return self._data

    def _hold(self, panel: Panel, scales: list[Scale], ahead: int = 0) -> Held:
        """Series with their scales; with `ahead`, what is known that many rows further."""
        known = [self._known(series, panel, ahead) for series in panel.series]
        values = [series.values for series in panel.series]
        sizes, missing = (self.lookback, self.horizon), [series.missing for series in panel.series]
        windows = Windows(values, known, scales, *sizes, missing, self._flags)
        return Held(panel, scales, windows)

    @property
    def _flags(self) -> int:
        """Columns that say which values of the past are missing."""
        return len(self.targets) if self.settings.fill == "mask" else 0

    def _known(self, series: Series, panel: Panel, ahead: int) -> Floats:
        """Covariates and calendar of a series' rows and of `ahead` rows more."""
        rows = len(series) + ahead
        parts = [np.empty((rows, 0))]
        if self.columns is not None:
            if len(series.known) < rows:
                raise InputError(
                    f"{series} has covariates for {len(series.known) - len(series)} of the "
                    f"{ahead} rows to forecast.",
                    file=panel.source,
                    fix="Add rows with the target left empty and the covariates filled in.",
                )
            parts.append(self.columns.transform(series.known[:rows]))
        if self.cycles:
            moments = times_of(series, rows, self.frequency, panel)
            parts.append(times.calendar(moments, self.cycles))
        if self._flags:
            flags = np.zeros((rows, self._flags))
            if series.missing is not None:
                flags[: len(series)] = series.missing
            parts.append(flags)
        return np.concatenate(parts, axis=1)

    def _train_origins(self) -> Origins:
        """Return windows to train on: with a plan, they reach up to the test part."""
        ends = self._ends
        if self.plan is not None:
            ends = [Ends(e.valid, e.valid, e.test) for e in ends]
        return training_origins(ends, self.lookback, self.horizon)

    def _valid_origins(self, most: int | None) -> Origins:
        return held_out_origins([(e.train, e.valid) for e in self._ends], self.horizon, most, None)

    def _test_origins(self) -> Origins:
        bounds = [(e.valid, e.test) for e in self._ends]
        return held_out_origins(bounds, self.horizon, MOST_TEST_WINDOWS, self.settings.test_step)

    def _to_score(self, data: Any) -> tuple[Held, Origins, list[int]]:
        """Series, windows to score, and for each series where its history ends.

        Of `data` every window is scored whose past is whole, or the last one where none is.
        """
        if data is None:
            return self._here, self._test_origins(), [e.valid for e in self._ends]
        panel = self._read(data, least=self.horizon + 1)
        begins = [min(self.lookback, len(s) - self.horizon) for s in panel.series]
        panel = self._warn(panel, begins, [(0, len(s)) for s in panel.series])
        scales = self._scales_of(panel, begins)
        bounds = [(b, len(s)) for s, b in zip(panel.series, begins, strict=True)]
        step = self.settings.test_step
        origins = held_out_origins(bounds, self.horizon, MOST_TEST_WINDOWS, step)
        return self._hold(panel, scales), origins, begins

    def _read(self, data: Any, least: int) -> Panel:
        """Series like those of training, each with `least` rows or more."""
        return history.read_history(data, self.settings, self.frequency, len(self.targets), least)

    def _warn(self, panel: Panel, ends: Sequence[int], seen: Sequence[tuple[int, int]]) -> Panel:
        """Return series without holes; what is unlike training is warned of.

        Args:
            panel: as it was read.
            ends: of each series, rows before its first forecast.
            seen: of each, the first row that forecasts see or are compared with, and the last one
                plus 1.
        """
        fill = self.settings.fill
        history.warn_of_short(panel, ends, self.lookback)
        history.warn_of_new(panel, self.scales)
        history.warn_of_times(panel, self.frequency, fill, seen)
        history.warn_of_doubts(panel)
        panel = filling.without_holes(panel, fill, self.season, ends)
        history.warn_of_filled(panel, fill, seen)
        return panel

    def _scales_of(self, panel: Panel, ends: Sequence[int]) -> list[Scale]:
        """Return the scale of each series: as in training, or else from the past up to its end."""
        return [
            self.scales.get(s.name)
            or Scale.fit(s.values[max(0, e - self.lookback) : e], self.season, self.settings.log)
            for s, e in zip(panel.series, ends, strict=True)
        ]

    # Training

    def build(self) -> nn.Module:
        """The model, initialised from torch's generator."""
        s = self.settings
        known = 2 * len(self.cycles) + (0 if self.columns is None else len(self.columns.shift))
        known += self._flags
        options: dict[str, Any] = {
            "known": known,
            "outputs": 1 + len(s.quantiles),
            "recurrent": partial(s.build, batch_first=True),
            "hidden_size": s.hidden_size,
            "dropout": s.dropout,
            "norm": s.window_norm,
        }
        sizes = (len(self.targets), self.lookback, self.horizon)
        if s.model == "recurrent":
            return Calibrated(DirectForecaster(*sizes, **options), s.quantiles)
        assert s.segment is not None
        return Calibrated(SegmentForecaster(*sizes, s.segment, **options), s.quantiles)

    def objective(self, model: nn.Module) -> Objective:
        """Point and pinball loss in standardised units, judged by the headline metric.

        With a plan nothing is held out to judge by: the last parameters are kept, and quantiles
        are corrected by what they missed in the backtest.
        """
        if self.plan is not None and self.plan.correction:
            assert isinstance(model, Calibrated)
            model.correction.copy_(torch.tensor(self.plan.correction))
        return _Objective(self, model)

    def batches(self, rank: int = 0, world_size: int = 1) -> Batches[Batch]:
        """Windows of the training parts of all series, shuffled."""
        origins, windows = self._train_origins(), self._here.windows
        return Batches(
            shuffled(origins.count, self.settings.batch_size),
            lambda rows: windows.batch(origins.take(rows)),
            seed=self.settings.seed,
            rank=rank,
            world_size=world_size,
        )

    # The plan of a short series

    def make_plan(self, say: Callable[[str], None]) -> dict[str, Any] | None:
        """Backtest a short series; see `elman.tasks.forecast.backtest`. None for others."""
        settings, held, h = self.settings, self._here, self.horizon
        count = plans(settings, self._ends)
        if not count:
            return None
        parts = backtest.folds(self._ends, count, h)
        curves, looks = [], []
        scores: dict[str, list[float]] = {MODEL: []}
        for number, ends in enumerate(parts, 1):
            say(f"Backtest of {count} origins to find the number of steps: origin {number}.")
            curve, seen = self._backtested(ends, count)
            curves.append(curve)
            looks.append(seen)
        steps = backtest.best_step(curves)
        looked = [
            (self._judged_origins(ends), seen[backtest.place_of(curve, steps)])
            for ends, curve, seen in zip(parts, curves, looks, strict=True)
        ]
        calibrated = Calibrated(nn.Identity(), settings.quantiles)
        truth = torch.cat([observed(held.windows.batch(some)) for some, _ in looked])
        calibrated.calibrate(torch.cat([y for _, y in looked]), truth)
        judged: dict[str, list[Judged]] = {}
        for ends, (some, y) in zip(parts, looked, strict=True):
            ours = self._finished(calibrated, held, y, held.windows.batch(some, future=False))
            scores[MODEL].append(self._whole_cost(some, ours))
            for name, forecaster in self._baselines_at(ends, some, count).items():
                theirs = forecaster(some)
                judged.setdefault(name, []).append(Judged(some, ours, theirs))
                scores.setdefault(name, []).append(self._whole_cost(some, theirs))
        whole = {name: found for name, found in scores.items() if len(found) == count}
        return Plan(
            steps,
            self.metric,
            [self._named(ends[0].train) for ends in parts],
            [min(curve, key=lambda pair: pair[1])[0] for curve in curves],
            {name: [v if np.isfinite(v) else None for v in found] for name, found in whole.items()},
            calibrated.correction.tolist(),
            {n: weight_of(found, self._whole_cost) for n, found in judged.items() if n in whole},
        ).to_json()

    def blend(self, model: nn.Module, predictors: Sequence[Baseline]) -> Blend | str:
        """Mix the model with the baseline that is best where nothing was trained.

        That is the validation part, or the origins of the backtest, and the weight is found there.
        """
        weights = self._weights(model, predictors)
        known = [one for one in predictors if one.name in weights]
        if not known:
            return "no baseline could be judged where nothing was trained"
        best = min(known, key=lambda one: weights[one.name][0])
        return blend_of(model, best, weights[best.name][1], "where nothing was trained")

    def _weights(
        self, model: nn.Module, predictors: Sequence[Baseline]
    ) -> dict[str, tuple[float, float]]:
        """Return each baseline's own score where nothing was trained, and the model's weight."""
        plan, held = self.plan, self._here
        if plan is not None:
            means = {name: plan.mean(name) for name in plan.weights}
            return {n: (m, plan.weights[n]) for n, m in means.items() if m is not None}
        origins, found = self._valid_origins(None).thinned(MOST_VALIDATION_WINDOWS), {}
        begins = [e.train for e in self._ends]
        ours = self._outputs(model, origins)
        for baseline in predictors:
            try:
                rule = baseline.forecaster(held, begins, self.settings.quantiles, origins)
            except NotFitted:
                continue
            theirs = rule(origins)
            cost = self._whole_cost(origins, theirs)
            if np.isfinite(cost):
                part = Judged(origins, ours, theirs)
                weight = weight_of([part], self._whole_cost)
                found[baseline.name] = (cost, weight)
        return found

    def _outputs(self, model: nn.Module, origins: Origins) -> tuple[Floats, Floats]:
        """Return the model's points and quantiles for windows of the run's own data."""
        forecaster = self._forecaster(model, self._here)
        done = [forecaster(some) for some in origins.chunks(self._chunk)]
        return np.concatenate([p for p, _ in done]), np.concatenate([q for _, q in done])

    def _whole_cost(self, origins: Origins, found: tuple[Floats, Floats]) -> float:
        """Return the headline metric of forecasts of windows, all at once."""
        held, which = self._here, origins.series
        levels = np.array(self.settings.quantiles)
        sums = window_sums(
            held.truth(origins), *found, levels, held.spread[which], held.naive[which]
        )
        import pandas as pd

        return self._score(pd.DataFrame(sums))[self.metric]

    def follow(self, plan: dict[str, Any] | None) -> ForecastSettings:
        """Take a plan that was made, and return the settings to train with."""
        if plan is None:
            return self.settings
        self.plan = Plan.from_json(plan)
        changed = backtest.recipe(self.settings) | {"max_steps": self.plan.steps}
        return self.settings.model_copy(update=changed)

    def evidence(self, baseline: str, test: tuple[float, float]) -> tuple[str, bool] | None:
        """Return what earlier origins showed of the evaluated model and a baseline, in words.

        They are those of the backtest, or else those of the validation part. With the words comes
        whether the model is to be preferred.
        """
        if self.plan is not None:
            return self.plan.evidence(MODEL, baseline, test)
        if self._data is None or self._evaluated is None:
            return None
        origins = self._valid_origins(None).thinned(MOST_VALIDATION_WINDOWS)
        begins = [e.train for e in self._ends]
        rule = next(each for each in self.predictors() if each.name == baseline)
        try:
            theirs = rule.forecaster(self._data, begins, self.settings.quantiles, origins)(origins)
        except NotFitted:
            return None
        costs = (
            self._whole_cost(origins, self._outputs(self._evaluated, origins)),
            self._whole_cost(origins, theirs),
        )
        if not np.isfinite(costs).all():
            return None
        metric = self.metric.replace("_", " ")
        # The model's step was chosen there: it has to be better in both.
        better = costs[0] < costs[1] and test[0] < test[1]
        return (
            f"too few horizons to resample; on the {origins.count:,} windows of the validation "
            f"part, which chose the model's step, {metric} was {written(costs[0])} against "
            f"{written(costs[1])}, so prefer {'the model' if better else baseline}"
        ), better

    @property
    def origins_of_backtest(self) -> int:
        """Origins that a backtest has, made or still to be made; 0 where there is none."""
        return plans(self.settings, self._ends)

    def _named(self, position: int) -> str:
        """Return the time of a row of the first series, or its place."""
        times = self._here.panel.series[0].times
        return f"row {position + 1}" if times is None else str(times[position])

    def _judged_origins(self, ends: Sequence[Ends]) -> Origins:
        return held_out_origins([(e.train, e.valid) for e in ends], self.horizon, None, None)

    def _backtested(
        self, ends: Sequence[Ends], count: int
    ) -> tuple[list[tuple[int, float]], list[Tensor]]:
        """Train up to an origin; return its curve of scores, and the forecasts behind each."""
        settings, held = self.settings, self._here
        seed(settings.seed)
        model = self.build()
        learnt = training_origins(ends, self.lookback, self.horizon)
        judged = self._judged_origins(ends)

        def forecast() -> tuple[Tensor, float]:
            assert isinstance(model, Calibrated)
            y, batch = self._forecast(model, held, judged)
            sums = self._sums(held, judged, lambda _: self._finished(model, held, y, batch))
            return y, self._score(sums)[self.metric]

        objective = Looking(_Objective(self, model), forecast)
        budget = settings.budget and settings.budget * backtest.SHARE / count
        changed = backtest.recipe(settings) | {
            "max_steps": backtest.MOST_STEPS,
            "validate_every": backtest.EVERY,
            "patience": backtest.PATIENCE,
            "budget": budget,
        }
        batches = Batches(
            shuffled(learnt.count, settings.batch_size),
            lambda rows: held.windows.batch(learnt.take(rows)),
            seed=settings.seed,
        )
        found = fit(objective, batches, settings.model_copy(update=changed))
        steps = [row["step"] for row in found.history if "valid" in row]
        pairs = zip(steps, objective.seen, strict=True)
        curve = [(step, score) for step, (_, score) in pairs]
        return curve, [y for y, _ in objective.seen]

    def _baselines_at(
        self, ends: Sequence[Ends], origins: Origins, count: int
    ) -> dict[str, Forecaster]:
        """Return each baseline as it forecasts from an origin of the backtest."""
        held, h = self._here, self.horizon
        begins = [e.train for e in ends]
        given = BACKTEST_SHARE * self._seconds_of_baselines() / count
        earlier = [Ends(e.train - h, e.train, e.train) for e in ends]
        parts = (
            training_origins(earlier, self.lookback, h),
            self._judged_origins(earlier),
            training_origins(ends, self.lookback, h),
        )
        ridge = forecast_baselines.ridge(held.windows, *parts, len(self.targets))
        found = {}
        for baseline in (*forecast_baselines.all_of(self.season, given), ridge):
            try:
                forecaster = baseline.forecaster(held, begins, self.settings.quantiles, origins)
            except NotFitted:
                continue
            found[baseline.name] = forecaster
        return found

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Headline metric, CRPS and coverage on the validation part.

        On a thousand windows at most, spread evenly over it; the model's quantiles are corrected
        by what they missed there.
        """
        assert isinstance(model, Calibrated)
        held = self._here
        origins = self._valid_origins(None).thinned(MOST_VALIDATION_WINDOWS)
        chunks = list(origins.chunks(self._chunk))
        forecasts = [self._forecast(model, held, some) for some in chunks]
        truth = torch.cat([observed(held.windows.batch(some)) for some in chunks])
        model.calibrate(torch.cat([y for y, _ in forecasts]), truth)
        done = iter(self._finished(model, held, y, batch) for y, batch in forecasts)
        found = self._score(self._sums(held, origins, lambda some: next(done)))
        return {k: v for k, v in found.items() if k in (self.metric, "crps", "coverage")}

    # Scores

    def judging(self) -> float:
        """Return how many validations fit into judging."""
        valid = self._valid_origins(MOST_VALIDATION_WINDOWS).count
        return self._test_origins().count / valid if valid else 0.0

    def evaluate(self, model: Any, data: Any = None) -> Evaluation:
        """Forecast from every origin of the test part, or of `data`, and compare.

        Raises:
            InputError: `model` is a baseline that cannot be fitted to these series.
        """
        [found] = self.scores([model], data)
        if isinstance(found, InputError):
            raise found
        return found

    def scores(self, predictors: Sequence[Any], data: Any = None) -> list[Evaluation | InputError]:
        """Score models, baselines and blends on the same windows, or say why one cannot be.

        A baseline is fitted once a series, on its history before the held-out part.
        """
        held, origins, begins = self._to_score(data)
        own = held is self._data
        return [one for _, one in announced(self._scored(predictors, held, origins, begins, own))]

    def _scored(
        self,
        predictors: Sequence[Any],
        held: Held,
        origins: Origins,
        begins: Sequence[int],
        own: bool,
    ) -> Iterator[tuple[str, Evaluation | InputError]]:
        """Yield name and scores of each; forecasters of the run's `own` test part are kept."""
        for one in predictors:
            try:
                forecaster = self._by(one, held, begins, origins, self._rivals if own else {})
            except NotFitted as error:
                why = str(error).removeprefix(f"{one.name}: ")
                yield one.name, CannotSay(why)
                continue
            shown = None
            if isinstance(one, nn.Module):
                self._evaluated = one
                shown = self._table(held, self._apart(origins), forecaster)
            name = MODEL if isinstance(one, nn.Module) else one.name
            yield name, self._evaluation(held, origins, forecaster, shown)

    def _by(
        self,
        predictor: Any,
        held: Held,
        begins: Sequence[int],
        origins: Origins,
        known: dict[str, Forecaster],
    ) -> Forecaster:
        """Return what a model, a baseline or a blend forecasts from `origins`.

        Args:
            predictor: one of them.
            held: the series.
            begins: where the history of each ends, on which a baseline is fitted.
            origins: all windows that will be asked for.
            known: the baselines that were fitted to these series, by name; it is added to.

        Raises:
            NotFitted: a baseline could not be fitted.
        """
        if isinstance(predictor, nn.Module):
            return self._forecaster(predictor, held)
        if isinstance(predictor, Blend):
            parts = (predictor.model, predictor.baseline)
            ours, theirs = (self._by(one, held, begins, origins, known) for one in parts)
            return blended(ours, theirs, predictor.weight)
        if predictor.name not in known:
            levels = self.settings.quantiles
            known[predictor.name] = predictor.forecaster(held, begins, levels, origins)
        return known[predictor.name]

    def baselines(self, data: Any = None) -> dict[str, Evaluation]:
        """Rules, exponential smoothing, automatic ETS, Theta and ARIMA, and a linear map.

        One that cannot be fitted, or not in its share of the time, is left out.
        """
        predictors = self.predictors()
        pairs = zip(predictors, self.scores(predictors, data), strict=True)
        return {one.name: e for one, e in pairs if isinstance(e, Evaluation)}

    def predictors(self) -> list[Baseline]:
        """Return every baseline; the linear map is fitted on the training part, once."""
        if self._predictors is None:
            found = forecast_baselines.all_of(self.season, self._seconds_of_baselines())
            if self._data is not None:
                train = training_origins(self._ends, self.lookback, self.horizon)
                valid, last = self._valid_origins(MOST_VALIDATION_WINDOWS), self._train_origins()
                windows, channels = self._data.windows, len(self.targets)
                found.append(forecast_baselines.ridge(windows, train, valid, last, channels))
            self._predictors = found
        return self._predictors

    def settle(self, model: nn.Module) -> dict[str, Any]:
        """Return nothing: the correction of the quantiles is a part of the model."""
        return {}

    def recall(self, about: dict[str, Any]) -> None:
        """Take up nothing."""

    def kept_shared(self, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        """Return None: baselines of forecasts share nothing."""

    def kept_predictor(
        self, facts: dict[str, Any], arrays: dict[str, NDArray[Any]], shared: Any
    ) -> Baseline:
        """Return the baseline of which facts and arrays were kept."""
        return forecast_baselines.restored(facts, arrays)

    def _seconds_of_baselines(self) -> float:
        """Return the time for baselines whose form is chosen by itself.

        A tenth of a budget; without one, as long as the steps of training take at most.
        """
        s = self.settings
        if s.budget is not None:
            return BASELINES_SHARE * s.budget
        return min(MOST_SECONDS, SECONDS_A_STEP * (s.max_steps or STEPS))

    def _forecaster(self, model: nn.Module, held: Held) -> Forecaster:
        """The model as a function from origins to points and quantiles in own units."""
        assert isinstance(model, Calibrated)
        return lambda some: self._finished(model, held, *self._forecast(model, held, some))

    @torch.inference_mode()
    def _forecast(self, model: Calibrated, held: Held, origins: Origins) -> tuple[Tensor, Batch]:
        """Return the forecast in the model's own units, on the CPU."""
        batch = held.windows.batch(origins, future=False)
        there = batch.to(device_of(model))
        was_training = model.training
        model.eval()
        y = model(there.past, there.known).cpu()
        model.train(was_training)
        return y, batch

    @torch.inference_mode()
    def _finished(
        self, model: Calibrated, held: Held, y: Tensor, batch: Batch
    ) -> tuple[Floats, Floats]:
        own = held.windows.own_units(model.corrected(y).double(), batch).numpy()
        return own[..., 0], own[..., 1:]

    def _sums(self, held: Held, origins: Origins, forecaster: Forecaster) -> pd.DataFrame:
        """Return the sums that every window adds to every metric, a row each."""
        import pandas as pd

        levels, spread, naive = np.array(self.settings.quantiles), held.spread, held.naive
        parts = []
        for some in origins.chunks(self._chunk):
            point, quantiles = forecaster(some)
            which = some.series
            truth = held.truth(some)
            sums = window_sums(truth, point, quantiles, levels, spread[which], naive[which])
            parts.append(pd.DataFrame(sums))
        return pd.concat(parts, ignore_index=True)

    def sample(self, data: Any = None, rows: int = 32, seed: int = 0) -> Sample:
        """Windows with the future that came."""
        if data is None:
            held, origins = self._here, self._train_origins()
        else:
            held, origins, _ = self._to_score(data)
        drawn = np.random.default_rng(seed).permutation(origins.count)[:rows]
        origins = origins.take(np.sort(drawn))
        batch = held.windows.batch(origins)

        def loss(model: nn.Module) -> Tensor:
            return _Objective(self, model).loss(batch, None)[0]

        def forward(model: nn.Module, rows: NDArray[np.int64]) -> Tensor:
            device, known = device_of(model), batch.known
            output: Tensor = model(
                batch.past[rows].to(device), None if known is None else known[rows].to(device)
            )
            return output

        longest = max(range(len(held.panel.series)), key=lambda k: len(held.panel.series[k].values))
        begins = np.where(origins.series == longest, origins.position - self.lookback, -1)
        each = self.settings.segment if self.settings.model != "recurrent" else None
        unit = times.unit_of(self.frequency, each or 1)
        return Sample(
            loss,
            unit,
            batch.past[0, :, 0].tolist(),
            series=held.panel.series[longest].values,
            inputs=batch.past.transpose(0, 1).numpy(),
            forward=forward,
            begins=begins,
        )

    @property
    def _chunk(self) -> int:
        """Windows forecast at once: about four million numbers, and 512 windows, at most."""
        each = max(self.lookback, self.horizon * (1 + len(self.settings.quantiles)))
        return max(1, min(512, 4_000_000 // (each * len(self.targets))))

    def _score(self, units: pd.DataFrame) -> dict[str, float]:
        return score(units, quantiles=bool(self.settings.quantiles))

    def _evaluation(
        self,
        held: Held,
        origins: Origins,
        forecaster: Forecaster,
        predictions: pd.DataFrame | None = None,
    ) -> Evaluation:
        units = self._sums(held, origins, forecaster)
        resampled = blocks(origins, self.horizon)
        units = units.groupby(resampled.of).sum()
        return Evaluation(units, self._score, predictions, resampled.widened)

    def _apart(self, origins: Origins) -> Origins:
        return apart(origins, self.horizon, self.season, len(self.targets))

    def _table(
        self, held: Held, origins: Origins, forecaster: Forecaster, *, truth: bool = True
    ) -> pd.DataFrame:
        levels = self.settings.quantiles
        return table(
            held, origins, forecaster, self.frequency, levels, chunk=self._chunk, truth=truth
        )

    def predict(self, model: Any, data: Any) -> pd.DataFrame:
        """Forecasts of what follows the end of every series in `data`, a row each.

        Columns: series, time (or position, counted from 1), step, target, forecast and the
        quantiles. A series that was trained on keeps the scale it had; another is scaled by
        the past its forecast sees. With covariates, `data` ends in rows that have them and no
        target.

        Raises:
            InputError: a cell is no number, covariates of the horizon are missing, or `model` is
                a baseline that cannot be fitted to these series.
        """
        held, origins = self._to_predict(data, whole=not isinstance(model, nn.Module))
        try:
            forecaster = self._by(model, held, origins.position.tolist(), origins, {})
        except NotFitted as error:
            raise CannotSay(f"{error}.", file=held.panel.source) from None
        return self._table(held, origins, forecaster, truth=False)

    def _to_predict(self, data: Any, *, whole: bool) -> tuple[Held, Origins]:
        """Return series, and the window after the end of each.

        Args:
            data: the series; what is unlike training is warned of.
            whole: a baseline is fitted to all rows, and not only the last ones are seen.
        """
        panel = self._read(data, least=1)
        ends = [len(s) for s in panel.series]
        seen = [(0 if whole else max(0, end - self.lookback), end) for end in ends]
        panel = self._warn(panel, ends, seen)
        held = self._hold(panel, self._scales_of(panel, ends), ahead=self.horizon)
        return held, Origins(np.arange(len(ends)), np.array(ends))

    def brief(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """Return when, the forecast, and the outermost quantiles; series and target of several."""
        from elman.tasks.forecast.tables import brief

        return brief(predictions)

    def sections(self, model: nn.Module, evaluation: Evaluation) -> list[Section]:
        """Return the future, forecasts beside the truth and the best baseline, and the errors."""
        from elman.tasks.forecast import figures

        shown = evaluation.predictions
        assert shown is not None
        held, origins, begins = self._to_score(None)
        origins = self._apart(origins)
        rules = self._rivals
        if not rules:
            naive = forecast_baselines.rules(self.season)[1 if self.season > 1 else 0]
            levels = self.settings.quantiles
            rules = {naive.name: naive.forecaster(held, begins, levels, origins)}
        truth, spread = held.truth(origins), held.spread[origins.series]
        missed = {name: truth - rule(origins)[0] for name, rule in rules.items()}
        name = figures.nearest_rival(missed, spread)
        beside = np.nanmean(np.abs(missed[name] / spread[:, None]), axis=(0, 2))
        series = {s.name: s for s in held.panel.series}
        some = figures.to_draw(self._test_origins())
        drawn = self._table(held, some, self._forecaster(model, held))
        sections = [
            self._future(model),
            figures.forecasts(drawn, series, self.season, (name, rules[name](some)[0].ravel())),
            figures.by_step(shown, self.scales, {name: beside}),
            figures.residuals(shown, self.scales),
        ]
        if len(self.targets) > 1:
            sections.append(figures.by_target(shown, missed[name], name))
        if self.plan is not None:
            sections.append(figures.backtested(self.plan))
        return sections

    def _future(self, model: nn.Module) -> Section:
        """Return the forecast of what follows the last row of the run's own data."""
        from elman.tasks.forecast.figures import future

        panel = self._here.panel
        ends = [len(series) for series in panel.series]
        try:
            held = self._hold(panel, self._scales_of(panel, ends), ahead=self.horizon)
        except InputError as error:
            return Section("The forecast", f"What comes next could not be forecast: {error}")
        origins = Origins(np.arange(len(ends)), np.array(ends))
        table = self._table(held, origins, self._forecaster(model, held), truth=False)
        return future(table, {s.name: s for s in panel.series}, self.season)

    def stream(self, model: Any) -> WindowStream:
        """Return the model on a stream: a row of values in, the forecast of what follows out."""
        if not isinstance(model, Calibrated):
            raise InputError(
                f"{model.name} needs the history before a window too, so it cannot stream.",
                fix="Use predict, or stream the model.",
            )
        return WindowStream(self, model)


class _Objective:
    """Point loss and pinball loss in the model's units, validation by the headline metric."""

    higher_is_better = False

    def __init__(self, task: Forecast, model: nn.Module) -> None:
        self.task, self.model = task, model
        self.metric = task.metric
        self.levels = torch.tensor(task.settings.quantiles)

    def loss(self, batch: Batch, carried: Any) -> tuple[Tensor, float, Any]:
        """Summed over windows, steps and targets."""
        batch = batch.to(device_of(self.model))
        assert batch.future is not None
        y = self.model(batch.past, batch.known)
        total = self._point(y[..., 0], batch)
        if len(self.levels):
            levels = self.levels.to(y)
            over = batch.future.unsqueeze(-1) - y[..., 1:]
            total = total + 2 * torch.maximum(levels * over, (levels - 1) * over).mean(-1)
        if batch.present is not None:
            return (total * batch.present).sum(), float(batch.present.sum()), None
        return total.sum(), float(batch.future.numel()), None

    def _point(self, point: Tensor, batch: Batch) -> Tensor:
        assert batch.future is not None
        error = point - batch.future
        kind = self.task.settings.loss
        if kind == "mse":
            return error.square()
        if kind == "mae":
            return error.abs()
        own = self.task._here.windows.own_units
        y, truth = (own(t.unsqueeze(-1), batch).squeeze(-1) for t in (point, batch.future))
        # Bounded below where both are near zero, where the ratio jumps.
        size = y.abs() + truth.abs() + 1e-3 * batch.scale
        return 2 * (y - truth).abs() / size

    def validate(self) -> dict[str, float]:
        """Metrics on windows of the validation part, and the loss that training lowers.

        Nothing where the validation part is trained on.
        """
        if self.task.plan is not None:
            return {}
        found, total, terms = self.task.validate(self.model), 0.0, 0.0
        origins = self.task._valid_origins(None).thinned(MOST_VALIDATION_WINDOWS)
        for some in origins.chunks(self.task._chunk):
            cost, count, _ = self.loss(self.task._here.windows.batch(some), None)
            total, terms = total + float(cost), terms + count
        return {**found, "loss": total / max(terms, 1.0)}


def _check(ends: list[Ends], horizon: int, panel: Panel) -> None:
    """Refuse parts in which no forecast could be scored."""
    for name, sizes in (
        ("validate", [e.valid - e.train for e in ends]),
        ("test", [e.test - e.valid for e in ends]),
    ):
        if max(sizes) < horizon:
            raise InputError(
                f"{max(sizes)} rows to {name} on are too few for a horizon of {horizon}.",
                file=panel.source,
                fix="Lower the horizon, or give that part more rows.",
            )


def _rows(series: Sequence[Series], counts: Sequence[int]) -> NDArray[np.uint64]:
    """Return a hash of each of the first rows: of the series' name, the time and the values."""
    import pandas as pd

    timed = [(s, count) for s, count in zip(series, counts, strict=True) if s.times is not None]
    if not timed:
        return np.zeros(0, np.uint64)
    table = pd.DataFrame(np.concatenate([s.values[:count] for s, count in timed]))
    moments = [s.times[:count].as_unit("us").asi8 for s, count in timed if s.times is not None]
    table.insert(0, "time", np.concatenate(moments))
    rows = pd.util.hash_pandas_object(table, index=False).to_numpy(np.uint64)
    names = np.repeat(hashes_of([s.name for s, _ in timed]), [len(each) for each in moments])
    return np.bitwise_xor(rows, names, dtype=np.uint64)
