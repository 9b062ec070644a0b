"""What is seen of a model while it runs: the same for our layers, torch's, and loops by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import elman.nn
from elman.cells import CELLS, make
from elman.inspect import Passage, observe
from elman.inspect.passage import _passage
from elman.kernels import run, use
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


def of_layer(name, reset=None, lengths=None, training=False, backend="reference", **options):
    """Passages of a layer in both directions over random sequences, and its output."""
    torch.manual_seed(0)
    layer = elman.nn.Recurrent(name, D, H, bidirectional=True, **options).double()
    layer.train(training)
    x = torch.randn(T, B, D, dtype=torch.double)
    state = [
        tuple(torch.randn_like(s) for s in part) for part in layer.init_state(B, dtype=x.dtype)
    ]
    with use(backend):
        (output, _), found = observe(layer, lambda: layer(x, state, lengths=lengths, reset=reset))
    return output, found


RESET = torch.zeros(T, B, dtype=torch.bool)
RESET[[0, 3, 4, 2, 5], [0, 0, 0, 1, 2]] = True
"""At the first step, two running, and one beyond a row of length 4."""


@pytest.mark.parametrize("name", ["elman", "lstm", "gru", "irnn"])
@pytest.mark.parametrize("reset", [None, RESET])
@pytest.mark.parametrize("lengths", [None, torch.tensor([6, 4, 3])])
@pytest.mark.parametrize("zoneout", [0.0, 0.3])
def test_every_step_taken_again_is_what_the_layer_did(name, reset, lengths, zoneout):
    _, passages = of_layer(name, reset, lengths, zoneout=zoneout)
    assert [p.reverse for p in passages] == [False, True]
    for passage in passages:
        assert (passage.anew is None) == (reset is None)
        for t in range(T):
            on = passage.valid[t]
            y, new = passage.step(passage.x[t, on], tuple(s[t, on] for s in passage.before))
            assert (y - passage.output[t, on]).abs().max() < 1e-12
            for a, b in zip(new, passage.states, strict=True):
                assert (a - b[t, on]).abs().max() < 1e-12
    if reset is not None and lengths is None:
        forth, back = passages
        assert forth.anew.tolist() == RESET.tolist()
        # Row 0 begins sequences at 0, 3 and 4: backwards those before them end there.
        assert back.anew[:, 0].nonzero().flatten().tolist() == [2, 3]


@pytest.mark.parametrize("training", [False, True])
def test_a_part_of_a_passage_is_the_same_steps(training):
    _, passages = of_layer("lstm", RESET, [6, 4, 3], training, zoneout=[0.5, 0.2])
    for whole in passages:
        part = whole.part(torch.tensor([True, False, True]), slice(2, 5))
        assert part.lengths.tolist() == [3, 1]
        assert torch.equal(part.valid, whole.valid[2:5, [0, 2]])
        assert torch.equal(part.anew, whole.anew[2:5, [0, 2]])
        for a, b in zip(part.before, whole.before, strict=True):
            assert torch.equal(a[part.valid], b[2:5, [0, 2]][part.valid])
        for t in range(3):
            hold = None if not training else tuple(h[t] for h in part.hold)
            _, new = part.step(part.x[t], tuple(s[t] for s in part.before), hold=hold)
            on = part.valid[t]
            for a, b in zip(new, part.states, strict=True):
                assert (a[on] - b[t, on]).abs().max() < 1e-12


def test_masks_drawn_in_training_are_those_of_each_step():
    _, passages = of_layer("lstm", RESET, [6, 4, 3], training=True, zoneout=[0.5, 0.2])
    for passage in passages:
        assert passage.zoneout == (0.5, 0.2)
        for t in range(T):
            on = passage.valid[t]
            x, before = passage.x[t, on], tuple(s[t, on] for s in passage.before)
            _, new = passage.step(x, before, hold=tuple(h[t, on] for h in passage.hold))
            for a, b in zip(new, passage.states, strict=True):
                assert (a - b[t, on]).abs().max() < 1e-12
            # Without them it is the mean over all that might be drawn.
            _, plain = passage.step(x, before, hold=(0.0, 0.0))
            _, mean = passage.step(x, before)
            for a, old, new, z in zip(mean, before, plain, passage.zoneout, strict=True):
                torch.testing.assert_close(a, z * old + (1 - z) * new)


@pytest.mark.parametrize("training", [False, True])
def test_gradients_of_states_with_resets_and_zoneout_are_the_same_on_every_backend(training):
    for name in ("lstm", "gru"):
        found = []
        for backend in ("cpu", "reference"):
            output, passages = of_layer(name, RESET, [6, 4, 3], training, backend, zoneout=0.3)
            output.square().sum().backward()
            found.append([g for p in passages for g in p.gradients])
        for a, b in zip(*found, strict=True):
            torch.testing.assert_close(a, b)


def test_the_gradient_by_a_state_before_a_reset_is_exactly_zero():
    output, (forth, _) = of_layer("lstm", RESET, zoneout=0.3)
    output[-1].sum().backward()
    h, c = forth.gradients
    # The last sequence of each row begins at 4, 2 and 5.
    for b, first in enumerate((4, 2, 5)):
        assert h[:first, b].abs().max() == 0
        assert c[:first, b].abs().max() == 0
        assert h[first:, b].abs().min() > 0
    assert forth.since(torch.tensor([5, 5, 4])).tolist() == [4, 2, 0]
    output, (_, back) = of_layer("gru", RESET)
    output[0].sum().backward()
    # Backwards from 2 and 1 and 4 only, where the first sequences end.
    assert [int((back.gradients[0][:, b] != 0).any(-1).sum()) for b in range(B)] == [3, 2, 5]


def test_a_call_is_made_again_whatever_was_named():
    torch.manual_seed(0)
    layer, x, lengths = elman.nn.GRU(D, H, batch_first=True), torch.randn(B, T, D), [6, 4, 3]
    reset, state = RESET.t(), torch.randn(1, B, H)
    plain, _ = layer(x, state, lengths=lengths, reset=reset)
    _, (passage,) = observe(
        layer, lambda: layer(input=x, hx=state, lengths=lengths, reset=reset, return_states=True)
    )
    assert torch.equal(passage.by.reset, RESET)
    again = passage.by.again(torch.cat([passage.by.x] * 2, 1))
    torch.testing.assert_close(again, torch.cat([plain.detach().transpose(0, 1)] * 2, 1))
    ours = elman.nn.Recurrent("gru", D, H, zoneout=0.5)
    first = (torch.randn(B, H),)
    _, (passage,) = observe(
        ours, lambda: ours(x.transpose(0, 1), [first], lengths=torch.tensor(lengths), reset=RESET)
    )
    again = passage.by.again(passage.by.x)
    plain, _ = ours.eval()(x.transpose(0, 1), [first], lengths=lengths, reset=RESET)
    torch.testing.assert_close(again, plain.detach())


def test_a_loop_may_name_what_it_hands_on():
    cell, x = nn.LSTMCell(D, H), torch.randn(T, B, D)

    def loop(**first):
        state = None
        for row in x:
            state = cell(input=row, hx=state) if first else cell(row, state)

    for first in ({}, {"named": True}):
        _, passages = observe(cell, lambda first=first: loop(**first))
        assert [p.steps for p in passages] == [T]
