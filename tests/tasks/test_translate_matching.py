"""`translate` on dialogues: replies told from others by how well they match their contexts."""

from __future__ import annotations

import json
import random

import numpy as np
import pandas as pd
import pytest
import torch
from talks import talks
from torch.nn import functional as F

from elman import load
from elman.errors import InputError
from elman.tasks import TASKS
from elman.tasks.settings import settings_of
from elman.tasks.translate import dialogues, matching, ranking
from elman.tasks.translate.corpus import Part
from elman.tasks.translate.dialogues import Matched
from elman.tasks.translate.matching import Matching
from elman.training import fit, seed

Task = TASKS["translate"]
SMALL = {
    "unit": "words", "hidden_size": 16, "epochs": 2, "batch_size": 16, "lr": 0.02,
    "dropout": 0.0, "label_smoothing": 0.0, "resamples": 40, "beam": 2, "turns": 2,
    "length_penalty": 1.0,
}  # fmt: skip


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def names(n=400, of=60):
    """Dialogues whose reply names what its context does, one of many names."""
    draw = random.Random(1)
    rows = []
    for _ in range(n):
        name, place = draw.randrange(of), draw.randrange(of)
        rows.append([f"where is name{name} of place{place} ?", f"name{name} is well ."])
    return pd.DataFrame({"turns": rows})


def made(table, **how):
    return Task.from_data(table, settings_of(Task, SMALL | how))


def recall(task, model):
    asked = dialogues.choice(task._parts["test"], 0)
    scores = ranking.scores_of(task, model, task._parts["test"], asked, {})
    return dialogues.selection_units(scores)["recall_at_1"].mean()


def test_what_likelihood_cannot_tell_apart_matching_can():
    # Without attention a decoder does not get to name what it has read, among many names.
    found = {}
    for share in (0.0, 0.5):
        seed(0)
        task = made(names(), attention="none", matching=share, epochs=4)
        model = task.build()
        fit(task.objective(model), task.batches(), task.settings)
        task.settle(model)
        found[share] = recall(task, model)
        assert (task.matched.weight > 0) == (share > 0)
    assert found[0.0] < 0.5
    assert found[0.5] > 0.9


def terms(rng, *shape, embedded=3, outputs=4):
    x, y = (torch.tensor(rng.normal(size=(*shape, n))) for n in (embedded, outputs))
    return x, y


def module():
    torch.manual_seed(0)
    found = Matching(3, 4, 5).double()
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.normal_(0, 0.7)
    return found


def test_a_score_is_as_its_equation_says_and_padding_changes_nothing(rng):
    match = module()
    (x, y), (p, q) = terms(rng, 2, 6), terms(rng, 3, 5)
    ours, theirs = torch.tensor([6, 2]), torch.tensor([1, 5, 3])
    found = match.scores(match(x, y, ours), match(p, q, theirs))

    def alone(x, y, length):
        v = F.normalize(match.W(x[:length]) + match.U(y[:length]), dim=-1)
        a = F.softplus(5 * match.w(x[:length])[:, 0])
        return v, a / a.sum()

    for row in range(2):
        for column in range(3):
            (v, a), (u, b) = (
                alone(x[row], y[row], ours[row]),
                alone(p[column], q[column], theirs[column]),
            )
            like = v @ u.t()
            both = (a * like.amax(1).clamp(min=0)).sum() + (b * like.amax(0).clamp(min=0)).sum()
            assert found[row, column].item() == pytest.approx(
                (match.log_scale.exp() * both / 2).item(), rel=1e-5
            )
    # Replies of each context by itself have the same scores.
    own = match(p.repeat(2, 1, 1), q.repeat(2, 1, 1), theirs.repeat(2)).shared_out(3)
    torch.testing.assert_close(match.scores(match(x, y, ours), own), found)


def test_gradients_of_matching_are_those_of_its_cost(rng):
    match = module()
    lengths, few = torch.tensor([4, 2, 3]), torch.tensor([2, 1, 2])
    same = torch.eye(3, dtype=torch.bool)

    def cost(x, y, p, q, *_):
        return match.cost(match(x, y, lengths), match(p, q, few), same)

    given = [one.requires_grad_() for one in (*terms(rng, 3, 4), *terms(rng, 3, 2))]
    assert torch.autograd.gradcheck(cost, (*given, *match.parameters()))


