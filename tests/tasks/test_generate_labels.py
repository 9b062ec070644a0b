"""Language models with labels: each text is read, scored and written in the manner of its label."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from torch.nn import functional as F

import elman
from elman.errors import InputError
from elman.inspect import runs as doctor
from elman.scoring.baselines.label_ngrams import LabelledKneserNey
from elman.scoring.baselines.ngram import KneserNey
from elman.tasks.generate import identity, language_model
from elman.tasks.generate.corpus import Documents, Tokens
from elman.tasks.generate.labelled import Labelled
from elman.tasks.generate.language_model import LanguageModel, costs
from elman.tasks.generate.settings import GenerateSettings
from elman.tasks.generate.task import Generate
from elman.training import fit, seed

WORDS = {"sea": "wave gull salt ship", "hill": "goat pine rock path", "town": "tram bell door lamp"}


def settings(**given_: Any) -> GenerateSettings:
    small = {"hidden_size": 16, "num_layers": 1, "embedding_size": 8, "dropout": 0.0, "k1": 10}
    small |= {"precision": "float32", "batch_size": 4, "label": "place", "resamples": 20}
    return GenerateSettings(**(small | given_))


def table(documents: int = 20, words: int = 3, seed_: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed_)
    rows = [
        (" ".join(rng.choice(WORDS[name].split(), words)), name)
        for name in WORDS
        for _ in range(documents)
    ]
    return pd.DataFrame(rows, columns=["text", "place"])


def made(data: Any, **how: Any) -> tuple[Generate, LanguageModel]:
    """A task and its model, untrained, with large weights."""
    task = Generate.from_data(data, settings(**how))
    torch.manual_seed(0)
    model = task.build()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    assert isinstance(model, LanguageModel)
    return task, model.eval()


# Documents


@examples(max_examples=40)
@given(
    st.lists(st.tuples(st.text("ab ", min_size=1, max_size=9), st.sampled_from("xyz")), min_size=1),
    st.floats(0, 1),
    st.booleans(),
)
def test_parts_hold_the_text_of_each_label_once_and_in_order(rows, fraction, words):
    texts, labels = zip(*rows, strict=True)
    whole = Labelled.of(Documents.of_texts(texts), labels)
    parts = whole.split([fraction], words, [None, None])
    for code, name in enumerate(whole.names):
        own = "".join(text for text, label in rows if label == name)
        said = [
            text
            for part in parts
            for text, label in zip(part.whole(), part.labels, strict=True)
            if label == code
        ]
        assert "".join(said) == own
    if len(rows) >= 20:
        assert sum(part.count for part in parts) == len(rows), "documents are kept whole"
    assert sum(part.size for part in parts) == sum(map(len, texts))


def test_every_part_has_some_of_each_label() -> None:
    task, _ = made(table())
    assert task.labels == ("hill", "sea", "town")
    for name, count in (("train", 16), ("valid", 2), ("test", 2)):
        part = task._tokens[name]
        assert part.labels is not None
        assert np.bincount(part.labels).tolist() == [count] * 3
    said = dict(task.understood().lines)
    assert said["label"] == "3 labels as label=place says; to train on: hill 16, sea 16, town 16"
    assert task.describe()["test"]["labels"] == "hill 2, sea 2, town 2"


def test_a_few_long_texts_are_cut_inside(tmp_path: Path) -> None:
    for name in ("sea", "hill"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "book.txt").write_text((WORDS[name] + " ") * 40)
    task, _ = made(tmp_path, label="folder", unit="words", min_count=1)
    assert task.labels == ("hill", "sea")
    sizes = {name: tokens.lengths.tolist() for name, tokens in task._tokens.items()}
    # Of 160 words 129, 16 and 15: a cut inside a word comes after it. An end each.
    assert sizes == {"train": [130, 130], "valid": [17, 17], "test": [16, 16]}
    assert task.describe()["split"] == (
        "by position in the text of each label: "
        "the first train, the next choose the model, the last test"
    )


def test_a_label_is_not_taken_unasked_and_changes_nothing(tmp_path: Path) -> None:
    rows = table()
    task = Generate.from_data(rows, settings(label=None))
    bare = Generate.from_data(rows[["text"]], settings(label=None))
    said = "none; there could be one: column 'place' (3 values), with --set label=place"
    assert dict(task.understood().lines)["label"] == said
    assert "label" not in dict(bare.understood().lines)
    states = []
    for one in (task, bare):
        assert one.labels == ()
        seed(0)
        model = one.build()
        fit(one.objective(model), one.batches(), one.settings.model_copy(update={"max_steps": 3}))
        states.append(model.state_dict())
    assert not any(name.startswith(("label", "begin")) for name in states[0])
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    for name in WORDS:
        (tmp_path / name).mkdir()
        for number in range(3):
            (tmp_path / name / f"{number}.txt").write_text(WORDS[name])
    lines = dict(Generate.from_data(tmp_path, settings(label=None)).understood().lines)
    assert "the names of 3 folders, with --set label=folder" in lines["label"]


@pytest.mark.parametrize(
    ("data", "how", "message"),
    [
        (table(), {"label": "plase"}, r"no column 'plase'.*'place'"),
        (table(), {"label": "text"}, r"Column 'place' holds 3 different words"),
        (table(), {"text": "text", "label": "text"}, "cannot be both the text and its label"),
        (table().assign(place="sea"), {}, r"only one label, 'sea' \(column 'place'\)"),
        (table().replace("sea", None), {}, r"row 1, column 'place'.*label is missing"),
        (
            table(3).assign(place=[f"p{k}" for k in range(9)]),
            {},
            r"Nearly every document has a label of its own \(column 'place': 9 labels of 9",
        ),
        (table(), {"k2": 20}, "k2 has no effect"),
        (
            pd.DataFrame({"text": ["ab ab ab"] * 9 + ["c"], "place": ["x"] * 9 + ["y"]}),
            {},
            "label 'y' has too little text",
        ),
    ],
)
def test_labels_that_cannot_be_read_are_refused(data: Any, how: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Generate.from_data(data, settings(**how))


def test_labels_of_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "one.txt"
    file.write_text("the sea " * 50)
    with pytest.raises(InputError, match=r"one.txt.*no column 'place'. Set label=folder"):
        Generate.from_data(file, settings())
    with pytest.raises(InputError, match=r"only one label, .*the name of the folder"):
        Generate.from_data(tmp_path, settings(label="folder"))


def test_a_label_that_is_new_is_refused_with_its_row_and_the_nearest(tmp_path: Path) -> None:
    task, model = made(table())
    with pytest.raises(InputError, match=r"row 2, column 'place': The label 'see'.*mean 'sea'"):
        task.predict(model, pd.DataFrame({"text": ["a", "b"], "place": ["sea", "see"]}))
    with pytest.raises(InputError, match="no column 'place'"):
        task.predict(model, pd.DataFrame({"text": ["wave"], "n": [1]}))
    with pytest.raises(InputError, match=r"'forest'.*Choose from 'hill', 'sea', 'town'"):
        Generate.from_data(table(), settings(), test=table().replace("sea", "forest"))
    (tmp_path / "woods").mkdir()
    (tmp_path / "woods" / "a.txt").write_text("pine")
    task.settings = settings(label="folder")
    with pytest.raises(InputError, match=r"folder 'woods' is no label"):
        task.predict(model, tmp_path)


# The model


def by_hand(model: LanguageModel, tokens: Tokens) -> np.ndarray:
    """One token after another; each document begins with the state of its label."""
    assert tokens.labels is not None
    nats: list[float] = []
    for begin, length, code in zip(tokens.starts, tokens.lengths, tokens.labels, strict=True):
        label = torch.tensor([code])
        assert model.label is not None
        vector, state = model.label(label), model.begin(model.label(label))
        for place in range(begin, begin + length):
            symbol = model.embedding(torch.tensor([int(tokens.ids[place])]))
            output, state = model.recurrent(torch.cat((symbol, vector), 1)[None], state)
            target = torch.tensor([int(tokens.ids[place + 1])])
            nats.append(F.cross_entropy(model.scores(output)[0], target).item())
    return np.array(nats)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_label_is_read_in_every_step_and_makes_the_first_state(cell: str) -> None:
    task, model = made(table(8), cell=cell)
    tokens = task._tokens["train"]
    np.testing.assert_allclose(costs(model, tokens), by_hand(model, tokens), atol=1e-5)


@pytest.mark.fuzz
def test_pieces_of_long_documents_cost_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language_model, "WARM_UP", 60)
    monkeypatch.setattr(language_model, "_PIECE", 90)
    monkeypatch.setattr(language_model, "_SCORES", 18 * 3 * 11)
    monkeypatch.setattr(language_model, "_ROWS", 3)
    task, model = made(table(1, words=80))
    for parameter in model.parameters():  # so small that what is long past is forgotten
        parameter.data *= 0.5
    tokens = task._tokens["train"]
    assert tokens.lengths.max() > 200
    np.testing.assert_allclose(costs(model, tokens), by_hand(model, tokens), atol=1e-4)


@pytest.mark.parametrize(("words", "rows"), [(3, 4), (60, 1)])
def test_training_reads_each_document_from_the_state_of_its_label(words: int, rows: int) -> None:
    task, model = made(table(8 if rows > 1 else 2, words=words), batch_size=rows)
    objective, carried = task.objective(model), None
    total, count = 0.0, 0.0
    kinds = set()
    for batch in task.batches():
        kinds.add(batch.whole)
        loss, n, carried = objective.loss(batch, carried)
        total, count = total + loss.item(), count + n
    assert kinds == {rows > 1}
    tokens = task._tokens["train"]
    assert count == tokens.predicted
    assert total == pytest.approx(costs(model, tokens).sum(), rel=1e-5)


def test_windows_fill_their_rows_and_each_comes_once() -> None:
    task, _ = made(table(2, words=200), batch_size=5)
    for _ in range(2):
        seen = list(task.batches())
        assert {batch.inputs.shape[1] for batch in seen} == {5}
        assert sum(int(batch.lengths.sum()) for batch in seen) == task._tokens["train"].predicted
    with pytest.raises(InputError, match=r"Set batch_size to at most \d+"):
        made(table(1, words=600), batch_size=200, k1=400)[0].batches()


def test_the_first_documents_of_each_label_are_validated_on() -> None:
    ids = np.array([0, 1, 1, 1, 0, 2, 2, 0, 3, 3, 3, 3, 0])
    tokens = Tokens(ids, np.array([0, 4, 7]), np.array([0, 1, 0]))
    assert tokens.first(12) is tokens
    some = tokens.first(6)
    assert some.labels is not None
    # Half of the nine tokens of label 0, half of the three of label 1.
    assert (some.lengths.tolist(), some.labels.tolist()) == ([4, 1], [0, 1])
    assert some.ids.tolist() == [0, 1, 1, 1, 0, 0]


def test_stopping_and_going_on_is_not_stopping(tmp_path: Path) -> None:
    rows = table(2, words=200)

    def go(folder: Path | None, stop: int, resume: bool = False) -> Any:
        task = Generate.from_data(rows, settings(schedule="constant", warmup=0.0))
        seed(0)
        model = task.build()
        wanted = task.settings.model_copy(update={"max_steps": stop, "epochs": None})
        fit(task.objective(model), task.batches(), wanted, run=folder, resume=resume)
        return model.state_dict()

    whole = go(None, 7)
    go(tmp_path / "run", 4)
    parts = go(tmp_path / "run", 7, resume=True)
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


# Scores


def test_n_grams_of_each_label_are_counted_apart() -> None:
    task, _ = made(table())
    train, test = task._tokens["train"], task._tokens["test"]
    size = len(task.vocabulary)
    found = task.baselines()
    name = "3-gram Kneser-Ney of each label"
    assert list(found)[:5] == [*list(found)[:1], *(f"{n}-gram Kneser-Ney" for n in (3, 5, 7, 9))]
    total = 0.0
    for code in range(3):
        own, asked = (identity.of_label(part, code)[:2] for part in (train, test))
        counted = KneserNey.fit(own[0], size, 9, own[1])
        total += counted.nll(*asked)[3].sum()
    assert found[name].metrics["nats_per_character"] == pytest.approx(total / test.predicted)
    assert found[name].metrics["label_identity"] == 1.0
    assert "label_identity" not in found["3-gram Kneser-Ney"].metrics
    counts = task.predictors()[-1].shared
    again = LabelledKneserNey.kept(*json.loads(json.dumps([counts.state()[0]])), counts.state()[1])
    for before, after in zip(counts.of, again.of, strict=True):
        history = np.array([2, 3])
        np.testing.assert_array_equal(before.distribution(history), after.distribution(history))


def test_each_label_has_a_score_and_the_whole_is_their_mean() -> None:
    task, model = made(table())
    metrics = task.evaluate(model).metrics
    parts = [metrics[f"bits_per_character: {name}"] for name in task.labels]
    assert task._tokens["test"].labels is not None
    sizes = np.bincount(task._tokens["test"].labels, task._tokens["test"].lengths)
    assert np.average(parts, weights=sizes) == pytest.approx(metrics["bits_per_character"])


def test_identity_is_asked_of_what_can_be_afforded(monkeypatch: pytest.MonkeyPatch) -> None:
    task, model = made(table(2, words=900))
    tokens = task._tokens["train"]
    assert identity.Trial.drawn(tokens, 0, 0) is None
    trial = identity.Trial.drawn(tokens, 3, 0)
    assert trial is not None
    np.testing.assert_array_equal(trial.tokens.ids, tokens.ids)
    by_code = [
        costs(model, Tokens(tokens.ids, tokens.starts, np.full(len(tokens.starts), code)))
        for code in range(3)
    ]
    firsts, labels = identity.passages(tokens)
    assert np.diff(firsts).max() == 1000
    wanted = np.stack([np.add.reduceat(nats, firsts) for nats in by_code]).argmin(0)
    found = trial.cheapest(lambda own, memo: costs(model, own))
    np.testing.assert_array_equal(found, wanted)
    monkeypatch.setattr(identity, "COSTED", 6000)
    less = identity.Trial.drawn(tokens, 3, 0)
    assert less is not None
    assert less.tokens.predicted == 2000
    some = less.cheapest(lambda own, memo: costs(model, own))
    assert (some >= 0).sum() == 2
    units = pd.DataFrame({"label": labels, "cheapest": some})
    asked = units[units["cheapest"] >= 0]
    assert identity.share(units) == (asked["cheapest"] == asked["label"]).mean()


# A run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("labels")
    table(40).to_json(folder / "places.jsonl", orient="records", lines=True)
    how = {"hidden_size": 24, "batch_size": 8, "max_steps": 120, "lr": 0.02, "resamples": 50}
    how |= {"num_layers": 1, "precision": "float32", "label": "place", "activation_penalty": 0}
    return elman.train("generate", folder / "places.jsonl", folder / "run", progress=False, **how)


def test_the_commands_of_the_report_name_a_label(run: Any) -> None:
    page = html.unescape((run.path / "report.html").read_text())
    label = run.model.task.labels[0]
    assert re.search(rf"elman generate \S+ --label {label}\n", page)
    [called] = re.findall(r"print\((model\.generate\(.*\))\[0\]\)", page)
    assert called == f'model.generate("", label="{label}")'
    assert eval(called, {"model": run.model})[0]  # what a person would copy


def test_it_writes_with_the_words_of_the_label(run: Any) -> None:
    for name, words in WORDS.items():
        for text in run.model.generate(label=name, samples=5, temperature=0.5, length=40):
            said = text.split()
            assert sum(word in words.split() for word in said) >= 0.7 * len(said)
    assert run.results["test"]["label_identity"] > 0.9
    low, high = run.results["ci95"]["label_identity"]
    assert low <= run.results["test"]["label_identity"] <= high
    page = (run.path / "report.html").read_text()
    for name in WORDS:
        assert f"label {name}, temperature 0.8" in page
    assert "own label costs least" in page
    [best] = [one["text"].strip() for one in run.model.complete("", n=1, label="sea")]
    assert best in WORDS["sea"].split()


@pytest.mark.parametrize("predictor", ["model", "5-gram Kneser-Ney of each label"])
def test_a_stream_takes_the_label(run: Any, predictor: str) -> None:
    model = elman.load(run.path, predictor=predictor)
    for name, other in (("sea", "goat"), ("hill", "wave")):
        stream = model.stream(label=name)
        for letter in WORDS[name].split()[0]:
            chances = stream.step(letter)
        saved = stream.snapshot()
        assert chances[" "] > 0.3
        stream = model.stream(label=name)
        stream.restore(saved)
        if predictor == "model":
            ids = [
                model.task.vocabulary.bos,
                *model.task.codec.encode(WORDS[name].split()[0] + " "),
            ]
            label = torch.tensor([model.task.labels.index(name)])
            scores = model.module(torch.tensor(ids)[:, None], label=label)[0][-1, 0]
            wanted = scores.softmax(-1).tolist()
            assert list(stream.step(" ").values()) == pytest.approx(wanted, rel=1e-4, abs=1e-6)
        assert model.stream(label=name).step(other[0])[other[1]] < 1


@pytest.mark.parametrize("predictor", ["model", "5-gram Kneser-Ney of each label"])
def test_words_are_suggested_in_the_manner_of_the_label(run: Any, predictor: str) -> None:
    model = elman.load(run.path, predictor=predictor)
    for name, words in WORDS.items():
        board = model.keyboard(label=name)
        for text in ("", words[0]):
            [first] = board.suggest(text, 1)
            [wanted] = model.complete(text, n=1, label=name)
            assert first.adds == wanted["text"]
            assert first.probability == pytest.approx(wanted["probability"], rel=1e-4)
            assert first.text.strip() in words.split()


def test_a_label_that_is_not_there_is_refused(run: Any) -> None:
    model = run.model
    with pytest.raises(InputError, match=r"no label 'seo'. Did you mean 'sea'"):
        model.generate(label="seo")
    for ask in (model.generate, model.stream, lambda: model.complete("a")):
        with pytest.raises(InputError, match=r"none is named. Name one with --label: hill, sea"):
            ask()
    task, bare = made(table()[["text"]], label=None)
    with pytest.raises(InputError, match="trained without labels"):
        task.generate(bare, label="sea")


@pytest.mark.fuzz
def test_a_run_with_labels_is_loaded_scored_and_examined(run: Any) -> None:
    again = elman.evaluate(run.path)
    assert again["test"]["label_identity"] == run.results["test"]["label_identity"]
    name = "bits_per_character: sea"
    assert again["test"][name] == pytest.approx(run.results["test"][name], rel=1e-5)
    said = run.model.predict(table(2, seed_=5))
    assert said["label"].tolist() == table(2)["place"].tolist()
    swapped = table(2, seed_=5).replace({"sea": "hill", "hill": "sea"})
    worse = run.model.predict(swapped)["bits_per_character"] > said["bits_per_character"]
    assert worse.tolist() == [True] * 4 + [False] * 2
    assert doctor.of_run(run.path, rows=8).layers


@pytest.mark.fuzz
def test_the_label_is_named_on_the_command_line(run: Any, elman: Any) -> None:
    done = elman("generate", run.path, "--label", "town", "-n", 30, "-t", 0)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] in WORDS["town"].split()
    done = elman("generate", run.path, "--label", "tow")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "Did you mean 'town'?" in done.stderr
