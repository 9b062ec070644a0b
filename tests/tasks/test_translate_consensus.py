"""The text that is most like the others: of a search, of draws, and with texts of training."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import sacrebleu
import torch

pytest.importorskip("tokenizers")
pytest.importorskip("rouge_score")
from rouge_score.rouge_scorer import RougeScorer

import elman
from elman.errors import InputError
from elman.scoring.blending import Blend
from elman.tasks import TASKS
from elman.tasks.settings import settings_of
from elman.tasks.translate import consensus, judging
from elman.tasks.translate.judging import PENALTIES
from elman.tasks.translate.writing import Answer, Options

Task = TASKS["translate"]
TOPICS = [f"topic{n}" for n in range(40)]


def subject(body, topic):
    """Return what every second topic alone tells, and what the first words tell of the others."""
    odd = int(topic.removeprefix("topic")) % 2
    return f"about {topic} today" if odd else " ".join(["note", *body[:4]])


def mails(n=160, seed=0):
    """Texts of 30 words and their subjects."""
    rng = random.Random(seed)
    rows = []
    for _ in range(n):
        topic = rng.choice(TOPICS)
        body = [topic if rng.random() < 0.3 else f"word{rng.randrange(60)}" for _ in range(30)]
        rows.append((" ".join(body), subject(body, topic)))
    return pd.DataFrame(rows, columns=["body", "subject"])


@pytest.fixture(scope="module")
def made():
    """A task of summaries, which no model was trained for."""
    how = {"unit": "words", "hidden_size": 4, "embedding_size": 4, "batch_size": 64}
    return Task.from_data(mails(), settings_of(Task, how))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on summaries, hardly trained."""
    where = tmp_path_factory.mktemp("mails") / "run"
    how = {"unit": "words", "hidden_size": 4, "embedding_size": 4, "epochs": 1, "resamples": 20}
    return elman.train("translate", mails(), where, progress=False, consensus=4, **how)


def found(text, nats):
    return Answer(text, [5] * len(text.split()), -nats, -nats, True)


def answering(monkeypatch, task, answers):
    """Let each source of a task have the same answers, whatever the model."""
    usual = type(task).answers

    def said(self, model, sources, options=None, **how):
        options = options or self._options
        if options.consensus or isinstance(model, Blend):
            return usual(self, model, sources, options, **how)
        return [answers(source)[: options.n_best] for source in sources]

    monkeypatch.setattr(type(task), "answers", said)


def topic_of(source):
    return max(TOPICS, key=source.split().count)


def test_the_text_with_the_best_expected_score_comes_first(run):
    texts = mails(5, seed=9)["body"].tolist()
    plain = run.model.predict(texts, n_best=4, consensus=0)
    agreed = run.model.predict(texts, n_best=3, consensus=4)
    for row in range(1, 6):
        rows = plain[plain["row"] == row]
        said, weights = rows["prediction"].tolist(), np.exp(rows["score"].to_numpy())
        expected = {
            one: sum(
                weight * _rouge(one, other) for other, weight in zip(said, weights, strict=True)
            )
            / weights.sum()
            for one in said
        }
        ours = agreed[agreed["row"] == row]
        assert ours["score"].tolist() == pytest.approx(sorted(expected.values())[::-1][: len(ours)])
        for one in ours.itertuples():
            assert expected[one.prediction] == pytest.approx(one.score)


def test_the_setting_is_what_predict_does_and_what_is_judged(run):
    assert run.model.task.consensus == 4
    texts = mails(5, seed=9)["body"].tolist()
    usual = run.model.predict(texts)
    pd.testing.assert_frame_equal(usual, run.model.predict(texts, consensus=4))
    judged = run.model.predict(run.model.task._parts["test"].source)["prediction"]
    units = run.model.task.judge.units(judged.tolist(), run.model.task._parts["test"].target)
    assert run.results["test"]["rouge1"] == pytest.approx(units["rouge1"].mean())
    assert elman.load(run.path).task.consensus == 4
    assert "of 4 that were found, the one most like the others" in (
        run.path / "report.html"
    ).read_text(encoding="utf-8")


def test_drawn_texts_count_alike(run):
    text = mails(1, seed=9)["body"].tolist()
    how = {"temperature": 2.0, "seed": 3}
    plain = run.model.predict(text, n_best=6, consensus=0, **how)["prediction"].tolist()
    agreed = run.model.predict(text, consensus=6, **how)
    expected = {one: np.mean([_rouge(one, other) for other in plain]) for one in plain}
    assert agreed["score"][0] == pytest.approx(max(expected.values()))
    assert expected[agreed["prediction"][0]] == pytest.approx(agreed["score"][0])


def _rouge(one, other):
    return 100 * RougeScorer(["rouge1"], use_stemmer=True).score(other, one)["rouge1"].fmeasure


def test_translations_agree_by_chrf():
    pairs = pd.DataFrame({"source": [f"ein hund {n}" for n in range(40)], "target": ["a dog"] * 40})
    task = Task.from_data(pairs, settings_of(Task, {"unit": "words", "hidden_size": 4}))
    pool = judging.pool_of(
        task, [found("a dog runs", 1.0), found("a dog ran", 1.0)], ["a cat", "A dog runs"]
    )
    assert [one.text for one in pool.answers] == ["a dog runs", "a dog ran", "a cat"]
    expected = sacrebleu.sentence_chrf("a dog runs", ["a dog ran"]).score
    assert pool.alike[0, 1] == pytest.approx(expected)


