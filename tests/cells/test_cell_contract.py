"""What the rooms that run cells rely on."""

from __future__ import annotations

import copy
import inspect
import re

import pytest
import torch
from torch import nn

import elman
from elman.cells import CELLS, Cell, make, options_of
from elman.errors import InputError


def test_sizes_are_those_of_the_tensors(cell: Cell, step) -> None:
    x, state = step
    output, new = cell(x, state)
    assert x.shape[1] == cell.input_size
    assert output.shape == (len(x), cell.output_size)
    assert isinstance(new, tuple)
    assert tuple(s.shape for s in new) == tuple((len(x), n) for n in cell.state_sizes)


def test_the_empty_batch_is_a_batch(cell: Cell) -> None:
    output, new = cell(torch.empty(0, cell.input_size).double(), cell.init_state(0))
    assert output.shape == (0, cell.output_size)
    assert [s.shape for s in new] == [(0, n) for n in cell.state_sizes]


def test_a_step_changes_neither_input_nor_state(cell: Cell, step) -> None:
    x, state = step
    before = [t.clone() for t in (x, *state)]
    cell(x, state)
    assert all(torch.equal(a, b) for a, b in zip(before, (x, *state), strict=True))


def test_state_starts_at_zero_where_the_parameters_are(cell: Cell) -> None:
    state = cell.init_state(3)
    assert [s.dtype for s in state] == [torch.float64] * len(cell.state_sizes)
    assert all(s.abs().sum() == 0 for s in state)
    assert all(s.dtype == torch.float16 for s in cell.init_state(3, dtype=torch.float16))
    assert all(s.device.type == "meta" for s in cell.init_state(3, device="meta"))


def test_recurrent_weights_are_those_that_meet_the_state_alone(cell: Cell, step) -> None:
    x, state = step
    start = tuple(torch.zeros_like(s) for s in state)
    parameters = dict(cell.named_parameters())
    from_zero, from_state = cell(x, start), cell(x, state)
    for name in cell.recurrent_weights():
        with torch.no_grad():
            parameters[name].mul_(1.5)
        torch.testing.assert_close(cell(x, start), from_zero)
        assert not torch.equal(cell(x, state)[0], from_state[0])


@pytest.mark.parametrize(
    ("name", "options", "names"),
    [
        ("elman", {}, ["U.weight"]),
        ("lstm", {"peepholes": True, "proj_size": 2}, ["U.weight"]),
        ("gru_cho", {}, ["U.weight", "U_n.weight"]),
        ("indrnn", {}, ["u"]),
        ("lru", {}, []),
        ("esn", {}, []),
    ],
)
def test_recurrent_weights_are_named(name, options, names) -> None:
    assert make(name, 3, 4, **options).recurrent_weights() == names


def test_copies_and_checkpoints_are_whole(variant, cell: Cell, step) -> None:
    name, options = variant
    other = make(name, cell.input_size, cell.hidden_size, dtype=torch.float64, **options)
    other.load_state_dict(cell.state_dict(), strict=True)
    for twin in (other, copy.deepcopy(cell)):
        assert torch.equal(twin(*step)[0], cell(*step)[0])


@pytest.mark.parametrize("name", CELLS)
def test_every_cell_states_its_equation_and_its_paper(name: str) -> None:
    cls = CELLS[name]
    assert re.search(r"\b(19|20)\d\d\b", inspect.cleandoc(cls.__doc__).splitlines()[0])
    # The equation gives the new state, which is h', or s' where the state is not the output.
    assert re.search(r"^[hs]' = |  h' = ", cls.equation(), re.M)


def test_every_option_is_kept_and_documented() -> None:
    for name, cls in CELLS.items():
        cell = make(name, 3, 4)
        for option in set(options_of(name)) - {"bias", "device", "dtype"}:
            assert hasattr(cell, option), f"{name}.{option}"
            assert re.search(rf"^ +.*\b{option}\b.*: ", cls.__doc__, re.M), f"{name}.{option}"


def test_mistakes_name_the_nearest_choice() -> None:
    with pytest.raises(InputError, match=r"No cell is called 'lsmt'. Did you mean 'lstm'?"):
        make("lsmt", 3, 4)
    with pytest.raises(
        InputError, match=r"'lstm' has no option 'peephole'. Did you mean 'peepholes'"
    ):
        make("lstm", 3, 4, peephole=True)
    with pytest.raises(InputError, match=r"nonlinearity='rely' is not known. Did you mean 'relu'"):
        make("elman", 3, 4, nonlinearity="rely")
    with pytest.raises(InputError, match=r"hidden_size=0 must be at least 1"):
        make("gru", 3, 0)


class Counter(Cell):
    """A cell of a user's own that sets its attributes itself."""

    def __init__(self) -> None:
        super().__init__()
        self.input_size, self.output_size, self.state_sizes = 2, 1, (1, 2)

    def forward(self, x, state):
        n, _ = state
        return n + 1, (n + 1, x)


def test_a_users_cell_needs_nothing_else() -> None:
    cell = Counter()
    state = cell.init_state(3)
    assert [s.shape for s in state] == [(3, 1), (3, 2)]
    for _ in range(4):
        output, state = cell(torch.ones(3, 2), state)
    assert output.tolist() == [[4.0]] * 3
    assert cell.recurrent_weights() == []
    assert cell.equation() == ""
    assert elman.Cell is Cell


def test_recurrent_weights_are_found_inside_submodules() -> None:
    class Nested(Cell):
        def __init__(self) -> None:
            super().__init__(2, 3)
            self.W = nn.Linear(2, 3)
            self.inner = nn.ModuleDict({"U_a": nn.Linear(3, 3), "V": nn.Linear(3, 3)})

    assert Nested().recurrent_weights() == ["inner.U_a.weight"]
