import pytest

from elman.errors import InputError
from elman.training import Settings


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