@pytest.mark.parametrize("better", ["the likeliest", "the one like others"])
def test_the_validation_part_tells_which_text_is_given(monkeypatch, made, better):
    def answers(source):
        alone, alike = "nothing at all", subject(source.split(), topic_of(source))
        if better == "the likeliest":
            alone, alike = alike, "no"
        return [found(alone, 1.0), *(found(f"{alike} {x}", 3.0) for x in "abc")]

    answering(monkeypatch, made, answers)
    alpha, count = judging.way_of(made, made.build())
    assert alpha in PENALTIES
    assert count == (0 if better == "the likeliest" else 20)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 2.0])
def test_what_was_searched_for_to_choose_is_what_another_search_finds(monkeypatch, made, alpha):
    torch.manual_seed(0)
    model, sources = made.build(), made._parts["valid"].source
    judging.way_of(made, model)
    options = replace(made._options, length_penalty=alpha)
    anew = consensus.written(made, model, sources, options)
    asked, usual = [], consensus.written
    monkeypatch.setattr(consensus, "written", lambda *how: asked.extend(how[2]) or usual(*how))
    again = consensus._written_once(made, model, [*sources, "topic1 word5"], options)
    assert asked == ["topic1 word5"]
    assert len({one.text for row in anew for one in row}) > 20
    for ours, theirs in zip(again, anew, strict=False):
        assert [one.text for one in ours] == [one.text for one in theirs]
        assert [one.score for one in ours] == pytest.approx([one.score for one in theirs])
    consensus._written_once(made, made.build(), sources, options)
    assert asked[1:] == sources  # another model has found nothing yet


def test_what_is_set_is_not_chosen(monkeypatch, made):
    given = made.settings.model_copy(update={"consensus": 0, "length_penalty": 0.7})
    monkeypatch.setattr(made, "settings", given)
    monkeypatch.setattr(type(made), "answers", lambda *_: pytest.fail("nothing is to be written"))
    assert judging.way_of(made, made.build()) == (0.7, 0)


def test_model_and_training_texts_agree_where_both_know_a_part(monkeypatch, made):
    # The likest texts of training know the subjects of every second topic, the model the others.
    def answers(source):
        said = subject(source.split(), topic_of(source))
        others = ["um", "er", "oh no", "ah"]
        return [found(one, 2.0) for one in ([said, said[5:]] if "note" in said else others)]

    answering(monkeypatch, made, answers)
    model, predictors = made.build(), made.predictors()
    blend = made.blend(model, predictors)
    assert isinstance(blend, Blend), blend
    assert blend.name.startswith("model + nearest by TF-IDF (weight 0.")
    ours, theirs, both = made.scores([model, predictors[-1], blend])
    assert both.metrics["rouge1"] > ours.metrics["rouge1"]
    assert both.metrics["rouge1"] > theirs.metrics["rouge1"]
    with monkeypatch.context() as chosen:
        # Where the model's own text is chosen so too, both choose among texts written once.
        chosen.setattr(made, "consensus", 20)
        asked = []
        chosen.setattr(
            consensus, "written", lambda *how: asked.append(how) or [answers(x) for x in how[2]]
        )
        chosen.setattr(judging, "written", consensus.written)
        _, again = made.scores([model, blend])
        assert len(asked) == 1
    assert again.metrics == both.metrics
    table = made.predict(blend, [made._parts["test"].source[0], "unheard of"], n_best=2)
    assert table["rank"].tolist() == [1, 2, 1, 2]


def test_there_is_no_blend_where_the_model_knows_all_or_nothing(monkeypatch, made):
    answering(
        monkeypatch, made, lambda source: [found(subject(source.split(), topic_of(source)), 1.0)]
    )
    said = made.blend(made.build(), made.predictors())
    assert "no mixture" in said
    assert said.endswith("better than the model alone")
    answering(monkeypatch, made, lambda source: [found("um", 1.0)])
    assert isinstance(made.blend(made.build(), made.predictors()), str | Blend)
    monkeypatch.delitem(made._parts, "valid")
    assert "there is no validation part" in made.blend(made.build(), made.predictors())


def test_training_texts_that_share_no_word_are_no_neighbours():
    from elman.scoring.baselines.translations import retrieval

    near = retrieval(["a b", "a c", "a b c", "d e"], ["one", "two", "one", "three"])
    (texts, likeness), nothing = near.neighbours(["a b", "nothing alike"], 5)
    assert texts == ["one", "one", "two"]
    assert likeness[0] == pytest.approx(1.0)
    assert likeness == sorted(likeness)[::-1]
    assert nothing == ([], [])


def test_options_without_effect_are_refused(run):
    with pytest.raises(InputError, match="give 2 or more, or 0"):
        settings_of(Task, {"consensus": 1})
    with pytest.raises(InputError, match="none is most like the others"):
        run.model.predict(["a b"], consensus=1)
    lists = pd.DataFrame({"source": [["a", f"b{n}"] for n in range(40)], "target": [["c"]] * 40})
    with pytest.raises(InputError, match="consensus=5 is for targets that are texts"):
        Task.from_data(lists, settings_of(Task, {"consensus": 5}))
    task = Task.from_data(lists, settings_of(Task, {"hidden_size": 4}))
    with pytest.raises(InputError, match="consensus is for answers that are texts"):
        task.predict(task.build(), [["a"]], consensus=5)


def test_options_of_a_consensus():
    options = Options().with_(consensus=8)
    assert (options.consensus, options.beam, math.isnan(options.length_penalty)) == (8, 5, False)
