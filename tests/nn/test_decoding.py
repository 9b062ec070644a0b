"""Sampling against brute force, beam search against every sequence there is."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from elman.errors import InputError
from elman.nn.decoding import (
    beam_search,
    choose,
    greedy,
    keep_nucleus,
    keep_top_k,
    largest,
    length_penalty,
    sample,
    with_temperature,
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def chain(vocabulary, seed, batch_of_tables=None):
    """A step whose logits depend on the whole history, through a nested state with None in it."""
    table = torch.randn(97, vocabulary, generator=seeded(seed), dtype=torch.float64) * 2

    def step(tokens, state):
        (code,), nothing, [count] = state
        assert nothing is None
        code = (code * 31 + tokens + 7 * count) % 97
        return table[code], ((code,), None, [count + 1])

    return step


def beginning(rows):
    """A start and a state that differ from row to row."""
    rows = torch.as_tensor(rows)
    return torch.zeros_like(rows), ((rows * 13,), None, [torch.zeros_like(rows)])


def every_sequence(step, row, length, vocabulary, eos, alpha):
    """All hypotheses of one row, best first, each scored by feeding it through the step."""
    found = []
    for n in range(1, length + 1):
        for tokens in itertools.product(range(vocabulary), repeat=n):
            if eos in tokens[:-1] or (n < length and tokens[-1] != eos):
                continue
            feed, state = beginning([row])
            total = 0.0
            for token in tokens:
                logits, state = step(feed, state)
                total += logits.log_softmax(-1)[0, token].item()
                feed = torch.tensor([token])
            found.append((total / length_penalty(n, alpha), list(tokens)))
    return sorted(found, reverse=True)


@settings(max_examples=30, deadline=None)
@given(
    vocabulary=st.integers(2, 3),
    length=st.integers(1, 4),
    alpha=st.sampled_from([0.0, 0.7, 2.0]),
    eos=st.sampled_from([None, 0, 1]),
    n_best=st.integers(1, 5),
    seed=st.integers(0, 10**6),
)
def test_a_beam_as_wide_as_there_are_sequences_is_exhaustive(
    vocabulary, length, alpha, eos, n_best, seed
):
    step = chain(vocabulary, seed)
    rows = [0, 1, 2]
    beam = max(vocabulary**length, n_best)
    found = beam_search(
        step,
        *beginning(rows),
        beam=beam,
        max_length=length,
        eos=eos,
        alpha=alpha,
        n_best=n_best,
    )
    for row, hypotheses in zip(rows, found, strict=True):
        expected = every_sequence(step, row, length, vocabulary, eos, alpha)[:n_best]
        assert [h.tokens for h in hypotheses] == [tokens for _, tokens in expected]
        for hypothesis, (score, tokens) in zip(hypotheses, expected, strict=True):
            assert hypothesis.score == pytest.approx(score, abs=1e-5)
            assert hypothesis.ended == (tokens[-1] == eos)
            penalty = length_penalty(len(tokens), alpha)
            assert hypothesis.log_probability == pytest.approx(score * penalty, abs=1e-5)


def repeats(tokens, n):
    grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    return len(set(grams)) < len(grams)


@settings(max_examples=30, deadline=None)
@given(
    limits=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    least=st.integers(0, 3),
    block=st.integers(0, 3),
    seed=st.integers(0, 10**6),
)
def test_limits_and_blocked_repeats_leave_out_what_breaks_them(limits, least, block, seed):
    """Against every sequence there is, with a beam that loses none; each row has its own limit."""
    step, eos = chain(3, seed), 1
    found = beam_search(
        step,
        *beginning([0, 1]),
        beam=81,
        max_length=torch.tensor(limits),
        eos=eos,
        alpha=0.7,
        n_best=3,
        min_length=least,
        block=block,
    )
    for row, hypotheses in enumerate(found):
        expected = [
            tokens
            for _, tokens in every_sequence(step, row, limits[row], 3, eos, 0.7)
            if not (tokens[-1] == eos and len(tokens) <= least)
            and not (block and repeats(tokens, block))
        ]
        assert [h.tokens for h in hypotheses] == expected[:3]


def beam_by_hand(step, row, beam, length, eos, alpha):
    """Beam search of one row as the papers tell it, with lists, and nothing cut short."""
    live, ended = [(0.0, [], *beginning([row]))], []
    for n in range(1, length + 1):
        grown = []
        for total, tokens, feed, state in live:
            logits, after = step(feed, state)
            for token, gain in enumerate(logits.log_softmax(-1)[0].tolist()):
                grown.append((total + gain, [*tokens, token], torch.tensor([token]), after))
        best = sorted(grown, key=lambda h: -h[0])[: beam - len(ended)]
        leaving = [h for h in best if h[1][-1] == eos or n == length]
        ended += [(total / length_penalty(n, alpha), tokens) for total, tokens, *_ in leaving]
        live = [h for h in best if h[1][-1] != eos]
        if not live:
            break
    return [tokens for _, tokens in sorted(ended, reverse=True)]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    beam=st.integers(1, 5),
    length=st.integers(1, 7),
    alpha=st.sampled_from([0.0, 0.6, 1.5]),
    data=st.data(),
)
def test_beam_search_is_what_the_papers_tell(seed, beam, length, alpha, data):
    n_best = data.draw(st.integers(1, beam))
    step, rows = chain(4, seed), [3, 5]
    found = beam_search(
        step, *beginning(rows), beam=beam, max_length=length, eos=1, alpha=alpha, n_best=n_best
    )
    for row, hypotheses in zip(rows, found, strict=True):
        expected = beam_by_hand(step, row, beam, length, 1, alpha)
        assert [h.tokens for h in hypotheses] == expected[:n_best]


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    alpha=st.sampled_from([0.0, 1.5]),
    eos=st.sampled_from([None, 3]),
    rows=st.lists(st.integers(0, 50), min_size=1, max_size=4),
)
def test_beam_one_is_greedy(seed, alpha, eos, rows):
    step = chain(6, seed)
    best = greedy(step, *beginning(rows), max_length=7, eos=eos).lists()
    found = beam_search(step, *beginning(rows), beam=1, max_length=7, eos=eos, alpha=alpha)
    assert [hypotheses[0].tokens for hypotheses in found] == best


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), beam=st.integers(2, 6))
def test_rows_of_a_batch_do_not_meet(seed, beam):
    step = chain(5, seed)
    options = {"beam": beam, "max_length": 6, "eos": 2, "alpha": 0.6, "n_best": 2}
    together = beam_search(step, *beginning([4, 9, 1]), **options)
    apart = [beam_search(step, *beginning([row]), **options)[0] for row in (4, 9, 1)]
    assert [[h.tokens for h in row] for row in together] == [
        [h.tokens for h in row] for row in apart
    ]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    limits=st.lists(st.integers(1, 9), min_size=1, max_size=9),
    beam=st.integers(1, 4),
    alpha=st.sampled_from([0.0, 0.6, 1.5]),
    eos=st.sampled_from([None, 1]),
    block=st.sampled_from([0, 2]),
    data=st.data(),
)
def test_rows_that_are_done_leave_the_batch_and_change_nothing(
    seed, limits, beam, alpha, eos, block, data
):
    """Against a search that is given all rows to the end, by a step that holds some of each row."""
    inner = chain(5, seed)
    held = torch.randn(len(limits), 1, 5, generator=seeded(seed + 1), dtype=torch.float64)
    fed, left = [], [torch.arange(len(limits))]

    def step_of(rows):
        def step(tokens, state):
            logits, state = inner(tokens, state)
            fed.append(len(tokens))
            own = held[rows]
            return (logits.view(len(rows), -1, 5) + own).flatten(0, 1), state

        return step

    def narrowed(rows):
        assert set(rows.tolist()) < set(left[-1].tolist())
        left.append(rows)
        return step_of(rows)

    options = {
        "beam": beam,
        "max_length": torch.tensor(limits),
        "eos": eos,
        "alpha": alpha,
        "n_best": data.draw(st.integers(1, beam)),
        "min_length": data.draw(st.integers(0, 3)),
        "block": block,
    }
    began = beginning(range(len(limits)))
    whole = beam_search(step_of(left[0]), *began, **options)
    steps = len(fed)
    assert set(fed) == {len(limits) * beam}
    assert beam_search(step_of(left[0]), *began, narrowed=narrowed, **options) == whole
    assert len(fed) == 2 * steps
    assert set(fed[steps:]) == {len(rows) * beam for rows in left}


def test_rows_of_unequal_length_leave_early():
    step, fed = chain(6, 0), []

    def counted(tokens, state):
        fed.append(len(tokens))
        return step(tokens, state)

    limits = torch.tensor([2, 3, 4, 8])
    options = {"beam": 2, "max_length": limits, "narrowed": lambda rows: counted}
    beam_search(counted, *beginning(range(4)), **options)
    assert fed == [8, 8, 6, 4, 2, 2, 2, 2]


def test_a_wider_beam_finds_what_greedy_misses():
    """The garden path: the likeliest first token leads to an unlikely sequence."""
    table = torch.tensor([[0.1, 0.5, 0.4], [0.4, 0.3, 0.3], [0.98, 0.01, 0.01]]).log()

    def step(tokens, state):
        return table[tokens], state

    start = torch.tensor([0])
    assert greedy(step, start, None, max_length=2).lists() == [[1, 0]]
    [[best]] = beam_search(step, start, None, beam=2, max_length=2)
    assert best.tokens == [2, 0]
    assert best.log_probability == pytest.approx(math.log(0.4 * 0.98), abs=1e-6)


def test_length_penalty_is_that_of_wu_and_prefers_longer():
    assert length_penalty(1, 0.9) == 1.0
    assert length_penalty(13, 0.5) == pytest.approx(math.sqrt(3))
    table = torch.tensor([[0.3, 0.7, 0.0], [0.0, 0.0, 1.0], [0.4, 0.6, 0.0]]).log()

    def step(tokens, state):
        return table[tokens], state

    start, options = torch.tensor([0]), {"beam": 4, "max_length": 9, "eos": 0}
    [[short]] = beam_search(step, start, None, **options)
    [[long]] = beam_search(step, start, None, **options, alpha=2.0)
    assert short.tokens == [0]
    assert len(long.tokens) > 1


def test_fewer_hypotheses_than_asked_for_where_there_are_fewer():
    def step(tokens, state):
        return torch.tensor([0.0, 0.0, -math.inf]).expand(len(tokens), 3), state

    [found] = beam_search(step, torch.tensor([2]), None, beam=5, max_length=1, n_best=5)
    assert sorted(h.tokens for h in found) == [[0], [1]]


def probabilities_by_hand(logits, temperature, k, p):
    """Softmax with temperature, then the k best, then the nucleus, in plain floats."""
    exps = [math.exp(x / temperature) for x in logits]
    ranked = sorted(range(len(exps)), key=lambda i: -exps[i])[:k]
    total, kept, together = sum(exps[i] for i in ranked), [], 0.0
    for i in ranked:
        kept.append(i)
        together += exps[i] / total
        if together >= p:
            break
    total = sum(exps[i] for i in kept)
    return [exps[i] / total if i in kept else 0.0 for i in range(len(exps))]


@settings(max_examples=200, deadline=None)
@given(
    logits=st.lists(st.integers(-50, 50), min_size=1, max_size=8, unique=True),
    temperature=st.floats(0.2, 3.0),
    k=st.integers(1, 9),
    p=st.floats(0.01, 1.0),
)
def test_filters_leave_the_distribution_brute_force_gives(logits, temperature, k, p):
    logits = [x / 10 for x in logits]
    expected = probabilities_by_hand(logits, temperature, k, p)
    x = torch.tensor(logits, dtype=torch.float64)
    kept = keep_nucleus(keep_top_k(with_temperature(x, temperature), k), p).softmax(-1)
    torch.testing.assert_close(kept, torch.tensor(expected).double(), rtol=0, atol=1e-6)


def test_draws_follow_the_filtered_distribution():
    logits = [1.0, 0.5, 2.0, -1.0, 0.0]
    options = {"temperature": 0.8, "top_k": 4, "top_p": 0.9}
    expected = torch.tensor(probabilities_by_hand(logits, 0.8, 4, 0.9))
    rows = torch.tensor(logits).expand(40_000, 5)
    counts = choose(rows, **options, generator=seeded()).bincount(minlength=5) / 40_000
    assert (counts[expected == 0] == 0).all()
    torch.testing.assert_close(counts, expected, rtol=0, atol=0.01)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-(10**30), 10**30).map(float), min_size=1, max_size=6, unique=True))
def test_towards_temperature_zero_every_draw_is_the_greedy_one(logits):
    x = torch.tensor([logits], dtype=torch.float64)
    gap = sorted(logits)[-1] - (sorted(logits)[-2] if len(logits) > 1 else 0)
    cold = min(1.0, abs(gap) / 1000) or 1e-300
    assert choose(x, temperature=0.0).item() == x.argmax()
    assert choose(x, temperature=cold, generator=seeded()).item() == x.argmax()


def test_equal_logits_are_settled_by_the_first():
    x = torch.zeros(1, 4)
    assert choose(x, temperature=0.0).item() == 0
    assert keep_top_k(x, 2).tolist() == [[0.0, 0.0, -math.inf, -math.inf]]
    assert keep_nucleus(x, 0.5).tolist() == [[0.0, 0.0, -math.inf, -math.inf]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_an_impossible_token_is_never_drawn(dtype):
    logits = torch.full((20_000, 50), -math.inf, dtype=dtype)
    logits[:, 17] = -3.0
    logits[:, 30] = -3.0
    drawn = choose(logits, generator=seeded())
    assert set(drawn.tolist()) == {17, 30}


def test_an_all_but_impossible_token_is_as_rare_as_it_should_be():
    """Noise in float32 would draw such tokens every few thousand times."""
    logits = torch.full((500, 20_000), -60.0)
    logits[:, 0] = 0.0
    assert (choose(logits, generator=seeded()) == 0).all()


def test_a_seed_settles_the_sample_and_a_row_ends_at_its_end_token():
    step = chain(6, 3)

    def draw(seed):
        return sample(step, *beginning([1, 2, 3, 4]), max_length=30, eos=5, generator=seeded(seed))

    first, again, other = draw(0), draw(0), draw(1)
    assert torch.equal(first.tokens, again.tokens)
    assert not torch.equal(first.tokens[:, :3], other.tokens[:, :3])
    assert first.tokens.shape[1] == first.lengths.max()
    for row, tokens in enumerate(first.lists()):
        assert tokens[-1] == 5 or len(tokens) == 30
        assert 5 not in tokens[:-1]
        assert (first.tokens[row, len(tokens) :] == 5).all()


def test_with_a_generator_each_a_row_draws_as_it_would_alone():
    logits = torch.randn(4, 50, generator=torch.Generator().manual_seed(0))
    generators = [torch.Generator().manual_seed(row) for row in range(4)]
    together = choose(logits, generator=generators)
    alone = [choose(logits[row : row + 1], generator=torch.Generator().manual_seed(row))
             for row in range(4)]  # fmt: skip
    assert together.tolist() == [int(one) for one in alone]
    with pytest.raises(InputError, match="4 generators for 3 rows"):
        choose(logits[:3], generator=generators)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    limits=st.lists(st.integers(0, 9), min_size=1, max_size=7),
    each=st.integers(1, 3),
    eos=st.sampled_from([None, 1]),
)
def test_rows_that_have_ended_leave_the_batch_and_draw_the_same(seed, limits, each, eos):
    inner = chain(5, seed)
    held = torch.randn(len(limits), 1, 5, generator=seeded(seed + 1), dtype=torch.float64)
    fed, left = [], [torch.arange(len(limits))]

    def step_of(rows):
        def step(tokens, state):
            logits, state = inner(tokens, state)
            fed.append(len(tokens))
            return (logits.view(len(rows), -1, 5) + held[rows]).flatten(0, 1), state

        return step

    def narrowed(rows):
        assert set(rows.tolist()) < set(left[-1].tolist())
        left.append(rows)
        return step_of(rows)

    def draw(**how):
        began = beginning(range(len(limits)))
        own = [seeded(n) for n in range(len(limits) * each)]
        options = {"max_length": torch.tensor(limits), "eos": eos, "each": each, "generator": own}
        return sample(step_of(left[0]), *began, **options, **how)

    whole = draw()
    steps = len(fed)
    assert steps == whole.lengths.max()
    assert set(fed) <= {len(limits) * each}
    some = draw(narrowed=narrowed)
    assert some.lists() == whole.lists()
    assert torch.equal(some.tokens, whole.tokens)
    assert set(fed[steps:]) <= {len(rows) * each for rows in left}
    for row, tokens in enumerate(whole.lists()):
        assert len(tokens) <= limits[row // each]
        assert len(tokens) == limits[row // each] or tokens[-1] == eos


def test_samples_of_unequal_length_leave_early():
    step, fed = chain(6, 0), []

    def counted(tokens, state):
        fed.append(len(tokens))
        return step(tokens, state)

    limits = torch.tensor([2, 3, 4, 8])
    options = {"each": 2, "max_length": limits, "narrowed": lambda rows: counted}
    sample(counted, *beginning(range(4)), **options)
    assert fed == [8, 8, 6, 4, 2, 2, 2, 2]


def test_sampling_nothing_and_without_an_end():
    step = chain(4, 0)
    nothing = sample(step, *beginning([1, 2]), max_length=0)
    assert nothing.tokens.shape == (2, 0)
    assert nothing.lengths.tolist() == [0, 0]
    assert sample(step, *beginning([1, 2]), max_length=5).lengths.tolist() == [5, 5]


def test_sampling_feeds_the_step_what_it_drew():
    fed = []

    def step(tokens, state):
        fed.append(tokens.tolist())
        return torch.zeros(len(tokens), 9), state

    drawn = sample(step, torch.tensor([7, 8]), None, max_length=4, generator=seeded())
    assert fed == [[7, 8], *drawn.tokens.T.tolist()[:-1]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1.0}, "temperature"),
        ({"top_k": 0}, "top_k"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.5}, "top_p"),
    ],
)
def test_options_out_of_range_are_named(options, message):
    with pytest.raises(InputError, match=message):
        choose(torch.zeros(1, 3), **options)


@pytest.mark.parametrize(
    "wrong", [{"n_best": 3}, {"n_best": 0}, {"alpha": -1.0}, {"max_length": 0}]
)
def test_beam_options_out_of_range_are_named(wrong):
    options = {"beam": 2, "max_length": 3} | wrong
    with pytest.raises(InputError, match=next(iter(wrong))):
        beam_search(chain(3, 0), *beginning([0]), **options)


@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 3), st.integers(1, 700)),
        elements=st.sampled_from([-np.inf, -1.5, 0.0, 2.0, 7.25]),
    ),
    st.integers(1, 6),
)
def test_the_largest_of_blocks_are_the_largest(scores, k):
    scores = torch.from_numpy(scores)
    k = min(k, scores.shape[-1])
    values, places = largest(scores, k)
    assert torch.equal(values, scores.topk(k).values)
    assert torch.equal(scores.gather(-1, places), values)
    assert all(len(set(row)) == k for row in places.tolist())


@pytest.mark.parametrize("temperature", [1e308, 1e-320])
def test_what_is_forbidden_never_comes_at_any_temperature(temperature):
    logits = torch.tensor([[-torch.inf, 1.0, 3.0, -torch.inf]]).expand(200, -1)
    drawn = choose(logits, temperature=temperature, generator=torch.Generator().manual_seed(0))
    assert set(drawn.tolist()) == ({1, 2} if temperature > 1 else {2})
