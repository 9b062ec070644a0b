from typing import ClassVar

import pytest
from pydantic import Field

from elman.errors import InputError
from elman.training import Settings
from elman.training.settings import Need


def test_every_field_says_what_it_means():
    for name, field in Settings.model_fields.items():
        assert field.description, name


@pytest.mark.parametrize(
    ("text", "expected"), [("90", 90.0), ("90s", 90.0), ("10m", 600.0), ("1h 30m", 5400.0)]
)
def test_budget_is_a_length_of_time(text, expected):
    assert Settings(budget=text).budget == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optimiser": "sgd"}, "no setting 'optimiser'. Did you mean 'optimizer'?"),
        ({"optimizer": "adamww"}, "optimizer cannot be 'adamww'. Did you mean 'adamw'?"),
        ({"lr": -1}, "lr cannot be -1: input should be greater than 0"),
        ({"budget": "soon"}, "budget cannot be 'soon': write it as 90, 90s, 10m or 1h30m"),
        ({"optimizer": "adagrad", "momentum": 0.5}, "adagrad has no momentum"),
        ({"schedule": "cosin"}, "schedule cannot be 'cosin'. Did you mean 'cosine'?"),
    ],
)
def test_a_wrong_setting_is_explained(values, message):
    with pytest.raises(InputError, match=r"[Ss]etting") as error:
        Settings.of(values)
    assert message in str(error.value)


def test_ten_epochs_where_nothing_bounds_the_run():
    assert Settings().epoch_bound == 10
    assert Settings(max_steps=5).epoch_bound is None
    assert Settings(budget=5).epoch_bound is None
    assert Settings(budget=5, epochs=3).epoch_bound == 3


def test_a_config_comes_back_as_it_was():
    settings = Settings(budget="10m", clip="adaptive", momentum=0.5, optimizer="sgd")
    assert Settings.of(settings.model_dump()) == settings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"ema_decay": 0.9},
            "Setting ema_decay has no effect with averaging=none: set averaging=ema, "
            "or leave it out.",
        ),
        ({"averaging": "asgd", "ema_decay": 0.9}, "no effect with averaging=asgd"),
        ({"averaging": "ema", "asgd_after": 2}, "asgd_after has no effect with averaging=ema"),
        (
            {"decay": 0.1},
            "Setting decay has no effect with schedule=constant: set schedule=step or "
            "schedule=plateau, or leave it out.",
        ),
        ({"schedule": "cosine", "decay_after": 9}, "decay_after has no effect with schedule=cos"),
        (
            {"clip": "none", "clip_at": 0.5},
            "Setting clip_at has no effect with clip=none: set clip=norm or clip=value or "
            "clip=adaptive, or leave it out.",
        ),
    ],
)
def test_a_setting_without_an_effect_is_refused(values, message):
    with pytest.raises(InputError) as error:
        Settings.of(values)
    assert message in str(error.value)
    assert "do not fit together" not in str(error.value)


@pytest.mark.parametrize(
    "values",
    [
        {"averaging": "ema", "ema_decay": 0.9},
        {"averaging": "asgd", "asgd_after": 2},
        {"schedule": "step", "decay": 0.1, "decay_after": 9},
        {"schedule": "plateau", "decay": 0.1, "decay_after": 9},
        *({"clip": clip, "clip_at": 0.5} for clip in ("norm", "value", "adaptive")),
    ],
)
def test_a_setting_with_an_effect_is_taken(values):
    settings = Settings.of(values)
    assert {name: getattr(settings, name) for name in values} == values


def test_a_default_is_never_refused():
    everything = Settings().model_dump()
    assert Settings.of(everything) == Settings()
    assert Settings.of({**everything, "clip": "none"}).clip == "none"


class Fronted(Settings):
    front_channels: list[int] = Field(default_factory=list, description="filters of each")
    front_kernel: int = Field(5, description="width")
    ema_decay: float = Field(0.5, description="another default")

    needs: ClassVar = {"front_kernel": Need("front_channels", bool, "front_channels")}


def test_a_subclass_adds_its_own_needs_and_defaults():
    with pytest.raises(
        InputError, match=r"no effect with front_channels=\[\]: set front_channels,"
    ):
        Fronted.of({"front_kernel": 3})
    assert Fronted.of({"front_kernel": 3, "front_channels": [8]}).front_kernel == 3
    with pytest.raises(InputError, match="asgd_after has no effect"):
        Fronted.of({"asgd_after": 2})
    with pytest.raises(InputError, match="ema_decay has no effect"):
        Fronted.of({"ema_decay": 0.999})
    assert Fronted.of({"ema_decay": 0.5}).ema_decay == 0.5


def test_settings_of_an_older_run_lose_what_had_no_effect():
    found = Fronted.recorded({"ema_decay": 0.9, "decay": 0.1, "front_kernel": 3, "lr": 0.5})
    assert found == Fronted(lr=0.5)
    assert Settings.recorded({"averaging": "ema", "ema_decay": 0.9}).ema_decay == 0.9
    with pytest.raises(InputError, match="lr cannot be -1"):
        Settings.recorded({"ema_decay": 0.9, "lr": -1})


def test_every_need_is_of_two_settings():
    for name, need in Settings.needs.items():
        assert {name, need.setting} <= set(Settings.model_fields)
