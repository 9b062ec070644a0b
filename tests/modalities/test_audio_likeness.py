"""Classical views of recordings: by hand, independent of grouping, and on spoken digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from elman.data.formats import sound
from elman.data.scaler import Scaler
from elman.modalities import audio_likeness, likeness
from elman.modalities.audio_features import LogMel, mfcc
from elman.scoring.baselines.linear import Labelled, logistic_regression


def frames(*lengths: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(length, 40)) for length in lengths]


def test_statistics_by_hand() -> None:
    found = audio_likeness.mel_statistics([np.array([[0.0, 2.0], [4.0, 2.0]]), np.ones((1, 2))])
    assert found.tolist() == [[2, 2, 2, 0], [1, 1, 0, 0]]


def test_cepstra_are_those_of_averaged_pairs() -> None:
    (x,) = frames(5)
    pairs = np.stack([(x[0] + x[1]) / 2, (x[2] + x[3]) / 2, x[4]])
    (found,) = audio_likeness.cepstra([x])
    np.testing.assert_allclose(found, mfcc(torch.from_numpy(pairs), 13)[:, 1:], atol=1e-12)
    # Loudness is in the coefficient that is left out.
    np.testing.assert_allclose(audio_likeness.cepstra([x + 3.0])[0], found, atol=1e-12)


def test_the_nearest_is_that_of_all_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    train, others = frames(9, 3, 30, 14, 2, 21, 8), frames(10, 1, 25, seed=1)
    distances = likeness.dtw_distances(
        audio_likeness.cepstra(others), audio_likeness.cepstra(train)
    )
    for at_once in (1, 3, 64):
        monkeypatch.setattr(audio_likeness, "_AT_ONCE", at_once)
        found = audio_likeness.nearest_by_cepstra(train, others)
        assert found is not None
        assert found.tolist() == distances.argmin(1).tolist()


def test_what_would_take_too_long_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio_likeness, "dtw_distances", lambda *_: pytest.fail("was run"))
    # 60000 steps against 5000, of 12 channels: 3.6e9 of the 3e9 that are allowed.
    train, others = frames(10) * 1000, frames(2) * 60_000
    assert audio_likeness.nearest_by_cepstra(train, others) is None


@pytest.mark.slow
def test_spoken_digits_by_their_split(data_dir: Path) -> None:
    """Measured: 0.965 and 0.995 of 200."""
    pytest.importorskip("soundfile", reason="the extra audio is not installed")
    paths = sorted((data_dir / "fsdd" / "recordings").glob("*.wav"))
    table = sound.read(paths)
    features = LogMel(8000)
    x = [features(torch.from_numpy(one.samples)).numpy() for one in table.frame["sound"]]
    y = np.array([int(label) for label in table.labels("label")])
    test = np.array([int(path.stem.split("_")[2]) < 5 for path in paths])
    train, asked = ([x[row] for row in np.flatnonzero(which)] for which in (~test, test))
    statistics = audio_likeness.mel_statistics(train)
    scaler = Scaler.fit(statistics)
    linear = logistic_regression(
        Labelled(scaler.transform(statistics), y[~test]),
        None,
    ).codes(scaler.transform(audio_likeness.mel_statistics(asked)))
    assert (linear == y[test]).mean() >= 0.95
    nearest = audio_likeness.nearest_by_cepstra(train, asked)
    assert nearest is not None
    assert (y[~test][nearest] == y[test]).mean() >= 0.98
