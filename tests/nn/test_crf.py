"""The conditional random field against every sequence there is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.data.tagging import Span, allowed_tags, legal, spans, tags_of
from elman.errors import InputError
from elman.nn.crf import CRF

TAGS = ["O", "B-X", "I-X", "E-X", "S-X"]


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def random_crf(tags, seed, scale=1.0, legal_share=1.0, dtype=torch.float64):
    """A CRF with random scores; a share of its transitions is legal, and all go through tag 0."""
    g = seeded(seed)
    kept = [torch.rand(shape, generator=g) < legal_share for shape in [(tags, tags), tags, tags]]
    for legal_ones in kept:
        legal_ones[0] = True
    kept[0][:, 0] = True
    crf = CRF(tags, transitions=kept[0], starts=kept[1], ends=kept[2], dtype=dtype)
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=g, dtype=dtype) * scale)
    return crf


def scheme_crf(scheme="BIOES", tags=TAGS):
    rules = legal(tags, scheme)
    return CRF(len(tags), transitions=rules.transitions, starts=rules.starts, ends=rules.ends)


def every_path(crf, emissions):
    """Each legal sequence for emissions `(T, K)`, with its score."""
    steps, tags = emissions.shape
    if steps == 0:
        return {(): 0.0}
    starts, transitions, ends = crf.starts.data, crf.transitions.data, crf.ends.data
    found = {}
    for path in itertools.product(range(tags), repeat=steps):
        pairs = list(itertools.pairwise(path))
        if not (crf.legal_starts[path[0]] and crf.legal_ends[path[-1]]):
            continue
        if not all(crf.legal_transitions[pair] for pair in pairs):
            continue
        score = starts[path[0]] + ends[path[-1]]
        score = score + sum(emissions[step, tag] for step, tag in enumerate(path))
        found[path] = float(score + sum(transitions[pair] for pair in pairs))
    return found


def log_sum(scores):
    return float(torch.logsumexp(torch.tensor(scores, dtype=torch.float64), 0))


@settings(max_examples=40, deadline=None)
@given(
    tags=st.integers(1, 4),
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=3),
    legal_share=st.sampled_from([1.0, 0.5]),
    scale=st.sampled_from([1.0, 30.0]),
    seed=st.integers(0, 10**6),
)
def test_sums_best_path_and_marginals_are_those_of_all_sequences(
    tags, lengths, legal_share, scale, seed
):
    crf = random_crf(tags, seed, scale, legal_share)
    steps = max(lengths)
    emissions = (
        torch.randn(len(lengths), steps, tags, generator=seeded(seed + 1), dtype=torch.float64)
        * scale
    )
    log_z = crf.log_partition(emissions, lengths=lengths)
    marginals = crf.marginals(emissions, lengths=lengths)
    decoded = crf.decode(emissions, lengths=lengths)
    allowed = torch.rand(emissions.shape, generator=seeded(seed + 2)) < 0.7
    partial = crf.log_probability(emissions, allowed, lengths=lengths)
    for row, length in enumerate(lengths):
        paths = every_path(crf, emissions[row, :length])
        total = log_sum(list(paths.values()))
        assert log_z[row].item() == pytest.approx(total, abs=1e-9)
        best = max(paths.values())
        assert decoded.scores[row].item() == pytest.approx(best, abs=1e-9)
        assert paths[tuple(decoded.paths[row])] == pytest.approx(best, abs=1e-9)
        expected = torch.zeros(steps, tags, dtype=torch.float64)
        for path, score in paths.items():
            for step, tag in enumerate(path):
                expected[step, tag] += np.exp(score - total)
        torch.testing.assert_close(marginals[row], expected, rtol=0, atol=1e-9)
        kept = [
            score
            for path, score in paths.items()
            if all(allowed[row, step, tag] for step, tag in enumerate(path))
        ]
        if kept:
            assert partial[row].item() == pytest.approx(log_sum(kept) - total, abs=1e-9)
        else:
            assert partial[row].item() == -torch.inf


def test_log_likelihood_is_the_share_of_the_sequence():
    crf = random_crf(3, 0, legal_share=0.6)
    emissions = torch.randn(1, 4, 3, generator=seeded(1), dtype=torch.float64)
    paths = every_path(crf, emissions[0])
    total = log_sum(list(paths.values()))
    for path, score in paths.items():
        found = crf.log_likelihood(emissions, torch.tensor([path]))
        assert found.item() == pytest.approx(score - total, abs=1e-9)


def test_the_loss_is_a_mean_over_rows_and_ignores_what_stands_beyond_a_length():
    crf = random_crf(3, 0)
    emissions = torch.randn(2, 3, 3, generator=seeded(1), dtype=torch.float64)
    tags = torch.tensor([[0, 1, 2], [1, -100, -100]])
    alone = [
        crf.log_likelihood(emissions[:1], tags[:1]),
        crf.log_likelihood(emissions[1:, :1], tags[1:, :1]),
    ]
    emissions[1, 1:] = torch.nan
    loss = crf(emissions, tags, lengths=[3, 1])
    assert loss.item() == pytest.approx(-sum(alone).item() / 2, abs=1e-12)
    loss.backward()
    assert all(bool(p.grad.isfinite().all()) for p in crf.parameters())


@pytest.mark.parametrize("scale", [1.0, 400.0])
def test_gradients(scale):
    # At 400 the sums are done term by term, else as products of matrices.
    crf = random_crf(3, 3, scale, legal_share=0.6)
    emissions = torch.randn(3, 4, 3, generator=seeded(4), dtype=torch.float64) * scale
    tags = torch.tensor(crf.decode(emissions).paths)
    names = [name for name, _ in crf.named_parameters()]

    def likelihood(emissions, *parameters):
        given_ = dict(zip(names, parameters, strict=True))
        options = {"lengths": torch.tensor([4, 2, 0])}
        calls = torch.func.functional_call(crf, given_, (emissions, tags), options)
        return calls

    tags[1] = torch.tensor([*crf.decode(emissions[1:2, :2]).paths[0], 0, 0])
    leaves = [emissions.requires_grad_(), *(p.detach().requires_grad_() for p in crf.parameters())]
    assert torch.autograd.gradcheck(likelihood, leaves, eps=1e-5, atol=1e-6)


def test_the_gradient_of_log_z_is_the_marginals():
    crf = random_crf(4, 5, legal_share=0.5)
    emissions = torch.randn(3, 5, 4, generator=seeded(6), dtype=torch.float64, requires_grad=True)
    (grad,) = torch.autograd.grad(crf.log_partition(emissions, lengths=[5, 0, 2]).sum(), emissions)
    torch.testing.assert_close(grad, crf.marginals(emissions, lengths=[5, 0, 2]))


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 6), min_size=2, max_size=5),
    extra=st.integers(0, 3),
    seed=st.integers(0, 10**6),
)
def test_rows_do_not_depend_on_padding_or_on_each_other(lengths, extra, seed):
    crf = random_crf(4, seed, legal_share=0.6)
    steps = max(lengths) + extra
    emissions = torch.randn(len(lengths), steps, 4, generator=seeded(seed), dtype=torch.float64)
    for row, length in enumerate(lengths):
        emissions[row, length:] = torch.nan
    log_z = crf.log_partition(emissions, lengths=lengths)
    marginals = crf.marginals(emissions, lengths=lengths)
    decoded = crf.decode(emissions, lengths=lengths)
    for row, length in enumerate(lengths):
        alone = emissions[row : row + 1, :length]
        torch.testing.assert_close(log_z[row : row + 1], crf.log_partition(alone))
        torch.testing.assert_close(marginals[row : row + 1, :length], crf.marginals(alone))
        assert bool((marginals[row, length:] == 0).all())
        single = crf.decode(alone)
        assert decoded.paths[row] == single.paths[0]
        torch.testing.assert_close(decoded.scores[row : row + 1], single.scores)


@settings(max_examples=40, deadline=None)
@given(
    scheme=st.sampled_from(["BIO", "IOB1", "BIOES"]),
    size=st.sampled_from([1.0, 1e2, 1e4]),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    seed=st.integers(0, 10**6),
)
def test_illegal_sequences_are_never_decoded_and_nothing_is_nan(scheme, size, dtype, seed):
    tags = [tag for tag in TAGS if scheme == "BIOES" or tag[0] in "OBI"]
    tags += [tag.replace("X", "Y") for tag in tags[1:]]
    crf = scheme_crf(scheme, tags).to(dtype)
    rules = legal(tags, scheme)
    lengths = torch.tensor([7, 3, 1, 0])
    emissions = (torch.rand(4, 7, len(tags), generator=seeded(seed)) * 2 - 1) * size
    emissions = emissions.to(dtype).requires_grad_()
    decoded = crf.decode(emissions, lengths=lengths)
    for path, length in zip(decoded.paths, lengths.tolist(), strict=True):
        assert len(path) == length
        assert all(rules.transitions[pair] for pair in itertools.pairwise(path))
        assert not path or (rules.starts[path[0]] and rules.ends[path[-1]])
    marginals = crf.marginals(emissions, lengths=lengths)
    sums = marginals.double().sum(-1)
    real = torch.arange(7) < lengths[:, None]
    torch.testing.assert_close(sums, real.double(), atol=1e-2, rtol=0)
    padded = torch.zeros(4, 7, dtype=torch.long)
    for row, path in enumerate(decoded.paths):
        padded[row, : len(path)] = torch.tensor(path, dtype=torch.long)
    loss = crf(emissions, padded, lengths=lengths)
    loss.backward()
    assert bool(loss.isfinite())
    assert bool(emissions.grad.isfinite().all())
    assert all(bool(p.grad.isfinite().all()) for p in crf.parameters())


def test_one_path_through_scores_far_apart_keeps_its_probability():
    # Only through a tag 10,000 below the best can the last tag be reached.
    rules = torch.tensor([[True, False], [False, True]])
    crf = CRF(2, transitions=rules, ends=[False, True], dtype=torch.float64)
    emissions = torch.tensor([[[1e4, -1e4], [1e4, -1e4]]], dtype=torch.float64)
    assert crf.log_partition(emissions).item() == -2e4
    assert crf.marginals(emissions).tolist() == [[[0, 1], [0, 1]]]
    assert crf.decode(emissions).paths == [[1, 1]]


@pytest.mark.parametrize("scheme", ["BIO", "BIOES"])
def test_the_probability_of_a_span_is_that_of_all_sequences_with_it(scheme):
    tags = [tag for tag in TAGS if scheme == "BIOES" or tag[0] in "OBI"]
    crf = scheme_crf(scheme, tags)
    emissions = torch.randn(1, 4, len(tags), generator=seeded(8), dtype=torch.float64) * 2
    paths = every_path(crf, emissions[0])
    total = log_sum(list(paths.values()))
    for start, end in itertools.combinations(range(5), 2):
        span = Span(start, end, "X")
        mask = torch.as_tensor(allowed_tags(span, 4, tags, scheme)).unsqueeze(0)
        found = crf.log_probability(emissions, mask).exp().item()
        having = [
            np.exp(score - total)
            for path, score in paths.items()
            if span in spans([tags[tag] for tag in path], scheme)
        ]
        assert found == pytest.approx(sum(having), abs=1e-9)


def test_scores_are_in_the_precision_of_the_emissions():
    crf = CRF(2)
    emissions = torch.randn(1, 3, 2, dtype=torch.bfloat16)
    assert crf.marginals(emissions).dtype == torch.bfloat16
    assert crf.decode(emissions).scores.dtype == torch.bfloat16
    assert crf(emissions, torch.zeros(1, 3, dtype=torch.long)).dtype == torch.float32


def test_rules_are_no_part_of_the_saved_state():
    assert set(CRF(2).state_dict()) == {"transitions", "starts", "ends"}


def test_illegal_tags_are_refused_by_row_and_step():
    crf = scheme_crf()
    emissions = torch.zeros(2, 3, 5)
    good = [tags_of([Span(0, 3, "X")], 3, "BIOES"), ["O", "O", "O"]]
    codes = torch.tensor([[TAGS.index(tag) for tag in row] for row in good])
    crf(emissions, codes)
    for row, step, tag in [(1, 0, "I-X"), (0, 1, "O"), (1, 2, "B-X")]:
        wrong = codes.clone()
        wrong[row, step] = TAGS.index(tag)
        with pytest.raises(InputError, match=f"Row {row}, step {step}: tag {TAGS.index(tag)} is"):
            crf(emissions, wrong)
    with pytest.raises(InputError, match="Row 1, step 1: tag 1 is illegal"):
        crf(emissions, torch.tensor([[0, 0, 0], [0, 1, 2]]), lengths=[3, 2])
    with pytest.raises(InputError, match="Row 0, step 2: there is no tag 5"):
        crf(emissions, torch.tensor([[0, 0, 5], [0, 0, 0]]))


def test_what_cannot_be_is_said():
    with pytest.raises(InputError, match="1 tag or more"):
        CRF(0)
    with pytest.raises(InputError, match=r"starts is boolean \(2,\), not torch.bool \(3,\)"):
        CRF(2, starts=[True] * 3)
    with pytest.raises(InputError, match="transitions is boolean"):
        CRF(1, transitions=[[1.0]])
    crf = CRF(2, ends=[False, False])
    with pytest.raises(InputError, match=r"Emissions are \(B, T, 2\)"):
        crf.decode(torch.zeros(1, 2, 3))
    with pytest.raises(InputError, match="Row 1: no sequence of 2 tags is legal"):
        crf.decode(torch.zeros(2, 2, 2), lengths=[0, 2])
    with pytest.raises(InputError, match="2 lengths were given for 3 rows"):
        crf.log_partition(torch.zeros(3, 2, 2), lengths=[1, 1])
    with pytest.raises(InputError, match=r"tags is \(B, T\)"):
        CRF(2)(torch.zeros(1, 2, 2), torch.zeros(1, 3, dtype=torch.long))
    with pytest.raises(InputError, match="allowed is boolean"):
        CRF(2).log_probability(torch.zeros(1, 2, 2), torch.zeros(1, 2, 2))
