import pytest
import torch
from torch import nn
from training_worker import Objective, Rows

from elman.training import Settings, checkpoint, parts
from elman.training.loop import _Run


class Number:
    def __init__(self, value):
        self.value = value

    def state_dict(self):
        return self.value

    def load_state_dict(self, state):
        self.value = state


def test_what_is_collected_is_put_back():
    numbers = {"a": Number(1), "b": Number(2), "c": Number(3)}
    state = parts.collect(numbers)
    assert state == {"a": 1, "b": 2, "c": 3}
    assert parts.collect(numbers, without=("b",)) == {"a": 1, "c": 3}
    for part in numbers.values():
        part.value = 0
    parts.restore(numbers, state, without=("a",))
    assert [part.value for part in numbers.values()] == [0, 2, 3]
    with pytest.raises(KeyError, match="c"):
        parts.restore(numbers, {"a": 1, "b": 2})


def test_a_buffer_that_was_replaced_is_put_back():
    layer = nn.BatchNorm1d(2)
    buffers = parts.Tensors(layer.named_buffers)
    state = checkpoint.copy(buffers.state_dict())
    layer.running_mean = torch.full((2,), 7.0)
    assert buffers.state_dict()["running_mean"].tolist() == [7.0, 7.0]
    buffers.load_state_dict(state)
    assert layer.running_mean.tolist() == [0.0, 0.0]


def test_a_carried_state_is_a_copy():
    carried, saved = parts.Carried(torch.device("cpu")), {"h": (torch.zeros(2), None)}
    carried.load_state_dict(saved)
    saved["h"][0].add_(1)
    assert carried.value["h"][0].tolist() == [0.0, 0.0]


def test_groups_of_parts_are_names_of_parts():
    run = _Run(Objective(), Rows(), Settings(), None, None)
    names = set(run.parts)
    groups = (parts.MOVED, parts.OWN, parts.KEPT)
    assert all(set(group) <= names for group in groups)
    assert len({name for group in groups for name in group}) == sum(map(len, groups))
    checkpoint.pack(run.state())  # each can be saved
