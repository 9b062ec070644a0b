"""The topologies: the same numbers by rows, by chunks and by steps, and what they can learn."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from elman.errors import InputError
from elman.nn.conv import ConvFront1d, ConvFront2d
from elman.nn.decoder import Decoder
from elman.nn.decoding import beam_search, greedy
from elman.nn.pooling import POOLINGS, MeanPooling
from elman.nn.recurrent import Recurrent
from elman.nn.topologies import Aligned, ManyToOne, OneToMany, OneToOne


def close(a, b):
    torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def front_or_none(two):
    return {None: None, 1: ConvFront1d(3, 3), 2: ConvFront2d(3, 1, stride=(2, 1))}[two]


def same(a, b):
    """Two modules with the same parameters."""
    b.load_state_dict(a.state_dict())
    return b


def test_one_to_one_from_nothing_is_a_feed_forward_network():
    model = OneToOne(Recurrent("elman", 3, 4), nn.Linear(4, 2)).double()
    x = torch.randn(5, 3).double()
    cell = model.recurrent.cells[0]
    hidden = torch.tanh(cell.W(x) + cell.U.bias)
    close(model(x)[0], model.head(hidden))


def test_one_to_one_carries_a_stream():
    model = OneToOne(Recurrent("lstm", 3, 4, num_layers=2), nn.Linear(4, 2)).double()
    whole = Aligned(model.recurrent, model.head)
    x, state = torch.randn(2, 6, 3).double(), None
    for t in range(6):
        y, state = model(x[:, t], state)
        close(y, whole(x)[0][:, t])


def test_one_to_one_sees_a_picture_through_a_front():
    front = ConvFront2d(3, 2, stride=1).double()
    model = OneToOne(Recurrent("gru", 6, 4).double(), nn.Linear(4, 2).double(), front=front)
    x = torch.randn(2, 5, 3).double()
    plain = OneToOne(model.recurrent, model.head)
    seen, after = front(x, lengths=[5, 2])
    close(model(x, lengths=[5, 2])[0], plain(MeanPooling()(seen, lengths=after))[0])


@settings(max_examples=25, deadline=None)
@given(
    pooling=st.sampled_from(POOLINGS),
    bidirectional=st.booleans(),
    two=st.sampled_from([None, 1, 2]),
    lengths=st.lists(st.integers(0, 6), min_size=1, max_size=3),
    extra=st.integers(0, 3),
    beside=st.booleans(),
)
def test_many_to_one_is_the_same_row_by_row(pooling, bidirectional, two, lengths, extra, beside):
    torch.manual_seed(1)
    model = ManyToOne(
        Recurrent("gru", 3, 4, bidirectional=bidirectional),
        nn.Linear((8 if bidirectional else 4) + 5 * beside, 2),
        front=front_or_none(two),
        pooling=pooling,
        beside=ConvFront1d(3, 5, stride=2) if beside else None,
    ).double()
    x = torch.randn(len(lengths), max(lengths) + extra, 3).double()
    together = model(x, lengths=torch.tensor(lengths))
    for row, length in enumerate(lengths):
        if length == 0:
            close(together[row], model.head.bias)
        else:
            close(together[row], model(x[row : row + 1, :length])[0])


@pytest.mark.parametrize("bidirectional", [False, True])
def test_last_pooling_is_the_state_the_recurrence_ends_in(bidirectional):
    layer = Recurrent("gru", 3, 4, bidirectional=bidirectional).double()
    model = ManyToOne(layer, nn.Identity())
    x, lengths = torch.randn(3, 5, 3).double(), torch.tensor([5, 2, 1])
    _, state = layer(x.transpose(0, 1), lengths=lengths)
    close(model(x, lengths=lengths), torch.cat([h for (h,) in state], -1))


@pytest.mark.filterwarnings("ignore::elman.errors.SlowPathWarning")
@pytest.mark.parametrize("layer_batch_first", [False, True])
def test_aligned_is_batch_first_whatever_the_layer_is(layer_batch_first):
    layer = Recurrent("lstm", 3, 4).double()
    model = Aligned(
        same(layer, Recurrent("lstm", 3, 4, batch_first=layer_batch_first).double()), nn.Identity()
    )
    x, lengths = torch.randn(2, 5, 3).double(), torch.tensor([5, 3])
    reset = torch.zeros(2, 5, dtype=torch.bool)
    reset[0, 2] = True
    y, state = model(x, lengths=lengths, reset=reset)
    expected, (expected_state,) = layer(x.transpose(0, 1), lengths=lengths, reset=reset.t())
    close(y, expected.transpose(0, 1))
    for mine, theirs in zip(state[0], expected_state, strict=True):
        close(mine, theirs)


def test_aligned_by_chunks_and_by_steps_is_aligned_at_once():
    model = Aligned(
        Recurrent("gru", 4, 5, num_layers=2), nn.Linear(5, 3), embedding=nn.Embedding(7, 4)
    ).double()
    x = torch.randint(7, (2, 9))
    whole, last = model(x)
    state, chunks = None, []
    for chunk in x.split(4, 1):
        y, state = model(chunk, state)
        chunks.append(y)
    close(torch.cat(chunks, 1), whole)
    state, steps = None, []
    for t in range(9):
        y, state = model.step(x[:, t], state)
        steps.append(y)
    close(torch.stack(steps, 1), whole)
    close(state[1][0], last[1][0])


def test_aligned_starts_anew_at_a_reset():
    model = Aligned(Recurrent("gru", 3, 4), nn.Linear(4, 2)).double()
    x = torch.randn(1, 6, 3).double()
    reset = torch.tensor([[False, False, False, False, True, False]])
    y, _ = model(x, reset=reset)
    close(y[:, :4], model(x[:, :4])[0])
    close(y[:, 4:], model(x[:, 4:])[0])


@pytest.mark.parametrize("two", [None, 1, 2])
def test_aligned_is_zero_beyond_a_length_and_untouched_before(two):
    front = front_or_none(two)
    model = Aligned(Recurrent("gru", 3, 4), nn.Linear(4, 2), front=front).double()
    x, lengths = torch.randn(3, 6, 3).double(), torch.tensor([6, 3, 0])
    y, _ = model(x, lengths=lengths)
    after = lengths if front is None else front.output_lengths(lengths)
    for row in range(3):
        assert (y[row, after[row] :] == 0).all()
    close(y[1, : after[1]], model(x[1:2, :3])[0][0])


def test_aligned_refuses_what_cannot_be_right():
    x = torch.zeros(1, 4, 3)
    fronted = Aligned(Recurrent("gru", 3, 4), nn.Identity(), front=ConvFront1d(3, 3))
    with pytest.raises(InputError, match="reset"):
        fronted(x, reset=torch.zeros(1, 4, dtype=torch.bool))
    with pytest.raises(InputError, match="window"):
        fronted.step(x[:, 0])
    with pytest.raises(InputError, match="bidirectional=False"):
        Aligned(Recurrent("gru", 3, 4, bidirectional=True), nn.Identity()).step(x[:, 0])


def test_a_language_model_is_a_step():
    """What beam search says of a sequence is what the model says of it when it is read whole."""
    torch.manual_seed(0)
    model = Aligned(
        Recurrent("lstm", 4, 6, num_layers=2), nn.Linear(6, 5), embedding=nn.Embedding(5, 4)
    ).double()
    with torch.no_grad():
        model.head.weight.mul_(5)
    prompt, lengths = torch.tensor([[1, 2, 3], [4, 0, 0]]), torch.tensor([3, 1])
    _, state = model(prompt, lengths=lengths - 1)
    last = prompt[[0, 1], lengths - 1]
    found = beam_search(model.step, last, state, beam=8, max_length=6, eos=0, n_best=3)
    for row, hypotheses in enumerate(found):
        for hypothesis in hypotheses:
            told = prompt[row, : lengths[row]].tolist() + hypothesis.tokens
            logits, _ = model(torch.tensor([told[:-1]]))
            picked = logits.log_softmax(-1)[0, range(len(told) - 1), told[1:]]
            total = picked[lengths[row] - 1 :].sum().item()
            assert hypothesis.log_probability == pytest.approx(total, abs=1e-5)
    one = beam_search(model.step, last, state, beam=1, max_length=6, eos=0)
    assert [h.tokens for [h] in one] == greedy(model.step, last, state, max_length=6, eos=0).lists()


def writer(**options):
    torch.manual_seed(0)
    decoder = Decoder(nn.Embedding(6, 4), Recurrent("lstm", 4, 8), nn.Linear(8, 6), bos=0, eos=1)
    return OneToMany(decoder, **options).double()


def test_from_nothing_every_row_is_told_the_same():
    model = writer()
    target = torch.randint(6, (3, 5))
    target[1] = target[0]
    logits = model(target)
    close(logits[0], logits[1])
    close(logits[:, 0], logits[:1, 0].expand(3, 6))
    assert len(model.generate(batch=4, max_length=3).tokens) == 4
    same_seed = [
        model.generate(batch=4, max_length=8, generator=torch.Generator().manual_seed(3)).tokens
        for _ in range(2)
    ]
    assert torch.equal(*same_seed)


@pytest.mark.parametrize("into", ["state", "input", "both"])
def test_the_condition_goes_where_it_is_told_to(into):
    model = writer(condition_size=3, condition=nn.Embedding(5, 3), into=into)
    label, target = torch.tensor([2, 4]), torch.randint(6, (2, 4))
    vector = model.condition(label)
    layer = model.decoder.recurrent
    state = layer.init_state(2)
    if into != "input":
        h, c = torch.tanh(model.to_state.W(vector)).chunk(2, -1)
        state = ((h, c),)
    x = model.decoder.embedding(torch.cat((torch.zeros(2, 1).long(), target[:, :-1]), 1))
    if into != "state":
        x = torch.cat((model.to_input(vector).unsqueeze(1), x), 1)
    y, _ = layer(x.transpose(0, 1), state)
    close(model(target, label), model.decoder.head(y.transpose(0, 1))[:, -4:])


def test_generation_is_the_free_running_model():
    model = writer(condition_size=3)
    with torch.no_grad():
        model.decoder.head.weight.mul_(9)
    condition = torch.randn(4, 3).double()
    drawn = model.generate(condition, max_length=7, temperature=0.0)
    logits = model(torch.zeros(4, 7).long(), condition, free_running=1.0)
    for row, tokens in enumerate(drawn.lists()):
        assert logits[row].argmax(-1)[: len(tokens)].tolist() == tokens


def test_a_picture_is_a_condition():
    front = ConvFront2d(6, 2)
    model = writer(condition_size=5, condition=nn.Linear(front.output_size, 5), front=front)
    picture, target = torch.randn(2, 7, 6).double(), torch.randint(6, (2, 3))
    logits = model(target, picture, lengths=[7, 4])
    picture[1, 4:] = 99
    close(model(target, picture, lengths=[7, 4]), logits)
    picture[1, 3] += 1
    assert not torch.allclose(model(target, picture, lengths=[7, 4])[1], logits[1])


def test_one_to_many_says_what_it_writes_from():
    with pytest.raises(InputError, match="a condition"):
        writer(condition_size=3).start()
    with pytest.raises(InputError, match="no condition"):
        writer().start(torch.zeros(2, 3).double())
    with pytest.raises(InputError, match="'state'"):
        writer(condition_size=3, into="stat")
    with pytest.raises(InputError, match="condition_size"):
        writer(condition=nn.Embedding(3, 3))
    with pytest.raises(InputError, match="bidirectional"):
        Decoder(
            nn.Embedding(3, 2), Recurrent("gru", 2, 3, bidirectional=True), nn.Linear(6, 3), bos=0
        )


@pytest.mark.parametrize("into", ["state", "input"])
def test_one_to_many_learns_a_sequence_for_each_label(into):
    torch.manual_seed(0)
    targets = torch.tensor([[2, 3, 4, 5, 1], [5, 5, 5, 1, 1], [4, 2, 4, 2, 1], [3, 1, 1, 1, 1]])
    decoder = Decoder(nn.Embedding(6, 8), Recurrent("gru", 8, 24), nn.Linear(24, 6), bos=0, eos=1)
    model = OneToMany(decoder, condition_size=8, condition=nn.Embedding(4, 8), into=into)
    labels = torch.arange(4)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(120):
        loss = nn.functional.cross_entropy(model(targets, labels).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    written = model.generate(labels, max_length=9, temperature=0.0).lists()
    assert written == [[2, 3, 4, 5, 1], [5, 5, 5, 1], [4, 2, 4, 2, 1], [3, 1]]
    assert math.exp(-loss.item()) > 0.9


def test_the_page_on_topologies_runs():
    page = Path(__file__).parents[2] / "docs" / "topologies.md"
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M)
    assert len(blocks) >= 7
    torch.manual_seed(0)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)
    assert names["y"].shape == (2, 25, 320)
    assert names["lengths"] == [9, 7, 3, 1]
    assert names["logits"].shape == (4, 7, 30)
