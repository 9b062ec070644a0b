"""Whether a curve was still improving at its end: curves with known answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.training.trend import SURE, improving


def curve(values):
    return [(50 * (k + 1), float(value)) for k, value in enumerate(values)]


def decay(constants: float, count: int, noise: float, seed: int):
    """An exponential that runs for so many of its time constants, from 2 to 1, with noise."""
    rng = np.random.default_rng(seed)
    return 1 + np.exp(-np.linspace(0, constants, count)) + noise * rng.normal(size=count)


@pytest.mark.parametrize(("count", "noise"), [(4, 0.0), (6, 0.01), (10, 0.01), (30, 0.02)])
def test_half_way_down_is_still_improving(count, noise):
    said = [improving(curve(decay(1.5, count, noise, seed))) for seed in range(60)]
    assert np.mean(said) > 0.85


@pytest.mark.parametrize("count", [4, 5, 10, 30])
def test_what_has_arrived_is_not(count):
    assert improving(curve(decay(8.0, count, 0.0, 0))) is False
    said = [improving(curve(decay(12.0, count, 0.03, seed))) for seed in range(400)]
    assert np.mean(said) < SURE + 0.02


def test_what_has_turned_is_not():
    falls, rises = np.linspace(2, 1, 12), np.linspace(1.02, 1.4, 8)
    assert improving(curve([*falls, *rises])) is False
    assert improving(curve(falls)) is True


def test_a_better_point_long_ago_is_not_forgotten():
    assert improving(curve([2.0, 0.5, 1.9, 1.8, 1.7, 1.6, 1.5, 1.4, 1.3])) is False


@pytest.mark.parametrize("values", [[], [1.0], [2.0, 1.0], [3.0, 2.0, float("nan"), 1.0]])
def test_three_points_are_too_few(values):
    assert improving(curve(values)) is None


def test_the_same_value_again_and_again_is_no_trend():
    assert improving(curve([1.0] * 9), higher_is_better=True) is False


@given(st.lists(st.integers(-1000, 1000), min_size=4, max_size=30), st.integers(-3, 9))
def test_unit_and_direction_of_a_metric_change_nothing(values, power):
    values = np.array(values, float)
    there = improving(curve(values), higher_is_better=True)
    assert improving(curve(-values)) == there
    # A power of two, so that no rounding decides.
    assert improving(curve(values * 2.0**power), higher_is_better=True) == there
