"""Several labels an example: every way in which people write them, and what a run does."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch

import elman
from elman.cli import arguments, show
from elman.data.table import build
from elman.errors import InputError
from elman.tasks.classify.label_sets import LabelSets
from elman.tasks.classify.several_labels import SeveralLabels
from elman.tasks.classify.task import Classify
from elman.tasks.settings import settings_of
from elman.training import fit

WORDS = {"war": ["battle", "gun"], "love": ["kiss", "heart"], "sea": ["wave", "ship"]}
SMALL = {"hidden_size": 12, "embedding_size": 12, "resamples": 20, "batch_size": 16}


def examples(n=160, empty=True):
    rng = np.random.default_rng(0)
    made = []
    for _ in range(n):
        labels = [name for name in WORDS if rng.random() < 0.4]
        if not labels and not empty:
            labels = ["sea"]
        words = [
            *rng.choice(["and", "so", "then", "of"], 4),
            *(rng.choice(WORDS[x]) for x in labels),
        ]
        made.append((" ".join(rng.permutation(words)), labels))
    return made


def read(data, **told):
    return Classify.from_data(data, settings_of(Classify, SMALL | {"max_steps": 2} | told))


def json_lines(folder, rows):
    path = folder / "lists.jsonl"
    path.write_text("".join(json.dumps({"text": t, "labels": x}) + "\n" for t, x in rows))
    return path, {}


def parted(folder, rows):
    path = folder / "parted.csv"
    cells = [" | ".join(x[:2]) + ("; " + x[2] if x[2:] else "") for _, x in rows]
    pd.DataFrame({"text": [t for t, _ in rows], "topics": cells}).to_csv(path, index=False)
    return path, {"label_separator": ";|", "target": "topics"}


def columns(folder, rows):
    path = folder / "columns.csv"
    marks = {name: [str(name in x).lower() if name == "sea" else int(name in x) for _, x in rows]
             for name in WORDS}  # fmt: skip
    pd.DataFrame({"text": [t for t, _ in rows]} | marks).to_csv(path, index=False)
    return path, {"target": list(WORDS)}


def printed(folder, rows):
    path = folder / "printed.csv"
    pd.DataFrame(rows, columns=["text", "labels"]).to_csv(path, index=False)
    return path, {}


@pytest.mark.parametrize("write", [json_lines, parted, columns, printed])
def test_every_way_of_writing_gives_the_same_sets(write, tmp_path):
    rows = examples()
    data, told = write(tmp_path, rows)
    task = read(data, test_fraction=0.0, valid_fraction=0.0, **told)
    assert isinstance(task, SeveralLabels)
    found = dict(zip(task._parts["train"].inputs, task._parts["train"].answers, strict=True))
    assert found == {text: tuple(sorted(labels)) for text, labels in rows}
    assert task.classes == ["love", "sea", "war"]
    said = str(task.understood())
    assert f"{sum(not x for _, x in rows)} have none" in said


def test_lines_for_fasttext_with_several_labels(tmp_path):
    rows = examples(empty=False)
    path = tmp_path / "fast.txt"
    lines = [" ".join(f"__label__{x}" for x in labels) + f" {text}\n" for text, labels in rows]
    path.write_text("".join(lines))
    task = read(path, test_fraction=0.0, valid_fraction=0.0)
    assert isinstance(task, SeveralLabels)
    assert task._parts["train"].answers == [tuple(sorted(labels)) for _, labels in rows]
    assert task.answer.never_empty
    lines_said = dict(task.understood().lines)
    assert "its labels are its first words, each behind __label__" in lines_said["read"]
    assert lines_said["answer"] == "the first words of each line"
    model = task.build()
    some = tmp_path / "new.txt"
    some.write_text("".join(lines[:5]))
    assert task.predict(model, some)["text"].tolist() == [text for text, _ in rows[:5]]
    one = tmp_path / "one.txt"
    one.write_text("__label__sea a wave\n__label__war the gun\n")
    assert len(task.evaluate(model, one).units) == 2
    path.write_text(lines[0] + "__label__sea __label__war\n")
    with pytest.raises(InputError, match="row 2: The line has labels and no text"):
        read(path)


def prodigy(text, labels):
    chosen = {"options": [], "accept": list(labels), "answer": "accept"}
    return json.dumps({"text": text} | chosen)


def studio(text, labels):
    result = {"from_name": "label", "type": "choices", "value": {"choices": list(labels)}}
    return json.dumps({"data": {"text": text}, "annotations": [{"result": [result]}]})


def fast(text, labels):
    return " ".join([*(f"__label__{x}" for x in labels), text])


@pytest.mark.parametrize("line", [prodigy, studio, fast])
@pytest.mark.parametrize("parts", [("train", "test"), ("one", "two")])
def test_whether_a_row_has_several_labels_is_settled_for_all_files(tmp_path, line, parts):
    rows = examples(empty=False)
    single = [(text, labels[:1]) for text, labels in rows]
    for part, some in zip(parts, (single, rows[:40]), strict=True):
        lines = "".join(f"{line(*row)}\n" for row in some)
        (tmp_path / f"{part}.{'txt' if line is fast else 'jsonl'}").write_text(lines)
    task = read(tmp_path)
    assert isinstance(task, SeveralLabels)
    assert task.classes == ["love", "sea", "war"]
    answers = [one for found in task._parts.values() for one in found.answers]
    assert len(answers) == 200
    assert sum(len(one) > 1 for one in answers) == sum(len(x) > 1 for _, x in rows[:40]) > 0
    assert not any("first word" in doubt for doubt in task.understood().doubts)


def test_numbers_of_labels_and_labels_for_each_step_are_told_apart():
    texts = [text for text, _ in examples(40)]
    table = pd.DataFrame({"text": texts, "labels": [[k % 3, 7] for k in range(40)]})
    task = read(table)
    assert isinstance(task, SeveralLabels)
    assert task.classes == ["0", "1", "2", "7"]
    steps = pd.DataFrame(
        {"tokens": [t.split() for t in texts], "labels": [["O"] * len(t.split()) for t in texts]}
    )
    assert LabelSets.guess(build(steps, []), ["tokens", "labels"]) is None
    one = pd.DataFrame({"text": texts, "label": ["a", "b"] * 20})
    assert not isinstance(read(one), SeveralLabels)


@pytest.mark.parametrize(
    ("table", "told", "match"),
    [
        ({"a": [0, 1, 2] * 10, "b": [0, 1, 1] * 10}, {"target": ["a", "b"]}, "row 3.*neither 0"),
        ({"labels": [["a"], ["b"]] * 15}, {"label_separator": ";"}, "in lists already"),
        ({"a": [0, 1] * 15, "b": [1, 1] * 15}, {"target": ["a", "b"], "label_separator": ";"},
         "label_separator has no effect"),
        ({"labels": [["a", "b"]] * 30}, {}, "All 30 examples have the labels a, b"),
        ({"labels": [[f"x{k}"] for k in range(30)]}, {}, "30 different labels"),
        ({"labels": [["a"], None, ["b"]] * 10}, {}, "row 2.*list of labels is missing"),
    ],
)  # fmt: skip
def test_what_is_refused(table, told, match):
    texts = [f"word{k} and so" for k in range(30)]
    with pytest.raises(InputError, match=match):
        read(pd.DataFrame({"text": texts} | table), **told)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    data, _ = json_lines(folder, examples(240))
    told = SMALL | {"lr": 0.02, "max_steps": 110, "dropout": 0.0}
    return elman.train("classify", data, folder / "run", progress=False, **told), data


def test_a_run_learns_is_judged_and_says_the_same_again(run):
    finished, data = run
    results = finished.results
    assert results["metric"] == "micro_f1"
    assert results["test"]["micro_f1"] > 0.9
    assert {"macro_f1", "average_precision", "exact_match"} <= set(results["test"])
    assert set(results["baselines"]) == {
        "most frequent set",
        "tf-idf + logistic regression for each label",
        "NB-SVM for each label",
    }
    low, high = results["ci95"]["average_precision"]
    assert low <= results["test"]["average_precision"] <= high
    again = elman.evaluate(finished.path)
    assert again["test"] == results["test"]
    assert again["baselines"] == results["baselines"]
    page = (finished.path / "report.html").read_text()
    assert "average precision" in page
    model = elman.load(finished.path)
    table = model.predict(data, proba=True)
    for _, row in table.iterrows():
        chances = [row[f"p_{name}"] for name in row["prediction"]]
        assert chances == sorted(chances, reverse=True)
        np.testing.assert_allclose(row["probabilities"], chances, atol=1e-6)
    kept = {name: model.task.thresholds[k] for k, name in enumerate(model.task.classes)}
    for name, cut in kept.items():
        given = table["prediction"].map(lambda labels, name=name: name in labels)
        assert (given == (table[f"p_{name}"] >= cut)).all()
    brief = model.predict(["a wave and a kiss"])
    assert set(brief["prediction"][0]) == {"love", "sea"}
    steps = model.predict(["so a kiss then"], why=True)["why"][0]
    assert max(steps, key=lambda pair: pair[1])[0].strip() == "kiss"
    lines = show.as_csv(brief).splitlines()
    assert lines[0] == "row,prediction,probabilities"
    assert '""love""' in lines[1]
    with pytest.raises(InputError, match="no probability"):
        model.predict(data, abstain=0.5)
    strange = pd.DataFrame({"text": ["a"], "labels": [["nothing"]]})
    with pytest.raises(InputError, match="None of the labels, such as 'nothing'"):
        elman.evaluate(finished.path, strange)


def test_scores_begin_at_the_odds_of_the_labels_and_the_loss_is_of_each():
    task = read(pd.DataFrame(examples(100), columns=["text", "labels"]))
    torch.manual_seed(0)
    model = task.build()
    truth = task._truth(task._parts["train"])
    bias = model.head[-1].bias.detach().sigmoid().numpy()
    np.testing.assert_allclose(bias, truth.mean(0), atol=1e-6)
    outputs, answers = torch.tensor([[2.0, -1.0, 0.0]]), torch.tensor([[1.0, 0.0, 1.0]])
    wanted = sum(np.log1p(np.exp(-x)) for x in (2.0, 1.0, 0.0))
    assert task.cost(outputs, answers, torch.ones(1)).item() == pytest.approx(wanted, rel=1e-6)


@pytest.mark.fuzz
def test_series_have_several_labels_too():
    rng = np.random.default_rng(0)
    series, marks = [], rng.random((120, 2)) < 0.5
    for low, high in marks:
        t = np.arange(30)
        wave = low * np.sin(t / 5 + rng.uniform(0, 6)) + high * np.sin(t * 1.5 + rng.uniform(0, 6))
        series.append((wave + rng.normal(0, 0.1, 30))[:, None])
    names = [[n for n, yes in zip(("slow", "fast"), row, strict=True) if yes] for row in marks]
    table = pd.DataFrame({"series": series, "labels": names})
    how = {"hidden_size": 16, "epochs": 12, "lr": 0.02, "batch_size": 16, "test_fraction": 0.25}
    task = Classify.from_data(table, settings_of(Classify, how | {"bidirectional": False}))
    torch.manual_seed(0)
    model = task.build()
    fit(task.objective(model), task.batches(), task.settings)
    task.settle(model)
    assert task.evaluate(model).metrics["micro_f1"] > 0.85
    baselines = {n: e.metrics["micro_f1"] for n, e in task.baselines().items()}
    assert baselines["MiniRocket + ridge"] > 0.9
    assert any("nearest" in name for name in baselines)
    stream = task.stream(model)
    for value in series[0]:
        said = stream.step(value)
    whole = task.chances(model, [task.codec.encode(series[0])])[0]
    np.testing.assert_allclose(list(said.values()), whole, atol=1e-5)


def test_marks_are_read_as_they_are_written():
    found = arguments.settings_given("classify", ["label_separator=|", "target=[a, b]"], None, None)
    assert found == {"label_separator": "|", "target": ["a", "b"]}


def test_a_mark_that_stands_in_no_cell_is_refused(tmp_path):
    path, told = parted(tmp_path, examples())
    with pytest.raises(InputError, match=r"label_separator=/ has no effect: .* has '\|'"):
        read(path, **told | {"label_separator": "/"})


def test_labels_that_differ_in_case_are_doubted():
    rows = [(text, [*labels, "Sea"][:2]) for text, labels in examples()]
    table = pd.DataFrame({"text": [t for t, _ in rows], "labels": [x for _, x in rows]})
    assert any("only in how they are written" in one for one in read(table).understood().doubts)


def places(folder, rows):
    path = folder / "places.jsonl"
    marks = [[int(name in x) for name in WORDS] for _, x in rows]
    lines = [{"text": t, "labels": x} for (t, _), x in zip(rows, marks, strict=True)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_rows_of_0_and_1_say_which_labels_an_example_has(tmp_path):
    rows = examples()
    texts, marks = [t for t, _ in rows], np.array([[n in x for n in WORDS] for _, x in rows])
    right = [tuple(str(place) for place, yes in enumerate(one) if yes) for one in marks]
    written = pd.DataFrame({"text": texts, "labels": [str(one.astype(int)) for one in marks]})
    for given in ((texts, marks), (texts, marks.astype(int).tolist()), places(tmp_path, rows)):
        task = read(given, test_fraction=0, valid_fraction=0)
        assert task.answer.classes == ["0", "1", "2"]
        assert task._parts["train"].answers == right
    task = read(written, test_fraction=0, valid_fraction=0)
    assert task._parts["train"].answers == right
    series = np.random.default_rng(0).normal(size=(len(rows), 8, 2))
    found = Classify.from_data((series, marks), settings_of(Classify, {"max_steps": 2}))
    assert found.answer.classes == task.answer.classes


def test_one_1_a_row_is_one_class_and_no_set_of_labels(tmp_path):
    rows = [(t, [["war", "love", "sea"][i % 3]]) for i, (t, _) in enumerate(examples())]
    with pytest.raises(InputError, match=r"places.jsonl.*'labels'.*single 1, for the class"):
        read(places(tmp_path, rows))
    texts = [t for t, _ in rows]
    table = pd.DataFrame(np.eye(3)[np.arange(len(rows)) % 3], columns=list("abc"))
    with pytest.raises(InputError, match=r"y is a DataFrame. Put X and its columns"):
        read((texts, table))


def test_a_column_of_empty_lists_is_left_out(tmp_path):
    path = tmp_path / "doccano.jsonl"
    lines = [{"text": t, "label": x, "Comments": []} for t, x in examples()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    task = read(path)
    assert task.layout.left_out["Comments"] == "its lists are empty"
    assert task.layout.inputs == ("text",)