def test_equal_replies_are_not_told_apart_and_long_texts_are_shared_out(rng, monkeypatch):
    match = module()
    (x, y), (p, q) = terms(rng, 4, 3), terms(rng, 4, 2)
    ours = match(x, y, torch.full((4,), 3))
    theirs = match(p, q, torch.full((4,), 2))
    scores = match.scores(ours, theirs)
    apart = torch.eye(4, dtype=torch.bool)
    whole = match.cost(ours, theirs, apart)
    rows = torch.arange(4)
    expected = F.cross_entropy(scores, rows) + F.cross_entropy(scores.t(), rows)
    torch.testing.assert_close(whole, expected / 2)
    every = torch.ones(4, 4, dtype=torch.bool)
    assert match.cost(ours, theirs, every).item() == pytest.approx(0)
    monkeypatch.setattr(matching, "_AT_ONCE", 6 * 4)
    halves = [
        match.cost(ours.of(half), theirs.of(half), apart[:2, :2])
        for half in (slice(2), slice(2, 4))
    ]
    torch.testing.assert_close(match.cost(ours, theirs, apart), sum(halves) / 2)


@pytest.mark.parametrize("how", [{}, {"reverse_source": True, "bidirectional": False}])
def test_all_that_matching_needs_is_learnt_and_a_reply_matches_alike_in_any_company(how):
    task = made(pd.DataFrame({"turns": talks(60)}), matching=0.5, copying=True, **how)
    seed(0)
    model = task.build()
    sources, targets = (some[:8] for some in task._of("train"))
    model.loss(task.batch(sources, targets), 0.0).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    part = Part(["do you like tea ?"], ["yes .", "then it is !", "yes , i like tea and rain ."], [])
    few, many = (
        ranking.matches(task, model, part, dialogues.Choice(np.zeros(1, int), np.arange(n)[None]))
        for n in (1, 3)
    )
    assert few[0, 0] == pytest.approx(many[0, 0], rel=1e-5)


def test_matching_is_for_dialogues_with_one_vocabulary():
    pairs = pd.DataFrame({"source": [f"a {n}" for n in range(30)], "target": ["c d"] * 30})
    pair = {name: value for name, value in SMALL.items() if name != "turns"}
    with pytest.raises(InputError, match="matching tells replies of dialogues from others"):
        Task.from_data(pairs, settings_of(Task, pair | {"matching": 0.5}))
    assert Task.from_data(pairs, settings_of(Task, pair)).settings.matching == 0.0
    table = pd.DataFrame({"turns": talks(160)})
    assert made(table).settings.matching > 0
    assert made(table, vocabulary="separate").settings.matching == 0.0
    assert made(table, metric="perplexity").build().matching is None
    with pytest.raises(InputError, match="vocabulary=joint"):
        made(table, vocabulary="separate", matching=0.5)


def test_a_pair_that_is_said_a_hundred_times_is_asked_once():
    part = Part(
        ["a"] * 100 + [f"c{n}" for n in range(12)], ["b"] * 100 + [f"r{n}" for n in range(12)],
        [(None, 1)] * 112, [0] * 100 + list(range(1, 13)),
    )  # fmt: skip
    asked = dialogues.choice(part, 0, once=True)
    assert asked.rows.tolist() == [0, *range(100, 112)]
    assert len(dialogues.choice(part, 0).rows) == 112


def test_a_run_on_the_command_line_ranks_resumes_grows_and_is_examined(tmp_path, elman):
    lines = [json.dumps({"turns": turns}) for turns in talks(160)]
    data = tmp_path / "talks.jsonl"
    data.write_text("\n".join(lines))
    how = SMALL | {"matching": 0.5}
    given = [f"--set={name}={value}" for name, value in how.items()]
    run = tmp_path / "run"
    done = elman("train", "translate", data, "--out", run, *given)
    assert done.returncode == 0, done.stderr
    results = json.loads((run / "results.json").read_text())
    assert results["test"]["recall_at_1"] > 0.3
    model = load(run)
    assert model.task.matched != Matched()
    replies = ["yes , i like golf and tea .", "yes , i like jazz and tea .", "then snow it is !"]
    ranked = model.rank("do you like jazz ?", replies)
    assert ranked["reply"][0] == replies[1]
    done = elman("doctor", run)
    assert done.returncode == 0, done.stderr
    more = tmp_path / "more.jsonl"
    new = [[turn.replace("tea", "coffee") for turn in turns] for turns in talks(80, 5)]
    more.write_text("\n".join(json.dumps({"turns": turns}) for turns in new))
    grown = tmp_path / "grown"
    done = elman("train", "translate", more, "--from", run, "--out", grown)
    assert done.returncode == 0, done.stderr
    assert load(grown).module.matching is not None
