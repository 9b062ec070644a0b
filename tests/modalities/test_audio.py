"""Recordings are read, resampled, classified, streamed and drawn; bad ones are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

pytest.importorskip("soundfile", reason="the extra audio is not installed")
pytest.importorskip("soxr", reason="the extra audio is not installed")

import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

import elman
from elman.data.formats.sound import sound
from elman.errors import InputError
from elman.modalities.audio import Audio
from elman.tasks.classify.task import Classify
from elman.tasks.settings import settings_of

SMALL = {"hidden_size": 8, "batch_size": 8, "resamples": 20}


def tone(hertz: float, samples: int, rate: int = 8000, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=samples)
    return 0.3 * np.sin(2 * np.pi * hertz * np.arange(samples) / rate) + 0.01 * noise


def recordings(folder: Path, n: int = 40) -> Path:
    """Low and high tones of unequal length, rate and channels, a folder a class."""
    for number in range(n):
        label, hertz = [("low", 300), ("high", 900)][number % 2]
        rate = 16000 if number == 6 else 8000
        samples = tone(hertz, rate * (1 + number % 3) // 8, rate, number)
        if number == 8:
            samples = np.stack([samples, samples], 1)
        file = folder / label / f"{number}.{'flac' if number == 4 else 'wav'}"
        file.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(file, samples, rate)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("audio")
    return elman.train(
        "classify",
        recordings(folder / "data"),
        folder / "run",
        progress=False,
        bidirectional=False,
        test_fraction=0.3,
        max_steps=150,
        **SMALL,
    )


def test_tones_are_told_apart_at_any_rate_and_number_of_channels(run: Any) -> None:
    assert run.results["test"]["accuracy"] == 1.0
    assert set(run.results["baselines"]) == {
        "majority",
        "logistic regression on mean and deviation of log-mels",
        "1-nearest neighbour, DTW on MFCCs",
        "MiniRocket + ridge",
        "gradient boosting on summary features",
    }
    assert run.results["data"]["modality"] == "audio"


def test_the_report_draws_spectrograms(run: Any) -> None:
    titles = pd.read_json(run.path / "sections.json")["title"].tolist()
    assert "Test examples" in titles


def test_samples_in_memory_are_predicted_with_their_rate(run: Any) -> None:
    model = elman.load(run.path)
    low, high = tone(300, 2000), tone(900, 4000, 16000)
    assert model.predict(low, rate=8000)["prediction"].tolist() == ["low"]
    assert model.predict([high, high[:2000]], rate=16000)["prediction"].tolist() == ["high"] * 2
    stereo = np.stack([low, low], 1)
    assert model.predict(stereo, rate=8000)["prediction"].tolist() == ["low"]
    with pytest.raises(InputError, match="Give rate="):
        model.predict(low)


def test_files_and_memory_agree(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "x.wav"
    soundfile.write(file, tone(900, 3000), 8000, subtype="FLOAT")
    model = elman.load(run.path)
    found = model.predict(file, proba=True)["p_high"].item()
    samples, rate = soundfile.read(file, dtype="float32")
    assert found == pytest.approx(
        model.predict(samples, rate=rate, proba=True)["p_high"].item(), abs=1e-6
    )


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 700), min_size=1, max_size=8))
def test_pieces_of_any_size_are_the_whole(run: Any, sizes: list[int]) -> None:
    model = run.model
    samples = tone(300, max(sum(sizes), 400)).astype(np.float32)
    stream = model.stream()
    said, place = None, 0
    for size in [*sizes, len(samples)]:
        said = stream.step(samples[place : place + size])
        place += size
    whole = model.predict(samples, rate=8000, proba=True)
    assert said["low"] == pytest.approx(whole["p_low"].item(), abs=1e-4)


def test_a_stream_says_nothing_before_its_first_frame(run: Any) -> None:
    stream = run.model.stream()
    assert stream.step(np.zeros(10, np.float32)) is None
    saved = stream.snapshot()
    first = stream.step(tone(300, 500))
    stream.restore(saved)
    again = stream.step(tone(300, 500))
    assert first == again
    with pytest.raises(InputError, match="one row of finite samples"):
        stream.step(np.zeros((3, 2)))
    with pytest.raises(InputError, match="array of samples"):
        stream.step("hello")


def test_a_manifest_names_its_recordings(tmp_path: Path) -> None:
    recordings(tmp_path / "data")
    files = sorted((tmp_path / "data").rglob("*.*"))
    rows = [f"{file.relative_to(tmp_path)},{file.parent.name},me" for file in files]
    manifest = tmp_path / "calls.csv"
    manifest.write_text("path,label,who\n" + "\n".join(rows) + "\n")
    task = Classify.from_data(manifest, settings_of(Classify, {"target": "label", **SMALL}))
    assert task.layout.modality == "audio"
    assert task.classes == ["high", "low"]
    manifest.write_text("path,label\n" + "data/low/0.wav,low\ndata/low/none.wav,low\n")
    with pytest.raises(InputError, match=r"calls.csv, row 3, column 'path'.*none.wav"):
        Classify.from_data(manifest, settings_of(Classify, SMALL))


def test_labels_in_names(tmp_path: Path) -> None:
    for number in range(12):
        soundfile.write(tmp_path / f"{number % 2}_a_{number}.wav", tone(300, 800), 8000)
    task = Classify.from_data(tmp_path, settings_of(Classify, SMALL))
    assert task.classes == ["0", "1"]


def test_what_is_no_recording_is_refused_by_name(tmp_path: Path) -> None:
    recordings(tmp_path, 8)
    (tmp_path / "low" / "bad.wav").write_text("this is text")
    with pytest.raises(InputError, match=r"bad\.wav"):
        Classify.from_data(tmp_path, settings_of(Classify, SMALL))
    (tmp_path / "low" / "bad.wav").unlink()
    soundfile.write(tmp_path / "low" / "short.wav", np.zeros(20), 8000)
    with pytest.raises(InputError, match=r"short\.wav.*less than one frame"):
        Classify.from_data(tmp_path, settings_of(Classify, SMALL))


def test_augmentation_is_of_training_and_by_its_generator() -> None:
    cells = Audio.example(6, np.random.default_rng(0))
    codec = Audio.fit(cells, settings_of(Classify, {}))
    batch = codec.batch([codec.encode(cell) for cell in cells])
    one = codec.augment(batch, torch.Generator().manual_seed(1)).inputs
    again = codec.augment(batch, torch.Generator().manual_seed(1)).inputs
    other = codec.augment(batch, torch.Generator().manual_seed(2)).inputs
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert (one == 0).float().mean() > (batch.inputs == 0).float().mean()


def test_scale_and_rate_are_those_of_the_training_part() -> None:
    cells = [sound(tone(300, 4000, 16000), 16000), *Audio.example(4, np.random.default_rng(0))]
    codec = Audio.fit(cells, settings_of(Classify, {}))
    assert codec.rate == 8000
    frames = np.concatenate([codec.encode(cell) for cell in cells])
    np.testing.assert_allclose(frames.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(frames.std(0), 1, atol=1e-3)


def test_masks_that_are_off_have_no_width() -> None:
    with pytest.raises(InputError, match="time_width has no effect with time_masks=0"):
        settings_of(Classify, {"time_masks": 0, "time_width": 3})


@pytest.mark.slow
def test_spoken_digits(data_dir: Path, tmp_path: Path) -> None:
    """fsdd by its official split: 98 % and more."""
    files = sorted((data_dir / "fsdd" / "recordings").glob("*.wav"))
    take = {file: int(file.stem.rsplit("_", 1)[1]) for file in files}
    run = elman.train(
        "classify",
        [file for file in files if take[file] >= 5],
        tmp_path / "run",
        test=[file for file in files if take[file] < 5],
        epochs=40,
        progress=False,
    )
    assert run.results["test"]["accuracy"] >= 0.98
