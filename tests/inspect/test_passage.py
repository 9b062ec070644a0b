"""What is seen of a model while it runs: the same for our layers, torch's, and loops by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import elman.nn
from elman.cells import CELLS, make
from elman.inspect import Passage, observe
from elman.inspect.passage import _passage
from elman.kernels import run
from elman.kernels.witness import witnessed

T, B, D, H = 6, 3, 4, 5


def truth(cell, x, lengths=None):
    """States and their gradients by a plain loop, the loss being a weighted sum of outputs."""
    states = [tuple(s.requires_grad_() for s in cell.init_state(x.shape[1], x.device, x.dtype))]
    handed, outputs = [], []
    for t in range(len(x)):
        y, new = cell(x[t], states[-1])
        names = {id(s): s.clone() for s in new}
        outputs.append(names.get(id(y), y))
        states.append(tuple(names[id(s)] for s in new))
        handed += states[-1:]
    return outputs, handed


@pytest.mark.parametrize("name", list(CELLS))
@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_gradients_of_states_are_those_of_a_plain_loop(name, backend):
    torch.manual_seed(0)
    cell = make(name, D, H).double()
    x = torch.randn(T, B, D, dtype=torch.double, requires_grad=True)
    weight = torch.randn(T, B, cell.output_size, dtype=torch.double)
    outputs, handed = truth(cell, x)
    flat = [s for state in handed for s in state]
    wanted = torch.autograd.grad((torch.stack(outputs) * weight).sum(), flat, allow_unused=True)
    with witnessed() as runs:
        result = run(cell, x, backend=backend)
    (result.output * weight).sum().backward()
    (witness,) = runs
    n = len(cell.state_sizes)
    for i in range(n):
        own = [
            torch.zeros(B, s) if g is None else g
            for g, s in zip(wanted[i::n], [cell.state_sizes[i]] * T, strict=True)
        ]
        torch.testing.assert_close(witness.gradients[i], torch.stack(own).double())


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_passage_has_its_own_time(backend, reverse):
    torch.manual_seed(0)
    cell, lengths = make("lstm", D, H).double(), torch.tensor([6, 2, 0])
    x = torch.randn(T, B, D, dtype=torch.double)
    layer = elman.nn.Recurrent(cell)
    turned = x.clone()
    for b, n in enumerate(lengths):
        turned[:n, b] = x[:n, b].flip(0)
    given = turned if reverse else x
    with witnessed() as runs:
        result = run(cell, given, lengths=lengths, reverse=reverse, backend=backend)
    passage, plain = _passage(runs[0], "l"), Passage.of(cell, x, lengths)
    for a, b in zip(
        (passage.x * passage.valid[..., None], passage.output, *passage.states),
        (x * passage.valid[..., None], plain.output, *plain.states),
        strict=True,
    ):
        torch.testing.assert_close(a, b)
    result.output.sum().backward()
    first = passage.gradients[0]
    plain_output, (again,) = observe(layer, lambda: layer(x, lengths=lengths)[0])
    plain_output.sum().backward()
    torch.testing.assert_close(first, again.gradients[0])
    assert first[lengths[1] :, 1].abs().sum() == 0
    assert bool((first[0, :2] != 0).all())


def test_before_is_the_state_each_step_began_from():
    passage = Passage.of(make("lstm", D, H), torch.randn(T, B, D))
    rows, state = passage.all_steps()
    _, new = passage.step(rows, state)
    for a, b in zip(new, passage.states, strict=True):
        torch.testing.assert_close(a, b.reshape(-1, H))


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize(
    "options", [{}, {"num_layers": 2, "bidirectional": True}, {"batch_first": True, "bias": False}]
)
def test_torchs_layers_are_seen_as_ours(kind, options):
    torch.manual_seed(0)
    theirs = nn.Sequential(nn.Linear(D, D), getattr(nn, kind)(D, H, **options)).double()
    x = torch.randn(T, B, D, dtype=torch.double)
    plain, _ = theirs(x)
    (output, _), passages = observe(theirs, lambda: theirs(x))
    torch.testing.assert_close(output, plain)
    directions = 1 + options.get("bidirectional", False)
    names = [
        f"1.l{k}{end}"
        for k in range(options.get("num_layers", 1))
        for end in ("", "_reverse")[:directions]
    ]
    assert [p.name for p in passages] == names
    output.sum().backward()
    assert all(p.gradients is not None for p in passages)
    assert "forward" not in theirs[1].__dict__
    assert not theirs[1]._forward_hooks


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_a_loop_by_hand_is_seen(kind):
    torch.manual_seed(0)

    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.step = kind(D, H)

        def forward(self, x):
            state, found = None, []
            for row in x:
                state = self.step(row, state) if state is not None else self.step(row)
                found.append(state[0] if isinstance(state, tuple) else state)
            return torch.stack(found)

    loop, x = Loop().double(), torch.randn(T, B, D, dtype=torch.double)
    layer = getattr(elman.nn, kind.__name__[:-4])(D, H).double()
    with torch.no_grad():
        for name, p in loop.step.named_parameters():
            layer.get_parameter(f"{name}_l0").copy_(p)
    output, (passage,) = observe(loop, lambda: loop(x))
    (wanted, _), (ours,) = observe(layer, lambda: layer(x))
    torch.testing.assert_close(output, wanted)
    weight = torch.randn_like(output)
    (output * weight).sum().backward()
    (wanted * weight).sum().backward()
    for a, b in zip(passage.gradients, ours.gradients, strict=True):
        torch.testing.assert_close(a, b)
    for a, b in zip(
        (passage.x, *passage.states, *passage.before),
        (ours.x, *ours.states, *ours.before),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def test_a_second_backward_pass_replaces_the_first():
    layer, x = elman.nn.GRU(D, H), torch.randn(T, B, D)
    (output, _), (passage,) = observe(layer, lambda: layer(x))
    output.sum().backward(retain_graph=True)
    all_of_it = passage.gradients[0].clone()
    output[0].sum().backward()
    assert passage.gradients[0][1:].abs().max() == 0
    assert all_of_it[1:].abs().min() > 0
