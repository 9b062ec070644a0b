"""What units are searched on is asked of a sample alone, whatever task made it."""

import numpy as np
import pytest
import torch
from torch import nn

import elman.nn
from elman.errors import InputError
from elman.inspect import stretches
from elman.inspect.stretches import stretch
from elman.tasks.base import Sample


class Reads(nn.Module):
    """Symbols or numbers `(T, B)` read by a GRU, and what was read."""

    def __init__(self):
        super().__init__()
        self.layer = elman.nn.GRU(1, 4)
        self.read = []

    def forward(self, x):
        self.read.append(x.clone())
        return self.layer(x[:, :, None].float())[0]


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Reads()


def nothing(model):
    raise AssertionError("no loss is asked for")


def running(model_texts=None, length=3000):
    series = np.arange(length) % 7
    return series, Sample(
        nothing,
        "characters",
        [],
        series=series,
        read=lambda model, places: model(torch.from_numpy(series[places])),
        texts=model_texts,
    )


def test_pieces_of_a_running_text_lie_where_they_say(model):
    texts = [["a"] * 1000, ["b"] * 2000]
    series, sample = running(lambda: texts)
    found = stretch(sample, model)
    (read,) = model.read
    assert found.skip == stretches.WARM
    assert read.shape == (stretches.WARM + stretches.STEPS, 5)
    assert torch.equal(torch.from_numpy(series)[found.places], read)
    assert bool((found.places[1:] - found.places[:-1] == 1).all())
    assert found.texts == texts
    assert found.values is None
    assert [p.steps for p in found.passages] == [len(read)]


def test_pieces_of_a_running_series_of_numbers_are_numbers(model):
    series, sample = running()
    found = stretch(sample, model)
    assert found.texts is None
    assert torch.equal(found.values, torch.from_numpy(series)[found.places].double())


def test_sequences_are_read_whole_up_to_a_number_of_steps(model, monkeypatch):
    monkeypatch.setattr(stretches, "_MOST", 12)
    inputs = np.arange(20.0, dtype=np.float32).reshape(5, 4, 1)
    lengths = torch.tensor([5, 3, 4, 5])
    rows = []

    def forward(model, chosen):
        rows.append(chosen.tolist())
        return model(torch.from_numpy(inputs[:, chosen, 0]))

    sample = Sample(nothing, "steps", [], inputs=inputs, forward=forward, lengths=lengths)
    found = stretch(sample, model)
    assert rows == [[0, 1, 2]]
    assert torch.equal(found.values, torch.from_numpy(inputs[:, :3, 0]).double())
    assert found.places.tolist() == [[t] * 3 for t in range(5)]
    assert model.training, "as it was"


def test_sequences_of_text_are_searched_with_their_text(model):
    inputs = np.array([[1, 2], [3, 4], [5, 6]])
    sample = Sample(
        nothing,
        "words",
        [],
        inputs=inputs,
        forward=lambda model, rows: model(torch.from_numpy(inputs[:, rows])),
        lengths=torch.tensor([3, 3]),
        texts=lambda: [["the", " cat", " sat"], ["a", " dog", " ran"]],
    )
    found = stretch(sample, model)
    assert found.texts == [["the", " cat", " sat"], ["a", " dog", " ran"]]
    assert found.places.tolist() == [[0, 3], [1, 4], [2, 5]]


def test_windows_that_do_not_overlap_are_read_and_no_others(model):
    series = np.arange(50.0)
    begins = np.array([0, 4, 10, -1, 30])
    inputs = np.stack([series[max(b, 0) :][:10] for b in begins], 1)[:, :, None]
    chosen = []

    def forward(model, rows):
        chosen.append(rows.tolist())
        return model(torch.from_numpy(inputs[:, rows, 0]))

    sample = Sample(
        nothing,
        "hours",
        [],
        series=series[:, None],
        inputs=inputs,
        forward=forward,
        begins=begins,
    )
    found = stretch(sample, model)
    assert chosen == [[0, 2, 4]]
    assert torch.equal(torch.from_numpy(series)[found.places], found.values)
    with pytest.raises(InputError, match="lies whole in the longest"):
        stretch(Sample(nothing, "hours", [], inputs=inputs, begins=np.full(5, -1)), model)
