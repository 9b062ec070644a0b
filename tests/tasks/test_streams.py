"""Streams of tasks: whose memory it is, copies, bytes, and threads."""

from __future__ import annotations

import copy
import pickle
import sys
import threading
from typing import Any

import numpy as np
import pandas as pd
import pytest

import elman
from elman.errors import InputError
from elman.nn.stream import packed, unpacked

SMALL: dict[str, Any] = {"progress": False, "resamples": 0, "max_steps": 2, "hidden_size": 40}
TEXTS = ["the cat sat on the mat", "a dog ran to the door"] * 20
HOURS = pd.date_range("2024-01-01", periods=120, freq="h")


def series(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"series": list(rng.normal(size=(40, 9, 2))), "label": ["a", "b"] * 20})


def texts() -> pd.DataFrame:
    return pd.DataFrame({"text": TEXTS, "label": ["a", "b"] * 20})


def load() -> pd.DataFrame:
    wave = np.sin(np.arange(120) / 24 * 6.28)
    return pd.DataFrame({"time": HOURS, "load": 5 + wave})


RUNS: dict[str, Any] = {
    "series": ("classify", lambda: series(0), {"bidirectional": False}),
    "texts": ("classify", texts, {"bidirectional": False}),
    "characters": ("generate", lambda: pd.DataFrame({"text": TEXTS}), {"unit": "characters"}),
    "forecast": ("forecast", load, {"horizon": 3, "lookback": 12}),
}


def value(kind: str, k: int) -> Any:
    if kind == "forecast":
        return {"time": HOURS[k], "load": 5.0 + k}
    if kind == "texts":
        return TEXTS[0].split()[k]
    return [1.0, float(k)] if kind == "series" else TEXTS[0][k]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made: dict[Any, Any] = {}

    def of(kind: str, seed: int = 0) -> Any:
        if (kind, seed) not in made:
            task, data, settings = RUNS[kind]
            out = tmp_path_factory.mktemp("run") / kind
            made[kind, seed] = elman.train(task, data(), out, **SMALL, **settings, seed=seed)
        return made[kind, seed]

    return of


@pytest.mark.parametrize("kind", RUNS)
def test_a_memory_goes_to_streams_of_its_own_run_alone(trained: Any, kind: str) -> None:
    run, other = trained(kind), trained(kind, seed=1)
    stream = run.model.stream()
    for k in range(3):
        stream.step(value(kind, k))
    saved = stream.snapshot()
    assert stream.to_bytes() == saved
    again = elman.load(run.path).stream()
    again.from_bytes(saved)
    truth = stream.step(value(kind, 3))
    assert again.step(value(kind, 3)) == truth

    foreign, twin = other.model.stream(), other.model.stream()
    with pytest.raises(InputError, match="another model, or to other weights"):
        foreign.restore(saved)
    assert foreign.step(value(kind, 0)) == twin.step(value(kind, 0))  # nothing has changed
    tensors = unpacked(saved)
    del tensors["of"]
    with pytest.raises(InputError, match="does not say which model"):
        again.restore(packed(tensors))


def test_a_memory_of_another_scaler_is_refused(trained: Any) -> None:
    """The weights are the same; what the numbers mean is not."""
    run = trained("series")
    stream, task = run.model.stream(), elman.load(run.path).task
    saved = stream.snapshot()
    task.codec.scaler.shift[0] += 1
    with pytest.raises(InputError, match="another model"):
        task.stream(run.model.module).restore(saved)


@pytest.mark.parametrize("kind", RUNS)
def test_a_copy_goes_on_by_itself(trained: Any, kind: str) -> None:
    stream = trained(kind).model.stream()
    stream.step(value(kind, 0))
    copies = [stream.copy(), copy.copy(stream), copy.deepcopy(stream)]
    truth = stream.step(value(kind, 1))
    before = stream.snapshot()
    for one in copies:
        assert one.step(value(kind, 1)) == truth
        one.step(value(kind, 2))
        assert stream.snapshot() == before
    with pytest.raises(InputError, match=r"cannot be pickled.*to_bytes\(\)"):
        pickle.dumps(stream)


@pytest.mark.parametrize("kind", ["series", "characters", "forecast"])
def test_eight_threads_on_one_stream(trained: Any, kind: str) -> None:
    stream = trained(kind).model.stream()
    alone = stream.copy()
    what = {"load": 7.0} if kind == "forecast" else value(kind, 1)
    if kind == "forecast":
        for one in (stream, alone):
            one.step(value(kind, 0))
    taken: list[int] = []
    wrong: list[BaseException] = []

    def work() -> None:
        for _ in range(12):
            try:
                stream.step(what)
                taken.append(1)
            except InputError as error:
                if "Another thread" not in str(error):
                    wrong.append(error)
            except BaseException as error:  # a thread's error is nobody's otherwise
                wrong.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong
    assert taken
    for _ in taken:
        alone.step(what)
    assert stream.snapshot() == alone.snapshot()


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        ("series", None, "a list of numbers, not None"),
        ("series", "word", "a list of numbers, not 'word'"),
        ("texts", None, "a string, not NoneType"),
        ("texts", 3, "a string, not int"),
        ("characters", 3, "a string, not int"),
        ("characters", None, "a string, not NoneType"),
        ("forecast", None, "no number"),
        ("forecast", "word", "no number"),
    ],
)
def test_what_is_no_step_is_told(trained: Any, kind: str, given: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        trained(kind).model.stream().step(given)


def test_steps_with_and_without_an_offset_from_utc_are_not_mixed(tmp_path):
    days = pd.date_range("2024-01-01", periods=80, freq="h")
    table = pd.DataFrame({"time": days, "y": np.sin(np.arange(80.0))})
    small = {"max_steps": 2, "hidden_size": 4, "resamples": 10, "progress": False}
    model = elman.train("forecast", table, tmp_path / "run", horizon=3, **small).model
    stream = model.stream()
    stream.step({"y": 1.0, "time": "2024-02-01 00:00"})
    stream.step({"y": 1.0, "time": "2024-02-01 01:00"})
    with pytest.raises(InputError, match="'2024-02-01T02:00Z' of this step has an offset from UTC"):
        stream.step({"y": 1.0, "time": "2024-02-01T02:00Z"})
    stream.step({"y": 1.0, "time": "2024-02-01 02:00"})  # nothing has changed
    with pytest.raises(InputError, match="has an offset"):
        stream.copy().step({"y": 1.0, "time": pd.Timestamp("2024-02-01 03:00", tz="UTC")})
    stream.state = None
    stream.step({"y": 1.0, "time": "2024-02-01T02:00+02:00"})
    with pytest.raises(InputError, match=r"has no offset from UTC.* Write all times with"):
        stream.step({"y": 1.0, "time": "2024-02-01 03:00"})
