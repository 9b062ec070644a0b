"""A tagger's outputs: what is known so far, what is known of the whole, and the loss."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from elman.errors import InputError
from elman.nn import Recurrent
from elman.nn.crf import CRF
from elman.nn.tagger import Tagger, Taggers, TagHead


def tagger(
    *, crf: bool = True, both: bool = False, classes: int = 2, pooling: str = "mean", seed: int = 0
):
    torch.manual_seed(seed)
    field = CRF(3, transitions=torch.tensor([[1, 1, 0], [1, 1, 1], [1, 1, 1]]).bool().numpy())
    nn.init.normal_(field.transitions)
    nn.init.normal_(field.starts)
    recurrent = Recurrent("gru", 4, 8, batch_first=True, bidirectional=both)
    head = TagHead(
        recurrent.output_size,
        3,
        classes=classes,
        crf=field if crf else None,
        pooling=pooling,
        bidirectional=both,
    )
    return Tagger(nn.Embedding(9, 4), recurrent, head).eval()


@torch.no_grad()
def test_filtered_probabilities_are_sums_over_all_beginnings():
    model = tagger()
    x = torch.randint(9, (1, 5))
    parts = model.head.split(model(x))
    crf, scores = model.head.crf, parts.scores[0].double()
    for step in range(1, 6):
        total = torch.zeros(3, dtype=torch.float64)
        for path in itertools.product(range(3), repeat=step):
            if any(crf.legal_transitions[a, b] == 0 for a, b in itertools.pairwise(path)):
                continue
            score = crf.starts[path[0]].double() + sum(scores[t, k] for t, k in enumerate(path))
            score += sum(crf.transitions[a, b].double() for a, b in itertools.pairwise(path))
            total[path[-1]] += score.exp()
        expected = (total / total.sum()).float()
        torch.testing.assert_close(parts.filtered[0, step - 1].exp(), expected)


@torch.no_grad()
@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
@pytest.mark.parametrize("crf", [True, False])
def test_a_stream_says_what_the_whole_says(pooling, crf):
    model = tagger(crf=crf, pooling=pooling)
    x = torch.randint(9, (2, 7))
    stream = model.stream(batch=2)
    first = stream.chunk(x[:, :3])
    saved = stream.snapshot()
    other = model.stream(batch=2)
    other.restore(saved)
    rest = torch.stack([other.step(x[:, t]) for t in range(3, 7)], 1)
    torch.testing.assert_close(torch.cat((first, rest), 1), model(x), rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("both", [True, False])
def test_a_row_does_not_depend_on_those_beside_it(both):
    model = tagger(both=both)
    x = torch.randint(9, (3, 6))
    lengths = torch.tensor([6, 2, 4])
    together = model(x, lengths=lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = model(x[row : row + 1, :length])[0]
        torch.testing.assert_close(together[row, :length], alone)
        assert (together[row, length:] == 0).all()


def test_the_loss_is_of_tags_and_weighted_classes():
    model = tagger(both=True)
    x, lengths = torch.randint(9, (2, 4)), torch.tensor([4, 3])
    tags, classes = torch.zeros(2, 4, dtype=torch.long), torch.tensor([1, -100])
    y = model.read(x, lengths)
    own = model.head.crf(model.head.emit(y), tags, lengths=lengths) * 2
    logits = model.head.classify(model.head.pooling(y, lengths=lengths))
    cross = nn.functional.cross_entropy(logits[:1], classes[:1])
    loss = model.head.loss(y, tags, classes, lengths=lengths, weight=3.0)
    torch.testing.assert_close(loss.float(), (own + 3 * cross).float())


def test_without_a_crf_steps_beyond_a_length_do_not_count():
    model = tagger(crf=False, both=True, classes=0)
    x, lengths = torch.randint(9, (2, 4)), torch.tensor([4, 1])
    y = model.read(x, lengths)
    tags = torch.tensor([[0, 1, 2, -100], [1, 0, 0, 0]])
    scores = model.head.emit(y)
    expected = sum(
        nn.functional.cross_entropy(scores[row, step], tags[row, step])
        for row, step in [(0, 0), (0, 1), (0, 2), (1, 0)]
    )
    torch.testing.assert_close(model.head.loss(y, tags, None, lengths=lengths), expected)


def test_a_tagger_that_reads_both_ways_cannot_stream():
    with pytest.raises(InputError):
        tagger(both=True).stream()


@torch.no_grad()
def test_taggers_decide_by_the_geometric_mean_of_their_probabilities():
    members = [tagger(both=True, seed=seed) for seed in range(3)]
    model, x = Taggers(members).eval(), torch.randint(9, (1, 4))
    scores = model.split(model(x)).scores
    paths = torch.tensor(list(itertools.product(range(3), repeat=4)))
    legal = (model.crf.legal_transitions[paths[:, :-1], paths[:, 1:]] != 0).all(1)
    paths = paths[legal]

    def logs(crf, scores):
        one = [crf.log_likelihood(scores, path[None]) for path in paths]
        return torch.stack(one)

    each = [logs(m.crf, m.split(m(x)).scores) for m in members]
    assert torch.stack(each).std(0).max() > 0.1, "members should differ"
    expected = torch.stack(each).mean(0).log_softmax(0)
    torch.testing.assert_close(logs(model.crf, scores), expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_taggers_stream_what_they_say_of_the_whole():
    model = Taggers([tagger(seed=seed) for seed in range(2)]).eval()
    x = torch.randint(9, (2, 6))
    stream = model.stream(batch=2)
    said = torch.cat((stream.chunk(x[:, :4]), stream.step(x[:, 4])[:, None]), 1)
    torch.testing.assert_close(said, model(x)[:, :5], rtol=1e-4, atol=1e-5)
    chances = model.split(said).filtered.exp().sum(-1)
    torch.testing.assert_close(chances, torch.ones_like(chances))


def test_the_loss_of_taggers_is_the_mean_of_theirs():
    members = [tagger(both=True, seed=seed) for seed in range(2)]
    x, lengths, tags = torch.randint(9, (2, 4)), torch.tensor([4, 3]), torch.zeros(2, 4).long()
    each = [member.loss(x, tags, None, lengths=lengths) for member in members]
    together = Taggers(members).loss(x, tags, None, lengths=lengths)
    torch.testing.assert_close(together, (each[0] + each[1]) / 2)
