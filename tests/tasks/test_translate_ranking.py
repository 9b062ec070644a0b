"""`translate` on dialogues: replies put in an order by model and TF-IDF together, and used."""

from __future__ import annotations

import gzip
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from talks import TOPICS, run_on_talks, talks

import elman
from elman.errors import InputError
from elman.runs.folder import Run
from elman.runs.keeping import Kept
from elman.scoring import translations
from elman.scoring.blending import Blend, scale_of_orders, weight_of_orders
from elman.scoring.translations import selection_units
from elman.tasks import TASKS
from elman.tasks.settings import settings_of
from elman.tasks.translate import costing

Task = TASKS["translate"]
SMALL = {
    "unit": "words", "hidden_size": 24, "epochs": 2, "batch_size": 16, "lr": 0.02,
    "dropout": 0.0, "label_smoothing": 0.0, "resamples": 40, "beam": 2, "turns": 2,
    "checkpoints": "last",
}  # fmt: skip
TFIDF = "nearest by TF-IDF"
ASKED = "do you like jazz ?"
REPLIES = ["yes , i like golf and tea .", "yes , i like jazz and tea .", "then snow it is !"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on a file of dialogues that has not learnt them well, so that TF-IDF can add to it."""
    return run_on_talks(tmp_path_factory.mktemp("talks"), SMALL)


@pytest.fixture
def mixed(run, tmp_path):
    """The same run with a blend of a known weight and scale."""
    copy = tmp_path / "run"
    shutil.copytree(run.path, copy)
    index = json.loads((copy / "predictors" / "index.json").read_text())
    index["blend"] = {"with": TFIDF, "weight": 0.25, "scale": 2.0}
    (copy / "predictors" / "index.json").write_text(json.dumps(index))
    return copy


def orders(rng, n, right):
    """Scores of ten candidates, of which the true one is the first in a share of `n` contexts."""
    found = rng.random((n, 10))
    found[: round(right * n), 0] = 1.5
    return found[rng.permutation(n)]


def test_two_that_err_apart_share_the_weight_and_a_useless_one_has_none():
    rng = np.random.default_rng(0)
    one, two = orders(rng, 400, 0.4), orders(rng, 400, 0.4)
    weight = weight_of_orders(one, two)
    assert 0.2 < weight < 0.8
    recalls = [
        selection_units(scores)["recall_at_1"].mean()
        for scores in (one, two, weight * one + (1 - weight) * two)
    ]
    assert recalls[2] > max(recalls[:2]) + 0.1
    noise = rng.random((400, 10))
    assert weight_of_orders(one, noise) == 1.0
    assert weight_of_orders(noise, one) == 0.0
    # Where both are the same, the simpler one is enough.
    assert weight_of_orders(one, one) == 0.0


def test_of_weights_that_are_as_good_the_middle_is_taken():
    one, two = np.zeros((40, 10)), np.zeros((40, 10))
    one[:20, 0], two[20:, 0] = 1.0, 1.0
    assert weight_of_orders(one, two) == 0.5


def test_scores_are_brought_to_one_scale():
    rng = np.random.default_rng(1)
    scores = rng.random((30, 10))
    assert scale_of_orders(scores, scores / 4 + 7) == pytest.approx(4.0)
    # What differs between contexts, and not within one, is none of its business.
    assert scale_of_orders(scores + 9 * scores[:, :1], scores) == pytest.approx(1.0)
    assert scale_of_orders(scores, np.zeros((30, 10))) == 0.0


@pytest.mark.fuzz
def test_the_blend_is_a_row_with_recalls_alone_or_says_why_there_is_none(run):
    blend = run.results["blend"]
    page = (run.path / "report.html").read_text()
    if "none" in blend:
        assert "no mixture of the model and nearest by TF-IDF is better than" in blend["none"]
        return
    assert set(blend["test"]) == {"recall_at_1", "recall_at_5"}
    for name, score in blend["test"].items():
        low, high = blend["ci95"][name]
        assert low <= score <= high
    assert set(blend["better_by"]) == {"the model", TFIDF}
    assert blend["name"] in page
    assert "A blend adds both scores" in page
    again = elman.evaluate(run.path)
    for facts in ("name", "with", "weight"):
        assert again["blend"][facts] == blend[facts]
    assert again["blend"]["test"] == pytest.approx(blend["test"])
    if run.results["recommended"] == "blend":
        assert run.results["verdict"].startswith(f"Worth using together with {TFIDF}: recall at 1")


@pytest.mark.fuzz
def test_a_blend_is_scored_as_the_sum_of_both(run):
    task, module = run.model.task, run.model.module
    nearest = task.predictors()[0]
    both = [module, nearest, Blend(module, nearest, 1.0), Blend(module, nearest, 0.0, 3.0)]
    model, other, ours, theirs = (one.metrics for one in task.scores(both))
    for name in ("recall_at_1", "recall_at_5"):
        assert ours[name] == model[name]
        assert theirs[name] == other[name]
    assert set(ours) == {"recall_at_1", "recall_at_5"}


@pytest.mark.fuzz
def test_the_blend_is_chosen_on_the_validation_part_and_kept_scores_change_nothing(run):
    task, module = run.model.task, run.model.module
    parts, held = dict(task._parts), task._held
    before = task.blend(module, task.predictors())
    try:
        del task._parts["test"]
        task._held = {}
        again = task.blend(module, task.predictors())
        del task._parts["valid"]
        assert "no validation part" in task.blend(module, task.predictors())
    finally:
        task._parts, task._held = parts, held
    assert isinstance(before, Blend) == isinstance(again, Blend)
    if isinstance(before, Blend):
        assert before.weight == again.weight
        assert before.scale == pytest.approx(again.scale, rel=1e-4)


@pytest.mark.fuzz
def test_a_run_that_stopped_before_its_scores_finds_the_same_blend(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run.path, copy)
    (copy / "results.json").unlink()
    shutil.rmtree(copy / "predictors")
    again = elman.resume(copy, progress=False)
    assert again.results["blend"].get("name") == run.results["blend"].get("name")
    assert again.results["verdict"] == run.results["verdict"]


@pytest.mark.fuzz
def test_a_kept_blend_has_its_weight_and_scale_and_one_of_before_has_no_scale(run, mixed):
    def kept():
        return Kept.of(Run(mixed), run.model.task).blend(run.model.module)

    assert (kept().weight, kept().scale) == (0.25, 2.0)
    file = mixed / "predictors" / "index.json"
    index = json.loads(file.read_text())
    del index["blend"]["scale"]
    file.write_text(json.dumps(index))
    assert (kept().weight, kept().scale) == (0.25, 1.0)


@pytest.mark.fuzz
def test_replies_are_put_in_an_order_by_each_predictor(mixed):
    model, other, both = (elman.load(mixed, name) for name in ("model", TFIDF, "blend"))
    tables = [one.rank(ASKED, REPLIES) for one in (model, other, both)]
    for table in tables:
        assert list(table) == ["rank", "reply", "score"]
        assert table["rank"].tolist() == [1, 2, 3]
        assert sorted(table["reply"]) == sorted(REPLIES)
        assert table["score"].is_monotonic_decreasing
    assert tables[1]["reply"][0] == REPLIES[1]
    ours, theirs, mix = (table.set_index("reply")["score"] for table in tables)
    for reply in REPLIES:
        assert mix[reply] == pytest.approx(0.25 * ours[reply] + 0.75 * 2.0 * theirs[reply])
    # The order of two does not depend on what else is asked.
    pair = both.rank(ASKED, REPLIES[:2]).set_index("reply")["score"]
    pd.testing.assert_series_equal(pair.sort_index(), mix[REPLIES[:2]].sort_index(), rtol=1e-5)
    # The last turns are the context, as in training.
    turns = both.rank(["good morning", "well", ASKED], REPLIES)
    pd.testing.assert_frame_equal(turns, both.rank(f"well __eou__ {ASKED}", REPLIES))


@pytest.mark.fuzz
def test_what_cannot_be_put_in_an_order_is_refused(run, mixed):
    with pytest.raises(InputError, match="5-gram does not see the context"):
        elman.load(mixed, "5-gram").rank(ASKED, REPLIES)
    for context, replies, said in (
        (ASKED, [], "no replies"),
        (ASKED, "yes", "replies is 'yes', no list of texts. Give a list of texts"),
        (ASKED, None, "replies is None, no list"),
        (ASKED, ["yes", 2], "Entry 2 of replies is 2, no text"),
        (None, REPLIES, "context is None, no list of texts. Give a text, or a list of the turns"),
        (["hello", None], REPLIES, "Entry 2 of context is None"),
        (" ", REPLIES, "nothing to reply to"),
        ([], REPLIES, "nothing to reply to"),
    ):
        with pytest.raises(InputError, match=said):
            run.model.rank(context, replies)


@pytest.mark.fuzz
def test_a_blend_answers_with_what_it_puts_first_of_both(mixed):
    both = elman.load(mixed, "blend")
    asked = [ASKED, "do you like tea ?", ""]
    with pytest.warns(UserWarning, match="row 3"):
        first = both.predict(asked, proba=True)
    found = both.predict(asked[:2], n_best=2, alignments=True)
    best = found[found["rank"] == 1]["prediction"].tolist()
    assert first["prediction"].tolist() == [*best, ""]
    own = elman.load(mixed).predict(ASKED, n_best=2)["prediction"].tolist()
    near = both.predictor.baseline.map.nearest(ASKED, 2)
    rows = found[found["row"] == 1]
    # The decoder looked nowhere for a reply that it did not write.
    for reply, looked in zip(rows["prediction"], rows["alignment"], strict=True):
        assert bool(looked) == (reply in own)
    assert rows["score"].is_monotonic_decreasing
    said = rows["prediction"].tolist()
    assert set(said) <= {*own, *near}
    # All candidates, put in an order by hand.
    every = both.rank(ASKED, list(dict.fromkeys([*own, *near])))
    assert said[0] == every["reply"][0]
    assert rows["score"].iloc[0] == pytest.approx(every["score"][0], rel=1e-4)
    chat = both.chat()
    answer = chat.say(ASKED)
    assert answer == first["prediction"][0]
    assert chat.n_best(2)[0].text == answer
    with pytest.raises(InputError, match="has no attention"):
        chat.why()


def test_the_nearest_replies_come_once_each_and_the_first_is_what_is_written():
    from elman.scoring.baselines.translations import retrieval

    near = retrieval(["a b", "a c", "a b c", "d e"], ["one", "two", "one", "three"])
    assert near.nearest("a b", 5) == ["one", "two"]
    assert near.nearest("a c", 1) == near(["a c"]) == ["two"]
    assert near.nearest("nothing alike", 3) == []


def test_pairs_and_other_headlines_have_no_blend():
    pairs = pd.DataFrame({"source": [f"a {n}" for n in range(30)], "target": ["c d"] * 30})
    made = Task.from_data(pairs, settings_of(Task, {"unit": "words", "hidden_size": 8}))
    assert made.blend(made.build(), []) == "texts that two predictors write cannot be mixed"
    with pytest.raises(InputError, match="pairs that are no dialogues, so it orders no replies"):
        made.rank(None, "a", ["b"])
    table = pd.DataFrame({"turns": talks(60)})
    how = {"unit": "words", "hidden_size": 8, "metric": "bleu"}
    made = Task.from_data(table, settings_of(Task, how))
    assert "in an order, which has no bleu" in made.blend(made.build(), made.predictors())


def test_model_and_n_grams_say_together_how_likely_replies_are(tmp_path):
    run = run_on_talks(tmp_path, SMALL | {"epochs": 3, "metric": "perplexity"})
    task, net = run.model.task, run.model.module
    assert run.results["blend"]["with"] == "5-gram", run.results["blend"]
    blend = elman.load(run.path, predictor="blend").predictor
    blend = Blend(net, next(p for p in task.predictors() if p.name == "5-gram"), blend.weight)
    assert blend.weight == run.results["blend"]["weight"]
    assert blend.name.startswith("model + 5-gram (weight 0.")
    part, counts = task._parts["test"], blend.baseline.map
    found = translations.score(costing.units_of_mixture(task, blend, part))
    [own, others, scored] = task.scores([net, blend.baseline, blend])
    assert scored.metrics == found == run.results["blend"]["test"]
    assert set(found) == {"perplexity", "perplexity_per_word"}
    assert found["perplexity"] < min(o.metrics["perplexity"] for o in (own, others))
    # By hand, from what each of both gives each symbol.
    total = 0.0
    pairs = zip(*task._encoded_pairs(part.source, part.target), part.target, strict=True)
    for source, ids, text in pairs:
        [ours] = costing.of_symbols(task, net, [source], [ids])
        [theirs] = counts.each([task.symbols.write(text)[:-1]])
        chances = blend.weight * np.exp(-ours) + (1 - blend.weight) * np.exp(-theirs)
        total -= np.log(chances).sum()
    tokens = own.units["tokens"].sum()
    assert found["perplexity"] == pytest.approx(np.exp(total / tokens), rel=1e-5)
    # The weight is the best on the validation part.
    valid = task._parts["valid"]
    tried = [
        costing.units_of_mixture(task, Blend(net, blend.baseline, weight), valid)
        for weight in (blend.weight, blend.weight - 0.02, blend.weight + 0.02)
    ]
    assert np.argmin([one["nll"].sum() for one in tried]) == 0


def test_a_blend_with_n_grams_writes_and_orders_nothing(run):
    task, net = run.model.task, run.model.module
    counts = next(one for one in task.predictors() if one.name == "5-gram")
    blend = Blend(net, counts, 0.5)
    with pytest.raises(InputError, match="says how likely a reply is; it writes none"):
        task.predict(blend, [ASKED])
    with pytest.raises(InputError, match="writes none"):
        task.chat(blend)
    with pytest.raises(InputError, match="5-gram does not see the context"):
        task.rank(blend, ASKED, REPLIES)


def test_a_word_that_no_vocabulary_has_is_copied_by_the_model_alone():
    table = pd.DataFrame(
        {"turns": [[f"who is name{n} ?", f"name{n} is here ."] for n in range(60)]}
    )
    how = {"unit": "words", "min_count": 2, "hidden_size": 8, "metric": "perplexity"}
    task = Task.from_data(table, settings_of(Task, how | {"copying": True}))
    net, part = task.build(), task._parts["test"]
    counts = next(one for one in task.predictors() if one.name == "5-gram")
    nats = costing.units_of_mixture(task, Blend(net, counts, 0.5), part)["nll"]
    sources, targets = task._encoded_pairs(part.source, part.target)
    ours = costing.of_symbols(task, net, sources, targets)
    theirs = counts.map.each([task.symbols.write(text)[:-1] for text in part.target])
    for row, ids in enumerate(targets):
        assert (ids >= len(task.symbols.target)).tolist() == [True, *[False] * (len(ids) - 1)]
        chances = np.exp(-ours[row]) / 2 + np.append(0, np.exp(-theirs[row][1:])) / 2
        assert nats[row] == pytest.approx(-np.log(chances).sum(), rel=1e-5)


def test_a_run_of_another_task_puts_nothing_in_an_order(tmp_path):
    table = pd.DataFrame({"text": [f"{t} is good" for t in TOPICS * 6], "label": ["a", "b"] * 33})
    how = {"max_steps": 2, "resamples": 5, "hidden_size": 4}
    run = elman.train("classify", table, tmp_path / "run", progress=False, **how)
    with pytest.raises(InputError, match="a classify model orders no replies"):
        run.model.rank("a", ["b"])


@pytest.mark.slow
def test_model_and_tf_idf_of_real_dialogues_are_mixed(data_dir, tmp_path):
    with gzip.open(data_dir / "dailydialog" / "dialogues_validation.txt.gz", "rt") as file:
        lines = [line.split("\t")[0].rstrip() for line in file][:400]
    (tmp_path / "few.txt").write_text("\n".join(lines) + "\n")
    how = {"hidden_size": 48, "embedding_size": 32, "epochs": 3, "lower": True, "beam": 1}
    run = elman.train(
        "translate", tmp_path / "few.txt", tmp_path / "run", progress=False, resamples=50, **how
    )
    task, module = run.model.task, run.model.module
    nearest = task.predictors()[0]
    low, high = (task.evaluate(Blend(module, nearest, w, 3.0)).metrics for w in (0.0, 1.0))
    assert low["recall_at_1"] == run.results["baselines"][TFIDF]["recall_at_1"] > 0.2
    assert high["recall_at_1"] == run.results["test"]["recall_at_1"] > 0.1
    blend = run.results["blend"]
    if "none" not in blend:
        assert 0.005 < blend["weight"] < 0.995
        assert blend["test"]["recall_at_1"] > 0.2
