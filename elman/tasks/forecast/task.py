"""Forecasting: from series in a file to a model that forecasts any horizon, with intervals.

One or many series, one or many targets, columns known ahead and the calendar. A recurrence
reads a window of the past, segment by segment or step by step, and gives every step of the
horizon at once: a point and quantiles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from elman.data import Batches, Scaler, shuffled
from elman.data.seen import Seen
from elman.errors import InputError
from elman.modalities.base import Indexed
from elman.scoring import Evaluation
from elman.scoring.baselines.automatic import NotFitted
from elman.scoring.blending import Blend
from elman.scoring.forecasts import score
from elman.scoring.predictors import CannotSay
from elman.tasks.base import Sample, Section
from elman.tasks.forecast import backtest, times
from elman.tasks.forecast import baselines as forecast_baselines
from elman.tasks.forecast.backtest import Plan
from elman.tasks.forecast.baselines import Baseline, Forecaster
from elman.tasks.forecast.data import read_panel
from elman.tasks.forecast.groups import as_list
from elman.tasks.forecast.growing import Again, grown_from, met_before
from elman.tasks.forecast.holding import (
    MOST_TEST_WINDOWS,
    MOST_VALIDATION_WINDOWS,
    held_of,
    to_predict,
    to_score,
)
from elman.tasks.forecast.intervals import Calibrated
from elman.tasks.forecast.looking import at_series
from elman.tasks.forecast.making import made_from
from elman.tasks.forecast.network import network_of
from elman.tasks.forecast.objective import WindowLoss, validated
from elman.tasks.forecast.panel import Panel
from elman.tasks.forecast.planning import planned
from elman.tasks.forecast.pool import Pool
from elman.tasks.forecast.report import sections_of
from elman.tasks.forecast.rivals import all_baselines
from elman.tasks.forecast.running import forecaster_of
from elman.tasks.forecast.sampling import sampled
from elman.tasks.forecast.scoring import evaluation_of, forecaster_by, scored, table_of
from elman.tasks.forecast.settings import ForecastSettings, plans
from elman.tasks.forecast.shared_rows import hashes_of_rows
from elman.tasks.forecast.stream import WindowStream
from elman.tasks.forecast.telling import described, told_of
from elman.tasks.forecast.understood import understood
from elman.tasks.forecast.weighing import blend_of_best, evidence_of
from elman.tasks.forecast.windows import (
    Batch,
    Ends,
    Held,
    Origins,
    Scale,
    held_out_origins,
    training_origins,
)
from elman.tasks.understood import Understood, overlap_words
from elman.training import Objective
from elman.training.progress import announced

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

PLAN = "plan"


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
        self.again = Again()
        """Windows of the run that this one goes on from, which are read again."""
        self._rivals: dict[str, Forecaster] = {}
        """The baselines of the test part, once they have been scored."""
        self._data: Held | None = None
        self._predictors: list[Baseline] | None = None
        self._evaluated: nn.Module | None = None
        self.plan: Plan | None = None
        """The result of the backtest of a short series, once there is one."""
        if panel is not None:
            self._data = held_of(self, panel, [scales[s.name] for s in panel.series])

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
        return made_from(cls, data, settings, valid, test)

    @classmethod
    def grown(
        cls, old: Self, data: Any, settings: Any, valid: Any = None, test: Any = None
    ) -> Self:
        """Read new series, and windows of the old ones; see `elman.tasks.base.Growing`.

        Raises:
            InputError: as `from_data`, or the series are not like those of the other run.
        """
        return grown_from(cls, old, data, settings, valid, test)

    def indexed(self) -> list[Indexed]:
        """Return the series that have a scale; no tensor of a network has an entry for each."""
        return [Indexed("series", list(self.scales), {})]

    def before_and_after(
        self, old: Self, before: nn.Module, after: nn.Module
    ) -> tuple[Evaluation, Evaluation]:
        """Score two models on the test part of another run."""
        held, origins = old._here, old._test_origins()
        then, now = (
            evaluation_of(old, held, origins, forecaster_of(model, held))
            for model in (before, after)
        )
        return then, now

    def met_before(self, old: Self) -> list[str]:
        """Return doubts where the new test part was learnt before, or the old one is learnt now."""
        return met_before(self, old)

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
        rows = hashes_of_rows(series, [len(s) for s in series])
        return overlap_words(self.seen.shared(rows), len(rows), "rows")

    def leaks(self) -> None:
        """Return None: what is to be said is the input itself, later."""
        return None

    def describe(self) -> dict[str, Any]:
        """Series, columns, what was chosen, and the sizes of the parts."""
        return described(self)

    def notes(self) -> list[str]:
        """Return how the series were read and what was chosen for them, in sentences."""
        return [*self._here.panel.notes, *(sentence for _, sentence in self.told())]

    def told(self) -> list[tuple[str, str]]:
        """Return what was chosen for the series: what a sentence is about, and the sentence."""
        return told_of(self)

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

    @property
    def _flags(self) -> int:
        """Columns that say which values of the past are missing."""
        return len(self.targets) if self.settings.fill == "mask" else 0

    def _train_origins(self) -> Origins:
        """Return windows to train on: with a plan, they reach up to the test part."""
        ends = self._ends
        if self.plan is not None:
            ends = [Ends(e.valid, e.valid, e.test) for e in ends]
        return training_origins(ends, self.lookback, self.horizon)

    def _valid_origins(self, most: int | None) -> Origins:
        return held_out_origins([(e.train, e.valid) for e in self._ends], self.horizon, most, None)

    def to_learn(self) -> Pool:
        """Return all windows that are trained on, those that are read again included."""
        return Pool.of(self._here, self._train_origins()).and_more(self.again.train)

    def to_choose(self) -> Pool:
        """Return the windows that choose the best step: a thousand at most, spread evenly."""
        own = Pool.of(self._here, self._valid_origins(None))
        return own.and_more(self.again.valid).thinned(MOST_VALIDATION_WINDOWS)

    def _test_origins(self) -> Origins:
        bounds = [(e.valid, e.test) for e in self._ends]
        return held_out_origins(bounds, self.horizon, MOST_TEST_WINDOWS, self.settings.test_step)

    def _to_score(self, data: Any) -> tuple[Held, Origins, list[int]]:
        """Series, windows to score, and for each series where its history ends.

        Of `data` every window is scored whose past is whole, or the last one where none is.
        """
        return to_score(self, data)

    # Training

    def build(self) -> nn.Module:
        """The model, initialised from torch's generator."""
        return network_of(self)

    def objective(self, model: nn.Module) -> Objective:
        """Point and pinball loss in standardised units, judged by the headline metric.

        With a plan nothing is held out to judge by: the last parameters are kept, and quantiles
        are corrected by what they missed in the backtest.
        """
        if self.plan is not None and self.plan.correction:
            assert isinstance(model, Calibrated)
            model.correction.copy_(torch.tensor(self.plan.correction))
        return WindowLoss(self, model)

    def batches(self, rank: int = 0, world_size: int = 1) -> Batches[Batch]:
        """Windows of the training parts of all series, shuffled."""
        pool = self.to_learn()
        return Batches(
            shuffled(pool.count, self.settings.batch_size),
            lambda rows: pool.take(rows).batch(),
            seed=self.settings.seed,
            rank=rank,
            world_size=world_size,
        )

    # The plan of a short series

    def make_plan(self, model: nn.Module, say: Callable[[str], None]) -> dict[str, Any] | None:
        """Backtest a short series; see `elman.tasks.forecast.backtest`. None for others."""
        return planned(self, model, say)

    def blend(self, model: nn.Module, predictors: Sequence[Baseline]) -> Blend | str:
        """Mix the model with the baseline that is best where nothing was trained.

        That is the validation part, or the origins of the backtest, and the weight is found there.
        """
        return blend_of_best(self, model, predictors)

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
        return evidence_of(self, baseline, test)

    @property
    def origins_of_backtest(self) -> int:
        """Origins that a backtest has, made or still to be made; 0 where there is none."""
        return plans(self.settings, self._ends)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Headline metric, CRPS and coverage on the validation part.

        On a thousand windows at most, spread evenly over it; the model's quantiles are corrected
        by what they missed there.
        """
        return validated(self, model)

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
        return [one for _, one in announced(scored(self, predictors, held, origins, begins, own))]

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
            self._predictors = all_baselines(self)
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

    def sample(self, data: Any = None, rows: int = 32, seed: int = 0) -> Sample:
        """Windows with the future that came."""
        return sampled(self, data, rows, seed)

    @property
    def _chunk(self) -> int:
        """Windows forecast at once: about four million numbers, and 512 windows, at most."""
        each = max(self.lookback, self.horizon * (1 + len(self.settings.quantiles)))
        return max(1, min(512, 4_000_000 // (each * len(self.targets))))

    def _score(self, units: pd.DataFrame) -> dict[str, float]:
        return score(units, quantiles=bool(self.settings.quantiles))

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
        held, origins = to_predict(self, data, whole=not isinstance(model, nn.Module))
        try:
            forecaster = forecaster_by(self, model, held, origins.position.tolist(), origins, {})
        except NotFitted as error:
            raise CannotSay(f"{error}.", file=held.panel.source) from None
        return table_of(self, held, origins, forecaster, truth=False)

    def brief(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """Return when, the forecast, and the outermost quantiles; series and target of several."""
        from elman.tasks.forecast.tables import brief

        return brief(predictions)

    def sections(self, model: nn.Module, evaluation: Evaluation) -> list[Section]:
        """Return the future, forecasts beside the truth and the best baseline, and the errors."""
        return sections_of(self, model, evaluation)

    def stream(self, model: Any) -> WindowStream:
        """Return the model on a stream: a row of values in, the forecast of what follows out."""
        if not isinstance(model, Calibrated):
            raise InputError(
                f"{model.name} needs the history before a window too, so it cannot stream.",
                fix="Use predict, or stream the model.",
            )
        return WindowStream(self, model)
