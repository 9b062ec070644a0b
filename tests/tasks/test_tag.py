"""A label for each step: what is learnt, what is refused, and what is given out."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import elman
from elman.data.tagging import spans
from elman.errors import InputError
from elman.runs.pipeline import _perfect
from elman.tasks import TASKS
from elman.tasks.answers import Tags, only_tags
from elman.tasks.settings import settings_of
from elman.tasks.tag.deciding import chances_of

pytestmark = pytest.mark.xdist_group("tag")  # so that runs are trained once

SMALL = {
    "hidden_size": 24,
    "embedding_size": 16,
    "character_size": 12,
    "input_dropout": 0.1,
    "dropout": 0.1,
    "batch_size": 8,
    "resamples": 50,
    "lr": 5e-3,
}


def sentences(n: int, seed: int = 0, scheme: str = "BIO") -> pd.DataFrame:
    """Trips from one town to another: the words before a town say what it is.

    Towns are made of syllables, so that most of those of the test part are new, and some have
    two words.
    """
    generator = np.random.default_rng(seed)
    rows: dict[str, list] = {"tokens": [], "tags": [], "intent": []}

    def town() -> list[str]:
        names = ["".join(generator.choice(["ba", "ko", "mi", "ru"], 3)) + "burg" for _ in range(2)]
        return [name.title() for name in names[: int(generator.integers(1, 3))]]

    for _ in range(n):
        words, tags = [], []
        asks = bool(generator.integers(2))
        parts = [("from", "start"), ("to", "goal")]
        generator.shuffle(parts)
        begin = ["is", "there", "a", "train"] if asks else ["book", "a", "train"]
        words += begin
        tags += ["O"] * len(begin)
        for preposition, label in parts:
            name = town()
            words += [preposition, *name]
            tags += ["O", f"B-{label}", *[f"I-{label}"] * (len(name) - 1)]
        rows["tokens"].append(words)
        rows["tags"].append(tags)
        rows["intent"].append("ask" if asks else "book")
    return pd.DataFrame(rows)


def made(frame, valid=None, test=None, **settings):
    chosen = settings_of(TASKS["tag"], {**SMALL, "max_steps": 2, **settings})
    return TASKS["tag"].from_data(frame, chosen, valid=valid, test=test)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("tag") / "run"
    return elman.train("tag", sentences(240), out, progress=False, epochs=11, **SMALL)


def test_new_towns_are_found_by_their_place_and_letters(run):
    test, baselines = run.results["test"], run.results["baselines"]
    assert run.results["metric"] == "f1"
    assert test["f1"] > 0.95
    # Most towns of the test part are new: a table of words cannot know them.
    assert baselines["most frequent tag of the word"]["f1"] < 0.5
    assert test["intent_accuracy"] > 0.97
    assert test["sentence_accuracy"] <= test["intent_accuracy"]


def test_the_scores_are_those_of_the_predictions(run):
    table = pd.read_parquet(run.path / "predictions.parquet")
    counts = table["outcome"].value_counts()
    right, wrong, missed = (counts.get(name, 0) for name in ("right", "wrong", "missed"))
    assert run.results["test"]["f1"] == pytest.approx(2 * right / (2 * right + wrong + missed))


def test_raw_text_gives_spans_with_offsets(run):
    texts = ["book a train to Kobakoburg from Mimiruburg Bakomiburg", "", "no train"]
    table = elman.load(run.path).predict(texts)
    found = table[table["label"].notna()]
    assert set(found["label"]) == {"start", "goal"}
    for _, row in table.iterrows():
        assert row["text"][row["start"] : row["end"]] == row["entity"]
    goal = found[found["label"] == "goal"].iloc[0]
    assert goal["entity"] == "Kobakoburg"
    assert table["row"].unique().tolist() == [1, 2, 3]
    assert ((found["probability"] > 0) & (found["probability"] <= 1)).all()
    for _, row in table[table["row"] != 2].iterrows():
        assert len(row["tags"].split()) == len(row["text"].split())


def test_a_text_file_and_a_column_of_text_say_the_same(run, tmp_path):
    text = "is there a train from Rubamiburg to Komikoburg"
    path = tmp_path / "a.txt"
    path.write_text(text + "\n")
    model = elman.load(run.path)
    listed = model.predict([text])
    pd.testing.assert_frame_equal(model.predict(path), listed)
    pd.testing.assert_frame_equal(model.predict(pd.DataFrame({"text": [text]})), listed)
    conll = tmp_path / "a.conll"
    conll.write_text("\n".join(f"{word}\tO" for word in text.split()) + "\n")
    pd.testing.assert_frame_equal(model.predict(conll), listed)


def test_probabilities_are_of_whole_spans(run):
    task, module = run.model.task, run.model.module
    inputs = [task.codec.encode(cell) for cell in sentences(6, seed=9)["tokens"]]
    outputs = task.outputs(module, inputs)
    for row, one in enumerate(task.says(module, inputs)):
        assert one.chances is not None
        assert ((one.chances > 0) & (one.chances <= 1 + 1e-6)).all()
        for span, chance in zip(one.spans, one.span_chances, strict=True):
            # A span is never surer than any of its tags.
            assert chance <= one.chances[span.start : span.end].min() + 1e-5
            others = [(row, span._replace(label=label)) for label in ("start", "goal")]
            assert sum(chances_of(task, module, outputs, others)) <= 1 + 1e-6
            unheard = [(row, span._replace(label="unheard"))]
            assert chances_of(task, module, outputs, unheard) == [0.0]


def test_the_report_shows_sentences_in_colour(run):
    page = (run.path / "report.html").read_text()
    assert '<mark style="background: #' in page
    assert "Can the probabilities be believed?" in page
    assert "linear-chain CRF on window features" in page


def test_text_in_a_report_is_escaped():
    from elman.runs import report
    from elman.tasks.base import Mark, Section

    [frozen] = report.freeze([Section("x", marked=[[Mark("<b>", "<i>", "#fff")]])])
    template = report._ENVIRONMENT.from_string(
        "{% for line in s.marked %}{{ line[0].text }}{{ line[0].note }}{% endfor %}"
    )
    assert template.render(s=frozen) == "&lt;b&gt;&lt;i&gt;"


def test_only_legal_sequences_are_said_before_anything_is_learnt():
    frame = sentences(40)
    for scheme in ("BIO", "BIOES"):
        task = made(frame, model_scheme=scheme)
        for one in task.says(task.build(), task._inputs("train"), sure=False):
            assert spans(one.tags, "BIO") == one.spans  # refuses illegal ones


def test_what_is_learnt_may_be_written_otherwise():
    frame = sentences(30)
    plain, other = made(frame), made(frame, model_scheme="BIOES")
    assert "S-start" in other.answer.tags
    assert "S-start" not in plain.answer.tags
    for task in (plain, other):
        answers = task._parts["train"].answers
        for answer, codes in zip(answers, task._answers("train"), strict=True):
            assert task.answer.said(codes[:, 0])[0] == only_tags(answer)


def test_a_schemes_name_is_found_or_given():
    tokens = [["a", "b", "c"]] * 12
    iob1 = pd.DataFrame({"tokens": tokens, "tags": [["I-x", "B-x", "O"], ["O", "I-x", "I-x"]] * 6})
    assert made(iob1).answer.scheme == "IOB1"
    with pytest.raises(InputError, match=r"Token 1 of the sentence: .*BIO.*repair=true"):
        made(iob1, scheme="BIO")


def test_illegal_sequences_are_named_or_repaired_and_counted(tmp_path):
    lines = ["a\tB-x", "b\tI-x", "", "c\tO", "d\tI-x", ""] + ["a\tB-x", "b\tO", ""] * 10
    path = tmp_path / "train.conll"
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"'I-x' cannot follow 'O' in BIO") as error:
        made(path)
    assert (error.value.file, error.value.row) == (path, 4)
    task = made(path, repair=True)
    assert task.describe()["repaired tags"] == 1


def test_tags_are_as_many_as_tokens():
    frame = sentences(20)
    frame.at[3, "tags"] = frame.at[3, "tags"][:-1]
    with pytest.raises(InputError, match=r"There are \d+ tags for \d+ words.*") as error:
        made(frame)
    assert error.value.row == 4
    task = made(sentences(20))
    with pytest.raises(InputError, match=r"tags for \d+ words"):
        task.evaluate(task.build(), frame)


def test_one_tag_teaches_nothing():
    frame = pd.DataFrame({"tokens": [["a", "b"]] * 9, "tags": [["O", "O"]] * 9})
    with pytest.raises(InputError, match="Every step has the tag 'O'"):
        made(frame)


def test_tags_with_and_without_prefixes_are_refused():
    tags = [["B-x", "y"], ["B-x", "I-x"]] * 5
    frame = pd.DataFrame({"tokens": [["a", "b"]] * 10, "tags": tags})
    with pytest.raises(InputError, match="has the prefix of a span, and 'y' has none"):
        made(frame)


def test_numbers_of_tags_are_refused():
    frame = pd.DataFrame({"tokens": [["a", "b"]] * 9, "tags": [[0, 1]] * 9})
    with pytest.raises(InputError, match="Write the names of tags"):
        made(frame, target="tags")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"tokens": ["a", "b"]}, r"row 4, column 'tags': The tags are missing"),
        ({"tokens": ["a", "b"], "tags": []}, r"row 4, column 'tags': The tags are missing"),
        ({"tokens": ["a", "b"], "tags": ["O"]}, r"row 4.*There are 1 tags for 2 words"),
        ({"tokens": [], "tags": []}, r"row 4, column 'tokens': The sentence is empty"),
    ],
)
def test_a_line_of_json_that_is_wrong_is_named(tmp_path, wrong, message):
    right = {"tokens": ["a", "b"], "tags": ["O", "B-x"]}
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in [right] * 3 + [wrong] + [right] * 9))
    with pytest.raises(InputError, match=message):
        made(path)


def test_codes_of_tags_in_json_lines_are_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text((json.dumps({"tokens": ["a", "b"], "ner_tags": [0, 3]}) + "\n") * 9)
    with pytest.raises(InputError, match=r"row 1, column 'ner_tags': .*Write the names of tags"):
        made(path)


def test_another_column_of_conll_is_chosen_by_its_number(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text("Ann NN B-PER\nran VB O\n\n" * 12)
    assert made(path).answer.tags == ["O", "B-PER"]
    assert made(path, target="column 2").answer.tags == ["NN", "VB"]
    with pytest.raises(InputError, match="There is no column 'column 4'"):
        made(path, target="column 4")


def test_a_label_that_training_lacks_is_a_miss_and_said():
    train, test = sentences(30), sentences(10, seed=5)
    test.at[0, "tags"] = [tag.replace("start", "stop") for tag in test.at[0, "tags"]]
    task = made(train, test=test)
    assert task.describe()["labels of test that training lacks"] == "stop"
    evaluation = task.evaluate(task.build())
    missed = evaluation.predictions.query("label == 'stop'")
    assert missed["outcome"].tolist() == ["missed"]
    assert missed["probability"].tolist() == [0.0]


def test_intents_may_be_left_out():
    assert made(sentences(30)).answer.intents == ["ask", "book"]
    task = made(sentences(30), intent="none")
    assert task.answer.intents == []
    assert task.settings.intent == "none"
    renamed = sentences(30).rename(columns={"intent": "wish"})
    assert made(renamed, intent="wish").layout.answers == ("tags", "wish")
    assert made(renamed).answer.intents == []
    with pytest.raises(InputError, match=r"intent_weight has no effect with intent=none"):
        made(renamed, intent="none", intent_weight=3.0)


def test_long_sentences_are_cut_into_legal_pieces():
    words = [f"w{k}" for k in range(40)]
    tags = ["B-x", *["I-x"] * 39]
    frame = pd.DataFrame({"tokens": [words, words[:3]] * 6, "tags": [tags, ["O", "B-x", "O"]] * 6})
    for scheme in ("BIO", "BIOES"):
        task = made(frame, stretch=16, model_scheme=scheme)
        model = task.build()
        losses = [task.loss(model, batch).item() for batch in task.batches()]
        assert np.isfinite(losses).all()


def test_parts_of_speech_with_intents():
    frame = sentences(40)
    frame["tags"] = [[tag.replace("-", "") for tag in tags] for tags in frame["tags"]]
    task = made(frame)
    assert (task.answer.scheme, task.metric) == ("plain", "accuracy")
    evaluation = task.evaluate(task.build())
    assert set(evaluation.metrics) == {"accuracy", "macro_f1", "intent_accuracy"}
    table = evaluation.predictions
    right = (table["truth"] == table["prediction"]).mean()
    assert evaluation.metrics["accuracy"] == pytest.approx(right)
    assert table["token"].tolist() == [w for cell in task._parts["test"].inputs for w in cell]


def test_without_a_crf_every_step_decides_for_itself():
    task = made(sentences(30), crf=False)
    model = task.build()
    assert model.head.crf is None
    for one in task.says(model, task._inputs("train")):
        assert all(0 <= chance <= 1 for chance in one.span_chances)
        assert spans(one.tags, "BIO") == one.spans


def test_parallel_files_train_test_and_intents(tmp_path):
    for part, seed, n in (("train", 0, 40), ("valid", 1, 12), ("test", 2, 12)):
        frame, folder = sentences(n, seed), tmp_path / "trips" / part
        folder.mkdir(parents=True)
        for name, cells in (
            ("seq.in", frame["tokens"].map(" ".join)),
            ("seq.out", frame["tags"].map(" ".join)),
            ("label", frame["intent"]),
        ):
            (folder / name).write_text("\n".join(cells) + "\n")
    task = made(tmp_path / "trips")
    assert {part: len(found) for part, found in task._parts.items()} == {
        "train": 40,
        "valid": 12,
        "test": 12,
    }
    assert task.answer.intents == ["ask", "book"]


def test_texts_with_spans_in_json_lines(tmp_path):
    path = tmp_path / "a.jsonl"
    records = [
        {"text": "to Oslo.", "entities": [[3, 7, "city"]]},
        {"text": "go on", "entities": []},
    ] * 8
    path.write_text("\n".join(json.dumps(record) for record in records))
    task = made(path)
    assert task.answer.tags == ["O", "B-city"]
    assert task._parts["train"].inputs[0] in (["to", "Oslo", "."], ["go", "on"])


def test_spans_of_an_annotated_file_are_given_back_in_its_own_text(run, tmp_path):
    text = "book  a train\tto Kobakoburg,from Mimiruburg."
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": text, "spans": [[17, 27, "goal"]]}))
    model = elman.load(run.path)
    cell = model.task.codec.adapt(elman.data.read(path).frame["tokens"][0])
    assert (cell.text, cell.tagged) == (text, True)
    table = model.predict(path)
    assert set(table["text"]) == {text}
    found = table[table["label"] == "goal"].iloc[0]
    assert (found["start"], found["end"], found["entity"]) == (17, 27, "Kobakoburg")


def test_a_label_for_each_step_of_a_long_table(tmp_path):
    generator = np.random.default_rng(0)
    rows = []
    for group in range(40):
        phase = "rest"
        for step in range(40):
            pulse = 0.0
            if step == 0 or generator.random() < 0.05:
                # A pulse says what begins; nothing says what goes on.
                phase = str(generator.choice(["rest", "run"]))
                pulse = 1.0 if phase == "run" else -1.0
            rows.append((group, step, float(generator.normal()), pulse, phase))
    frame = pd.DataFrame(rows, columns=["who", "at", "noise", "pulse", "activity"])
    shuffled = frame.sample(frac=1, random_state=0).reset_index(drop=True)
    out = elman.train(
        "tag",
        shuffled,
        tmp_path / "run",
        progress=False,
        target="activity",
        group="who",
        time="at",
        hidden_size=16,
        epochs=14,
        batch_size=8,
        dropout=0.1,
        lr=2e-2,
        resamples=20,
    )
    test = out.results["test"]
    assert out.results["metric"] == "accuracy"
    assert test["accuracy"] > 0.95
    assert 0 < test["segment_f1@0.5"] <= 1
    assert set(out.results["baselines"]) == {"majority", "logistic regression on a window"}
    assert max(b["accuracy"] for b in out.results["baselines"].values()) < 0.9
    said = out.model.predict(shuffled)
    assert said["row"].tolist() == list(range(1, len(shuffled) + 1))
    assert (said["prediction"].to_numpy() == shuffled["activity"].to_numpy()).mean() > 0.95


def test_one_long_series_is_judged_in_blocks(tmp_path):
    t = np.arange(1200)
    wave = np.sin(t / 9)
    frame = pd.DataFrame({"x": wave, "phase": np.where(wave > 0, "up", "down")})
    out = elman.train(
        "tag",
        frame,
        tmp_path / "run",
        progress=False,
        hidden_size=8,
        max_steps=30,
        lr=0.02,
        resamples=30,
    )
    low, high = out.results["ci95"]["accuracy"]
    assert low < high or out.results["test"]["accuracy"] == 1.0
    assert out.results["test"]["accuracy"] > 0.9


def test_a_stream_tags_as_words_come(tmp_path):
    out = elman.train(
        "tag",
        sentences(80),
        tmp_path / "run",
        progress=False,
        bidirectional=False,
        epochs=6,
        **SMALL | {"lr": 1e-2},
    )
    stream = out.model.stream()
    said = [stream.step(word) for word in ["book", "a", "train", "to", "Mikobaburg"]]
    assert said[-1]["tag"] == "B-goal"
    for one in said:
        assert sum(one["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert sum(one["intents"].values()) == pytest.approx(1, abs=1e-5)
    # A sentence cannot begin inside a span.
    assert said[0]["probabilities"].get("I-goal", 0.0) == 0.0


def test_a_model_that_reads_backwards_cannot_stream(run):
    with pytest.raises(InputError, match="cannot stream"):
        run.model.stream()


def test_a_missing_package_is_said(monkeypatch):
    from elman.errors import MissingExtra
    from elman.scoring.baselines import tags

    def missing(*_, **__):
        raise MissingExtra("python-crfsuite is not installed; it comes with elman[tag].")

    monkeypatch.setattr(tags, "crf", missing)
    task = made(sentences(30))
    assert list(task.baselines()) == ["most frequent tag of the word"]
    [said] = task.describe()["not_run"]
    assert "linear-chain CRF" in said


def test_tags_go_through_json():
    answer = made(sentences(20)).answer
    again = Tags.from_json(json.loads(json.dumps(answer.to_json())))
    [codes] = again.encode([[("B-goal", "ask"), ("O", "ask")]])
    np.testing.assert_array_equal(codes, answer.encode([[("B-goal", "ask"), ("O", "ask")]])[0])


def test_reverse_means_nothing():
    with pytest.raises(InputError, match="reverse means nothing for tag"):
        settings_of(TASKS["tag"], {"reverse": True, "bidirectional": False})


@pytest.mark.fuzz
def test_members_find_new_towns_together(tmp_path):
    how = SMALL | {"epochs": 6, "members": 2}
    made_of = elman.train("tag", sentences(120), tmp_path / "run", progress=False, **how)
    assert made_of.results["test"]["f1"] > 0.8
    found = made_of.model.predict(["book a train from Bakoburg to Mirukoburg"])
    assert list(found["label"]) == ["start", "goal"]
    again = elman.load(made_of.path).predict(["book a train from Bakoburg to Mirukoburg"])
    pd.testing.assert_frame_equal(found, again)


@pytest.mark.fuzz
def test_given_vectors_tell_words_that_training_lacks(tmp_path):
    """Towns are of two kinds that only their vectors tell apart."""
    generator = np.random.default_rng(0)
    names = [f"{a}{b}{c}" for a in "bkmr" for b in "aeio" for c in "lnst"]
    generator.shuffle(names)
    kinds = {name: "sea" if number % 2 else "hill" for number, name in enumerate(names)}
    file = tmp_path / "vectors.txt"
    file.write_text(
        "".join(
            f"{n} {(1 if kinds[n] == 'sea' else -1) + generator.normal() / 5:.3f} 0.1 0.2\n"
            for n in names
        )
    )

    def trips(towns):
        words = [[str(w) for w in generator.choice(towns, 4)] for _ in range(60)]
        return pd.DataFrame(
            {"tokens": words, "tags": [[f"B-{kinds[w]}" for w in one] for one in words]}
        )

    how = SMALL | {"epochs": 8, "vectors": str(file), "valid_fraction": 0.0, "rare_dropout": 0.5}
    how |= {"word_dropout": 0.3, "lr": 0.01}
    train, test = trips(names[:40]), trips(names[40:])
    found = elman.train("tag", train, tmp_path / "run", test=test, progress=False, **how)
    assert found.results["test"]["f1"] > 0.9
    asked = [[names[50], names[51]]]
    file.unlink()  # the run has the vectors
    again = elman.load(found.path).predict(asked)
    assert list(again["label"]) == [kinds[names[50]], kinds[names[51]]]


def test_one_label_for_each_recording_is_refused(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    rng = np.random.default_rng(0)
    rows = []
    for i in range(6):
        soundfile.write(tmp_path / f"{i}.wav", rng.normal(0, 0.1, 800), 8000)
        rows.append(f"{i}.wav,{'ab'[i % 2]}")
    (tmp_path / "list.csv").write_text("path,label\n" + "\n".join(rows) + "\n")
    with pytest.raises(InputError, match=r"one label for each sequence.*classify"):
        TASKS["tag"].from_data(tmp_path / "list.csv", settings_of(TASKS["tag"], {}))


def test_data_without_tags_cannot_be_judged_by(tmp_path):
    words = made(sentences(30))
    text = tmp_path / "a.txt"
    text.write_text("is there a train to Komikoburg\n" * 3)
    for data in (text, sentences(5).drop(columns="tags")):
        with pytest.raises(InputError, match="no column 'tags'"):
            words._read(data, answers=True)
    table = pd.DataFrame(
        {
            "walk": np.repeat([f"W{k}" for k in range(20)], 6),
            "x": np.tile(np.arange(6.0), 20) ** 2,
            "activity": ["run", "rest"] * 60,
        }
    )
    steps = TASKS["tag"].from_data(table, settings_of(TASKS["tag"], {"group": "walk"}))
    with pytest.raises(InputError, match="no column 'activity'"):
        steps._read(table.drop(columns="activity"), answers=True)


def test_a_perfect_score_of_tags_says_nothing_of_single_words():
    assert _perfect(made(sentences(30)), ["a baseline"]).endswith("which real data seldom allow.")
