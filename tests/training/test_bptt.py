import numpy as np
import pytest
import torch
from torch import nn

from elman.data.batches import CarriedBatches
from elman.errors import InputError
from elman.nn import Recurrent
from elman.training import TruncatedBPTT


class Layer(nn.Module):
    """A recurrence and a read-out, in float64."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.rnn = Recurrent("lstm", 3, 4, 2).double()
        self.head = nn.Linear(4, 1).double()

    def forward(self, x, state=None, reset=None):
        y, state = self.rnn(x, state, reset=reset)
        return self.head(y), state


def gradients(layer):
    found = [p.grad.clone() for p in layer.parameters()]
    layer.zero_grad()
    return found


def close(a, b):
    for x, y in zip(a, b, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-10, atol=1e-12)


def windowed(layer, bptt, x, y, reset=None):
    """Sum of squared errors over all windows, with its gradients; and all outputs."""
    state, total, outputs = None, 0.0, []
    for window in bptt.windows(len(x)):
        cut = slice(window.start, window.stop)
        marks = None if reset is None else reset[cut]
        output, state = bptt(layer, x[cut], state, reset=marks, context=window.context)
        loss = (output - y[window.start + window.context : window.stop]).square().sum()
        loss.backward()
        total += float(loss.detach())
        outputs.append(output.detach())
    return total, torch.cat(outputs)


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(12, 2, 3, generator=generator, dtype=torch.float64)
    return x, torch.randn(12, 2, 1, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("k", [(12, None), (12, 12), (20, 25)])
def test_a_window_as_long_as_the_sequence_is_full_bptt(data, k):
    layer, (x, y) = Layer(), data
    (layer(x)[0] - y).square().sum().backward()
    full = gradients(layer)
    windowed(layer, TruncatedBPTT(*k), x, y)
    close(gradients(layer), full)


@pytest.mark.parametrize("k", [(1, 12), (3, 12), (5, 15), (4, 100)])
def test_context_back_to_the_start_is_full_bptt_too(data, k):
    # Whatever k1, every loss reaches back over all its past.
    layer, (x, y) = Layer(), data
    (layer(x)[0] - y).square().sum().backward()
    full = gradients(layer)
    windowed(layer, TruncatedBPTT(*k), x, y)
    close(gradients(layer), full)


@pytest.mark.parametrize("k", [(3, 3), (3, 5), (2, 7), (5, 6), (1, 4)])
def test_truncated_gradients_equal_the_definition(data, k):
    """Each window by hand: the state at its start from the beginning, detached."""
    layer, (x, y) = Layer(), data
    k1, k2 = k
    expected = None
    for judged in range(0, len(x), k1):
        start = max(0, judged - (k2 - k1))
        state = None
        if start:
            with torch.no_grad():
                _, state = layer(x[:start])
        output, _ = layer(x[start : judged + k1], state)
        loss = (output[judged - start :] - y[judged : judged + k1]).square().sum()
        loss.backward()
    expected = gradients(layer)
    windowed(layer, TruncatedBPTT(k1, k2), x, y)
    close(gradients(layer), expected)


@pytest.mark.parametrize("k", [(3, 3), (3, 5), (2, 7)])
def test_outputs_do_not_depend_on_the_windows(data, k):
    layer, (x, y) = Layer(), data
    whole = layer(x)[0].detach()
    _, outputs = windowed(layer, TruncatedBPTT(*k), x, y)
    torch.testing.assert_close(outputs, whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("k", [(3, 3), (3, 5), (2, 7), (12, 12)])
def test_state_crosses_windows_and_not_documents(data, k):
    layer, (x, y) = Layer(), data
    reset = torch.zeros(12, 2, dtype=torch.bool)
    reset[7, 0] = True
    _, outputs = windowed(layer, TruncatedBPTT(*k), x, y, reset)
    alone = layer(x[7:, :1])[0].detach()
    torch.testing.assert_close(outputs[7:, :1], alone, rtol=1e-12, atol=1e-12)
    whole = layer(x[:, 1:])[0].detach()
    torch.testing.assert_close(outputs[:, 1:], whole, rtol=1e-12, atol=1e-12)
    assert not torch.allclose(outputs[7:, :1], layer(x[:, :1])[0][7:].detach())


@pytest.mark.parametrize("k", [(4, 4), (4, 6), (2, 7)])
def test_windows_are_those_of_the_stream(k):
    tokens = np.arange(23)
    found = [(int(b.inputs[0, 0]), len(b.inputs), b.context) for b in CarriedBatches(tokens, 1, *k)]
    expected = [(w.start, w.stop - w.start, w.context) for w in TruncatedBPTT(*k).windows(22)]
    assert found == expected


def test_batch_first(data):
    layer, (x, _) = Layer(), data
    bptt = TruncatedBPTT(2, 5)

    def batch_first(part, state):
        output, state = layer(part.transpose(0, 1), state)
        return output.transpose(0, 1), state

    a, state_a = bptt(layer, x[:5], context=3)
    b, state_b = bptt(batch_first, x[:5].transpose(0, 1), context=3, time=1)
    torch.testing.assert_close(a, b.transpose(0, 1))
    torch.testing.assert_close(state_a[0][0], state_b[0][0])


def test_the_carried_state_is_cut_off(data):
    _, state = TruncatedBPTT(3)(Layer(), data[0][:3])
    assert not any(part.requires_grad for layer in state for part in layer)


@pytest.mark.parametrize("k", [(0, None), (4, 3), (-1, 2)])
def test_meaningless_lengths_are_refused(k):
    with pytest.raises(InputError, match="1 <= k1 <= k2"):
        TruncatedBPTT(*k)


def test_a_carried_state_may_be_a_dict():
    def layer(x, state):
        seen = x.sum(0) if state is None else state["seen"] + x.sum(0)
        return x, {"seen": seen, "none": None}

    x = torch.ones(3, 2, 1, requires_grad=True)
    _, first = TruncatedBPTT(3)(layer, x)
    _, second = TruncatedBPTT(3)(layer, x, first)
    assert second["none"] is None
    assert second["seen"].tolist() == [[6.0], [6.0]]
    assert not second["seen"].requires_grad
