"""Settings of a forecast, and how those that are left open follow from the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from elman.needs import Need
from elman.nn.window_norm import Norm
from elman.tasks.forecast import backtest
from elman.tasks.forecast.panel import Panel
from elman.tasks.forecast.times import season_of
from elman.tasks.forecast.windows import Ends
from elman.tasks.settings import TableSettings, TaskSettings, other_default
from elman.tasks.understood import listed
from elman.training.distributed import ranks
from elman.training.settings import ScheduleName

STEPS = 2_000
_HORIZONS = 5
"""Horizons that the shortest series holds, where the horizon is chosen."""
Metric = Literal["mase", "smape", "mse", "rmse", "mae", "scaled_mse", "scaled_mae", "crps", "wql"]


class ForecastSettings(TableSettings):
    """Settings of a forecast; what is None is chosen from the data."""

    anew: ClassVar[frozenset[str]] = frozenset({"rows", "test_step", "loss", "metric"})

    target: str | list[str] | None = Field(
        None, description="column or columns to forecast (default: all columns of numbers)"
    )
    time: str | list[str] | None = Field(
        None,
        description="column of times (default: the first one, if any); or one of dates and one of "
        "times of day",
    )
    group: str | list[str] | None = Field(
        None, description="column or columns that tell several series apart"
    )
    covariates: list[str] = Field(
        default_factory=list, description="columns whose future is known when a forecast is made"
    )
    missing: list[str] = Field(
        default_factory=list, description="words that say that a value is missing, beside the usual"
    )
    date_order: Literal["day", "month", "year"] | None = Field(
        None, description="what stands first in dates such as 01/02/24 (default: found)"
    )
    layout: Literal["long", "wide"] | None = Field(
        None, description="a row a moment, or a row a series (default: found)"
    )
    fill: Literal["linear", "forward", "season", "mask"] | None = Field(
        None,
        description="fill of missing values and of rows the calendar leaves out: with the line "
        "between neighbours, the last value, that of a season before; mask: the last value, and "
        "the model sees what is missing (default: none, they are refused)",
    )
    calendar: bool = Field(
        True, description="hour, weekday and season as inputs, where the times and their span allow"
    )
    horizon: int | None = Field(
        None,
        ge=1,
        description="steps ahead (default: as many as the test data given, a season, 10 without)",
    )
    lookback: int | None = Field(
        None, ge=1, description="past values a forecast sees (default: from season and horizon)"
    )
    season: int | None = Field(
        None,
        ge=1,
        description="steps in a season (default: from the times: 24 for hours, 12 months)",
    )
    rows: list[Annotated[int, Field(ge=1)]] | None = Field(
        None,
        min_length=3,
        max_length=3,
        description="rows to train, validate and test on, in order",
    )
    test_step: int | None = Field(
        None,
        ge=1,
        description="rows between forecasts of the test (default: 1, up to 20,000 of them)",
    )
    quantiles: list[float] = Field(
        default_factory=lambda: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
        description="quantiles forecast beside the point; none: []",
    )
    log: bool = Field(False, description="model the logarithm (positive series, errors in %)")
    loss: Literal["mae", "mse", "smape"] = Field(
        "mae", description="loss of the point forecast; quantiles add their pinball loss"
    )
    metric: Metric = Field("mase", description="headline metric")
    model: Literal["segment", "recurrent"] = Field(
        "segment", description="read the past by segments (SegRNN), or step by step (MQ-RNN)"
    )
    segment: int | None = Field(
        None,
        ge=1,
        description="values in a segment (default: a season if 4 to 48, within lookback)",
    )
    window_norm: Norm = Field(
        "last", description="taken out of each window: none, last, standard or revin"
    )

    cell: str = other_default(TaskSettings, "cell", "gru")
    dropout: float = other_default(TaskSettings, "dropout", 0.1)
    batch_size: int = Field(64, ge=1, description="windows in a batch, over all processes")
    lr: float = other_default(TaskSettings, "lr", 2e-3)
    schedule: ScheduleName = other_default(TaskSettings, "schedule", "cosine")
    warmup: float = other_default(TaskSettings, "warmup", 0.05)
    weight_decay: float = other_default(TaskSettings, "weight_decay", 1e-4)

    needs: ClassVar[Mapping[str, Need]] = {
        "segment": Need("model", ["segment"]),
        "valid_fraction": Need("rows", [None], "no rows"),
        "test_fraction": Need("rows", [None], "no rows"),
    }
    unused: ClassVar[Mapping[str, str]] = {"label_smoothing": "a forecast has no classes"}

    @field_validator("quantiles")
    @classmethod
    def _levels(cls, value: list[float]) -> list[float]:
        if any(not 0 < level < 1 for level in value) or sorted(set(value)) != value:
            raise ValueError("quantiles lie between 0 and 1, ascending")
        return value

    @field_validator("covariates", "missing", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return [value] if isinstance(value, str | int | float) else value

    @field_validator("missing", mode="before")
    @classmethod
    def _words(cls, value: object) -> object:
        return [str(word) for word in value] if isinstance(value, list) else value


def decided(
    settings: ForecastSettings, panel: Panel, told: Mapping[str, Mapping[str, int]]
) -> ForecastSettings:
    """Season and horizon where they were left to the data."""
    season = settings.season or season_of(panel.frequency)
    horizon = settings.horizon
    if horizon is None and "test" in told:
        horizon = min(told["test"].values())
    horizon = horizon or panel.horizon
    if horizon is None:
        shortest = min(len(s) for s in panel.series)
        horizon = max(1, min(_wanted(season), (shortest - 1) // _HORIZONS))
    return settings.model_copy(update={"season": season, "horizon": horizon})


def _wanted(season: int) -> int:
    """Return the horizon where rows are many: a season, or ten steps without one."""
    return season if season > 1 else 10


def shortened(
    asked: ForecastSettings, chosen: ForecastSettings, panel: Panel, told: Mapping[str, object]
) -> str | None:
    """Return why the horizon is shorter than a season where short series made it so, or None.

    Args:
        asked: the settings before the horizon was chosen.
        chosen: the settings with it.
        panel: the series.
        told: parts that were given apart.
    """
    wanted = _wanted(chosen.season or 1)
    given = asked.horizon or "test" in told or panel.horizon
    if given or chosen.horizon is None or chosen.horizon >= wanted:
        return None
    needed = _HORIZONS * wanted + 1
    short = sorted((s for s in panel.series if len(s) < needed), key=len)
    if len(short) == len(panel.series):
        return None
    names = listed([f"{s.name!r} ({len(s)} rows)" for s in short], 3)
    return (
        f"the horizon is {chosen.horizon} for all series and not {wanted}, because a part would "
        f"not hold more in {len(short):,} of {len(panel.series):,} series, with fewer than "
        f"{needed} rows: {names}. Take {'it' if len(short) == 1 else 'them'} out of the data, or "
        f"set horizon={chosen.horizon} if that is wanted."
    )


def sized(settings: ForecastSettings, ends: Sequence[Ends]) -> ForecastSettings:
    """Lookback, segment and length of training where they were left to the data.

    The steps stay open where a backtest is to find them.
    """
    season, horizon = settings.season or 1, settings.horizon or 1
    longest = max(e.train for e in ends)
    lookback = settings.lookback
    if lookback is None:
        lookback = max(2 * season, 3 * horizon)
        lookback = max(1, min(lookback, (longest - horizon) // 2))
    segment = settings.segment
    if segment is None and settings.model == "segment":
        segment = season if 4 <= season <= 48 else 12
        segment = max(1, min(segment, lookback // 2))
    settings = settings.model_copy(update={"lookback": lookback, "segment": segment})
    if plans(settings, ends) or settings.max_steps or settings.epochs or settings.budget:
        return settings
    return settings.model_copy(update={"max_steps": STEPS})


def plans(settings: ForecastSettings, ends: Sequence[Ends]) -> int:
    """Return the origins of the backtest that finds the number of steps; 0 where there is none.

    Series are short, nothing was said of how long to train, save a budget, nor of how the rate or
    the average goes by validation, and one process trains.
    """
    said = settings.max_steps or settings.epochs or settings.patience or settings.validate_every
    if said or settings.averaging == "asgd" or not ranks().alone:
        return 0
    fields = ForecastSettings.model_fields
    if any(getattr(settings, name) != fields[name].default for name in ("schedule", "warmup")):
        return 0
    return backtest.origins(ends, settings.lookback or 1, settings.horizon or 1)
