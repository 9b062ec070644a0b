"""Encoder and decoder: forcing, scheduled sampling, reversal, masks, and strings reversed."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from elman.errors import InputError
from elman.nn.attention import ATTENTIONS, make_attention
from elman.nn.conv import ConvFront1d
from elman.nn.decoder import Decoder
from elman.nn.decoding import beam_search
from elman.nn.masking import reverse_valid
from elman.nn.recurrent import Recurrent
from elman.nn.seq2seq import EncoderDecoder, free_running_rate
from elman.nn.state import flatten, index

V, H = 7, 8


def close(a, b):
    torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def build(
    attention=None,
    input_feeding=False,
    bidirectional=False,
    cell="gru",
    layers=1,
    coverage=False,
    **options,
):
    torch.manual_seed(0)
    size = 5
    encoder = Recurrent(
        cell, size, H // 2 if bidirectional else H, layers, bidirectional=bidirectional
    )
    decoder = Decoder(
        nn.Embedding(V, size),
        Recurrent(cell, size + H * input_feeding, H, layers),
        nn.Linear(H, V),
        bos=0,
        eos=1,
        attention=None if attention is None else make_attention(attention, H, H),
        input_feeding=input_feeding,
        coverage=coverage,
    )
    with torch.no_grad():
        decoder.head.weight.mul_(6)
        if coverage:
            decoder.u.fill_(-1.5)
    return EncoderDecoder(encoder, decoder, embedding=nn.Embedding(9, size), **options).double()


SHAPES = [
    {},
    {"attention": "additive"},
    {"attention": "general", "bidirectional": True},
    {"attention": "dot", "input_feeding": True, "cell": "lstm", "layers": 2},
    {"attention": "additive", "input_feeding": True, "bidirectional": True, "reverse_source": True},
    {"attention": "general", "coverage": True},
    {"attention": "dot", "coverage": True, "input_feeding": True},
]


@settings(max_examples=25, deadline=None)
@given(
    shape=st.sampled_from(SHAPES),
    front=st.booleans(),
    lengths=st.lists(st.integers(0, 5), min_size=1, max_size=3),
    extra=st.integers(0, 3),
)
def test_padding_of_the_source_changes_nothing(shape, front, lengths, extra):
    model = build(**shape, front=ConvFront1d(5, 5) if front else None)
    source = torch.randint(9, (len(lengths), max(lengths) + extra))
    target = torch.randint(V, (len(lengths), 4))
    together = model(source, target, lengths=torch.tensor(lengths))
    assert together.isfinite().all()
    for row, length in enumerate(lengths):
        alone = model(source[row : row + 1, :length], target[row : row + 1])
        close(together[row : row + 1], alone)


@pytest.mark.parametrize("shape", SHAPES)
def test_teacher_forcing_is_feeding_the_target_step_by_step(shape):
    model = build(**shape)
    source, target = torch.randint(9, (3, 5)), torch.randint(V, (3, 6))
    tokens, state = model.start(source, lengths=[5, 3, 1])
    assert tokens.tolist() == [0, 0, 0]
    expected = []
    for t in range(6):
        logits, state = model.step(tokens, state)
        expected.append(logits)
        tokens = target[:, t]
    close(model(source, target, lengths=[5, 3, 1]), torch.stack(expected, 1))
    assert model(source, target[:, :0], lengths=[5, 3, 1]).shape == (3, 0, V)


def test_coverage_is_the_sum_of_attention_and_lowers_the_scores():
    model = build("general", coverage=True)
    source, target = torch.randint(9, (2, 4)), torch.randint(V, (2, 5))
    start = model.start(source, lengths=[4, 3])
    weights = model.decoder.unroll(target, *start).weights
    inputs = torch.cat((start[0].unsqueeze(1), target[:, :-1]), 1)
    h, _ = model.decoder.recurrent(model.decoder.embedding(inputs).transpose(0, 1), start[1][0])
    keys, _, mask = start[1][2]
    scores = model.decoder.attention.scores(h.transpose(0, 1), keys)
    for t in range(5):
        before = weights[:, :t].sum(1)
        expected = (scores[:, t] - 1.5 * before).masked_fill(~mask, -torch.inf).softmax(-1)
        close(weights[:, t], expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_that_share_a_memory_read_it_as_if_each_had_its_own(shape):
    model = build(**shape)
    source = torch.randint(9, (2, 5))
    _, (inner, fed, memory, seen) = model.start(source, lengths=[5, 2])
    each = torch.arange(2).repeat_interleave(3)
    own = index(memory, each)
    words = torch.randint(V, (6,))
    begun = index((inner, fed, seen), each)
    shared, after = model.decoder.advance(words, begun, memory)
    apart, expected = model.decoder.advance(words, begun, own)
    close(shared.features, apart.features)
    for one, other in zip(flatten(after), flatten(expected), strict=True):
        close(one, other)


def test_coverage_without_attention_is_refused():
    with pytest.raises(InputError, match="no attention"):
        build(coverage=True)


@pytest.mark.parametrize("input_feeding", [False, True])
def test_a_step_is_the_published_equations(input_feeding):
    model = build("general", input_feeding)
    decoder, source = model.decoder, torch.randint(9, (2, 4))
    memory, _ = model.encoder(model.embedding(source).transpose(0, 1))
    memory = memory.transpose(0, 1)
    tokens, state = model.start(source)
    (h,), a = state[0][0], torch.zeros(2, H).double()
    close(h, torch.tanh(model.bridge.W(memory[:, -1])))
    for t in range(3):
        x = decoder.embedding(tokens)
        x = torch.cat((x, a), -1) if input_feeding else x
        _, (h,) = decoder.recurrent.cells[0](x, (h,))
        scores = torch.einsum("bq,qm,bsm->bs", h, decoder.attention.W.weight, memory)
        context = torch.einsum("bs,bsm->bm", scores.softmax(-1), memory)
        a = torch.tanh(torch.cat((context, h), -1) @ decoder.C.weight.T)
        logits, state = model.step(tokens, state)
        close(logits, decoder.head(a))
        tokens = torch.tensor([t + 2, 6 - t])


@pytest.mark.parametrize("shape", SHAPES)
def test_free_running_all_the_time_is_greedy_generation(shape):
    model = build(**shape)
    source, lengths = torch.randint(9, (6, 5)), [5, 3, 1, 0, 2, 4]
    written = model.generate(source, lengths=lengths, max_length=8, temperature=0.0)
    logits = model(source, torch.zeros(6, 8).long(), lengths=lengths, free_running=1.0)
    for row, tokens in enumerate(written.lists()):
        assert logits[row].argmax(-1)[: len(tokens)].tolist() == tokens


def fed_tokens(model, *args, **options):
    """Every token the decoder reads while the model runs."""
    seen = []
    handle = model.decoder.embedding.register_forward_hook(lambda _, x, __: seen.append(x[0]))
    logits = model(*args, **options)
    handle.remove()
    return logits, torch.cat([x.reshape(len(args[0]), -1) for x in seen], 1)


def test_scheduled_sampling_feeds_one_or_the_other_as_often_as_it_is_told():
    model = build("additive")
    source, target = torch.randint(9, (64, 4)), torch.randint(V, (64, 40))
    rate = 0.3
    logits, fed = fed_tokens(
        model, source, target, free_running=rate, generator=torch.Generator().manual_seed(5)
    )
    own, true = logits.argmax(-1)[:, :-1], target[:, :-1]
    assert ((fed[:, 1:] == own) | (fed[:, 1:] == true)).all()
    telling = own != true
    share = (fed[:, 1:] == own)[telling].double().mean().item()
    assert share == pytest.approx(rate, abs=4 * math.sqrt(rate * (1 - rate) / telling.sum()))


def test_scheduled_sampling_is_settled_by_its_seed_and_meets_both_ends():
    model = build("general")
    source, target = torch.randint(9, (8, 4)), torch.randint(V, (8, 12))

    def run(rate, seed=0):
        return model(
            source, target, free_running=rate, generator=torch.Generator().manual_seed(seed)
        )

    close(run(0.5), run(0.5))
    assert not torch.equal(run(0.5), run(0.5, seed=1))
    close(run(0.0), model(source, target))
    close(run(1e-9), model(source, target))
    close(run(1.0), model(source, target, free_running=1.0))


def test_the_rate_of_scheduled_sampling_rises_as_published():
    rates = [free_running_rate(step, k=50.0) for step in range(0, 2000, 10)]
    assert rates == sorted(rates)
    assert rates[0] == pytest.approx(1 - 50 / 51)
    for step in (0, 100, 300):
        expected = 1 - 50 / (50 + math.exp(step / 50))
        assert free_running_rate(step, k=50.0) == pytest.approx(expected)
    assert free_running_rate(10**9, k=1.0) == 1.0
    with pytest.raises(InputError):
        free_running_rate(1, k=0.5)


@pytest.mark.parametrize("attention", [None, *ATTENTIONS])
def test_reversal_reads_each_source_from_its_own_end(attention):
    backwards, forwards = build(attention, reverse_source=True), build(attention)
    forwards.load_state_dict(backwards.state_dict())
    source, target = torch.randint(9, (3, 5)), torch.randint(V, (3, 4))
    lengths = torch.tensor([5, 3, 0])
    close(
        backwards(source, target, lengths=lengths),
        forwards(reverse_valid(source, lengths), target, lengths=lengths),
    )
    assert not torch.allclose(
        backwards(source, target, lengths=lengths)[:2],
        forwards(source, target, lengths=lengths)[:2],
    )


def test_a_copied_state_is_where_the_encoder_ended():
    model = build(cell="lstm", layers=2, bridge="copy")
    source, lengths = torch.randint(9, (3, 5)), torch.tensor([5, 2, 0])
    _, (state, *_) = model.start(source, lengths=lengths)
    _, expected = model.encoder(model.embedding(source).transpose(0, 1), lengths=lengths)
    for mine, theirs in zip(state, expected, strict=True):
        for a, b in zip(mine, theirs, strict=True):
            close(a, b)
    assert all((part[2] == 0).all() for pair in state for part in pair)


@pytest.mark.parametrize("shape", SHAPES)
def test_beam_search_agrees_with_the_model_read_whole(shape):
    model = build(**shape)
    source, lengths = torch.randint(9, (3, 5)), [5, 3, 1]
    found = beam_search(
        model.step, *model.start(source, lengths=lengths), beam=6, max_length=5, eos=1, n_best=3
    )
    one = beam_search(
        model.step, *model.start(source, lengths=lengths), beam=1, max_length=5, eos=1
    )
    written = model.generate(source, lengths=lengths, max_length=5, temperature=0.0).lists()
    assert [h.tokens for [h] in one] == written
    for row, hypotheses in enumerate(found):
        assert [h.score for h in hypotheses] == sorted((h.score for h in hypotheses), reverse=True)
        for hypothesis in hypotheses:
            target = torch.tensor([hypothesis.tokens])
            logits = model(source[row : row + 1], target, lengths=lengths[row : row + 1])
            total = logits.log_softmax(-1).gather(-1, target.unsqueeze(-1)).sum().item()
            assert hypothesis.log_probability == pytest.approx(total, abs=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_parameter_learns(shape):
    model = build(**shape)
    source, target = torch.randint(9, (4, 5)), torch.randint(V, (4, 6))
    model(source, target, lengths=[5, 3, 2, 4]).log_softmax(-1).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_parts_that_do_not_fit_are_named():
    with pytest.raises(InputError, match="'affine'"):
        build(bridge="afine")
    with pytest.raises(InputError, match="bridge='affine'"):
        build(bidirectional=True, bridge="copy")
    with pytest.raises(InputError, match="attention="):
        build(input_feeding=True)
    decoder = build("additive").decoder
    with pytest.raises(InputError, match="memory of size 8"):
        EncoderDecoder(Recurrent("gru", 5, 6), decoder)
    with pytest.raises(InputError, match="nothing to attend to"):
        decoder.start(decoder.recurrent.init_state(1))
    plain, memory = build().decoder, decoder.attention.remember(torch.zeros(1, 2, H).double())
    with pytest.raises(InputError, match="no attention"):
        plain.start(plain.recurrent.init_state(1), memory)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@pytest.mark.parametrize("shape", SHAPES)
def test_a_gpu_writes_what_the_cpu_writes(shape):
    """Lengths and generators stay on the CPU; the draws are the same."""
    model = build(**shape)
    source, target = torch.randint(9, (3, 5)), torch.randint(V, (3, 6))
    lengths = torch.tensor([5, 3, 0])

    def everything(device):
        model.to(device)
        there = source.to(device)
        options = {"free_running": 0.5, "generator": torch.Generator().manual_seed(1)}
        logits = model(there, target.to(device), lengths=lengths, **options)
        seed = torch.Generator().manual_seed(2)
        drawn = model.generate(
            there, lengths=lengths, max_length=9, top_p=0.9, generator=seed
        ).lists()
        start = model.start(there, lengths=lengths)
        found = beam_search(model.step, *start, beam=4, max_length=9, eos=1, n_best=2)
        return logits.cpu(), drawn, [[h.tokens for h in row] for row in found]

    logits, drawn, found = everything("cpu")
    on_gpu, drawn_on_gpu, found_on_gpu = everything("cuda")
    torch.testing.assert_close(on_gpu, logits, rtol=0, atol=1e-9)
    assert drawn_on_gpu == drawn
    assert found_on_gpu == found


def strings(generator, n, longest):
    """Digit strings (2 to 6), padded with 0, their lengths, and the same reversed with an end."""
    lengths = torch.randint(1, longest + 1, (n,), generator=generator)
    source = torch.randint(2, 7, (n, longest), generator=generator)
    source[torch.arange(longest) >= lengths[:, None]] = 0
    target = torch.cat((reverse_valid(source, lengths), torch.zeros(n, 1).long()), 1)
    target[torch.arange(n), lengths] = 1
    return source, lengths, target


@pytest.mark.parametrize("attention", ["additive", "general"])
def test_it_learns_to_reverse_strings(attention):
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    model = EncoderDecoder(
        Recurrent("gru", 12, 16, bidirectional=True),
        Decoder(
            nn.Embedding(7, 12),
            Recurrent("gru", 12, 32),
            nn.Linear(32, 7),
            bos=0,
            eos=1,
            attention=make_attention(attention, 32, 32),
        ),
        embedding=nn.Embedding(7, 12),
    )
    steps = 200
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        source, lengths, target = strings(generator, 32, 4)
        valid = torch.arange(5) <= lengths[:, None]
        logits = model(source, target, lengths=lengths)
        loss = nn.functional.cross_entropy(logits[valid], target[valid])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    source, lengths, target = strings(generator, 200, 4)
    written = model.generate(source, lengths=lengths, max_length=6, temperature=0.0).lists()
    expected = [row[: n + 1] for row, n in zip(target.tolist(), lengths.tolist(), strict=True)]
    right = sum(a == b for a, b in zip(written, expected, strict=True))
    assert right >= 196
