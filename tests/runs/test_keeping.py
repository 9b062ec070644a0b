"""Kept baselines, blends and calibrated probabilities: used, mixed, refused."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

import elman
from elman.errors import InputError
from elman.runs.folder import Run
from elman.runs.keeping import Kept
from elman.scoring.blending import Blend
from elman.tasks.generate.costs import nats_of
from elman.tasks.generate.language_model import costs

SMALL = {"hidden_size": 8, "num_layers": 1, "batch_size": 8, "resamples": 30, "cell": "gru"}


def sentences(count, seed=0):
    rng = np.random.default_rng(seed)
    words = np.array(["film", "plot", "music", "a", "slow", "with"])
    rows = []
    for _ in range(count):
        good = rng.random() < 0.5
        told = "splendid" if good != (rng.random() < 0.1) else "dreadful"
        rows.append((" ".join([*rng.choice(words, 4), told]), "good" if good else "bad"))
    return pd.DataFrame(rows, columns=["text", "label"])


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    """A classifier of sentences, and the file that it was trained on."""
    folder = tmp_path_factory.mktemp("reviews")
    sentences(240).to_csv(folder / "data.csv", index=False)
    how = {**SMALL, "max_steps": 60, "embedding_size": 8, "bidirectional": False, "lr": 0.02}
    return elman.train("classify", folder / "data.csv", folder / "run", progress=False, **how)


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    """A language model of a small grammar that has learnt a part of it."""
    rng = np.random.default_rng(0)
    names, verbs = ["the cat", "a dog", "one bird"], ["sees", "likes", "fears"]
    lines = [f"{rng.choice(names)} {rng.choice(verbs)} {rng.choice(names)}." for _ in range(400)]
    folder = tmp_path_factory.mktemp("writer")
    (folder / "grammar.txt").write_text("\n".join(lines))
    how = {**SMALL, "max_steps": 40, "k1": 20}
    return elman.train("generate", folder / "grammar.txt", folder / "run", progress=False, **how)


def test_nothing_in_the_folder_of_baselines_is_a_pickle(reviews):
    folder = reviews.path / "predictors"
    assert {file.suffix for file in folder.iterdir()} == {".json", ".safetensors"}
    for file in folder.iterdir():
        load_file(file) if file.suffix == ".safetensors" else json.loads(file.read_text())


@pytest.mark.parametrize(
    "name", ["NB-SVM", "nb", "tf-idf + logistic regression", "TF", " majority"]
)
def test_a_baseline_is_found_by_the_beginning_of_its_name(reviews, name):
    named = elman.load(reviews.path, predictor=name).predictor.name
    assert named.lower().startswith(name.strip().lower())


def test_a_name_that_is_none_or_several_lists_those_there_are(reviews):
    with pytest.raises(InputError, match=r"beginning of several names. Choose from 'model', 'maj"):
        elman.load(reviews.path, predictor="m")
    for unknown in ("gradient", ""):
        with pytest.raises(InputError, match=r"no predictor.*'blend', 'best', 'majority', .*'NB-S"):
            elman.load(reviews.path, predictor=unknown)


def test_best_is_what_the_verdict_recommends(reviews, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(reviews.path, run)
    results = json.loads((run / "results.json").read_text())
    for name in (*results["baselines"], "model"):
        (run / "results.json").write_text(json.dumps(results | {"recommended": name}))
        best, named = (elman.load(run, predictor=one).predict(["a"]) for one in ("best", name))
        pd.testing.assert_frame_equal(best, named)


def test_baselines_are_scored_on_new_data_without_the_old(reviews, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(reviews.path, run)
    config = (run / "config.yaml").read_text().replace("data.csv", "gone.csv")
    (run / "config.yaml").write_text(config)
    new = sentences(40, seed=7)
    found = elman.evaluate(run, new)
    theirs = reviews.model.task.baselines(new)
    assert found["baselines"] == {name: one.metrics for name, one in theirs.items()}
    assert "Baselines were not run" not in found.get("note", "")


def test_nothing_is_fitted_again_where_baselines_are_kept(reviews, monkeypatch):
    def refuse(*_):
        raise AssertionError("fitted again")

    monkeypatch.setattr(type(reviews.model.task), "fit_baselines", refuse)
    again = elman.evaluate(reviews.path)
    for part in again:
        assert again[part] == reviews.results[part]


def test_a_run_from_before_fits_its_baselines_again(reviews, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(reviews.path, run)
    shutil.rmtree(run / "predictors")
    found = elman.evaluate(run)
    assert found["baselines"] == reviews.results["baselines"]
    with pytest.raises(InputError, match=r"no predictor.*made before baselines were kept"):
        elman.load(run, predictor="majority")
    # A model without its temperature says the same classes.
    asked = sentences(30, seed=3)
    said = [elman.load(one).predict(asked)["prediction"].tolist() for one in (run, reviews.path)]
    assert said[0] == said[1]


def test_a_damaged_baseline_is_named(reviews, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(reviews.path, run)
    (run / "predictors" / "nb-svm.safetensors").write_bytes(b"no tensors")
    with pytest.raises(InputError, match=r"nb-svm.safetensors: .*missing or damaged"):
        elman.load(run, predictor="NB-SVM")
    elman.load(run, predictor="majority")


def test_probabilities_are_calibrated_and_no_answer_changes(reviews):
    task, asked = reviews.model.task, sentences(60, seed=5)
    found, temperature = reviews.model.predict(asked, proba=True), task.temperature
    task.recall({"temperature": None})
    raw = reviews.model.predict(asked, proba=True)
    task.recall({"temperature": temperature})
    assert found["prediction"].tolist() == raw["prediction"].tolist()
    odds = [np.log(one["p_good"] / one["p_bad"]).to_numpy(np.float64) for one in (found, raw)]
    np.testing.assert_allclose(odds[0] * temperature, odds[1], rtol=1e-4, atol=1e-6)
    # A stream says the same, and so does a model that is loaded again.
    stream = elman.load(reviews.path).stream()
    for word in asked["text"][0].split():
        said = stream.step(word)
    assert said["good"] == pytest.approx(found["p_good"][0], rel=1e-4)
    again = elman.load(reviews.path).predict(asked, proba=True)
    np.testing.assert_allclose(again["p_good"], found["p_good"], rtol=1e-5)
    calibrated = reviews.results["calibration"]
    assert calibrated["temperature"] == temperature
    report = (reviews.path / "report.html").read_text()
    assert "Can the probabilities be believed?" in report
    assert f"{calibrated['error_uncalibrated']:.3f}" in report


def test_answers_below_the_threshold_are_left_empty(reviews):
    model, asked = elman.load(reviews.path, predictor="NB-SVM"), sentences(60, seed=6)
    whole = model.predict(asked)
    least = float(whole["probability"].median())
    some = model.predict(asked, abstain=least)
    given = (whole["probability"] >= least).to_numpy()
    assert 0 < given.sum() < len(given)
    assert some["prediction"].isna().to_numpy().tolist() == (~given).tolist()
    assert some["prediction"][given].tolist() == whole["prediction"][given].tolist()
    with pytest.raises(InputError, match=r"abstain=1\.5 is no probability"):
        model.predict(asked, abstain=1.5)


def test_the_accuracy_of_answered_examples_is_that_of_the_surest(reviews):
    said = pd.read_parquet(reviews.path / "predictions.parquet")
    right = said["prediction"] == said["truth"]
    for row in reviews.results["calibration"]["answered"]:
        given = said["probability"] >= row["confidence"] - 1e-7
        assert given.mean() == pytest.approx(row["answered"])
        assert right[given].mean() == pytest.approx(row["accuracy"])


def test_a_blend_mixes_probabilities(reviews):
    kept = Kept.of(Run(reviews.path), reviews.model.task)
    base = kept.predictor("tf-idf + logistic regression")
    task, asked = reviews.model.task, sentences(20, seed=9)
    ours, theirs = (task.predict(one, asked) for one in (reviews.model.module, base))
    mixed = task.predict(Blend(reviews.model.module, base, 0.3), asked)
    for name in ("p_good", "p_bad"):
        expected = 0.3 * ours[name] + 0.7 * theirs[name]
        np.testing.assert_allclose(mixed[name], expected, rtol=1e-6)


def test_the_blend_is_chosen_on_the_validation_part_alone(reviews):
    task, module = reviews.model.task, reviews.model.module
    before = task.blend(module, task.predictors())
    test = task._parts.pop("test")
    try:
        again = task.blend(module, task.predictors())
    finally:
        task._parts["test"] = test
    assert isinstance(before, Blend) == isinstance(again, Blend)
    if isinstance(before, Blend):
        assert (before.name, before.weight) == (again.name, again.weight)


def test_without_a_validation_part_there_is_no_blend_and_no_temperature(tmp_path):
    how = {**SMALL, "max_steps": 4, "embedding_size": 8, "valid_fraction": 0.0}
    run = elman.train("classify", sentences(60), tmp_path / "run", progress=False, **how)
    assert "no validation part" in run.results["blend"]["none"]
    assert run.results["calibration"]["temperature"] is None
    assert (
        "there is no validation part to find the weight" in (run.path / "report.html").read_text()
    )
    with pytest.raises(InputError, match="no blend: there is no validation part"):
        elman.load(run.path, predictor="blend")
    # Margins are no probabilities until something has calibrated them.
    svm = elman.load(run.path, predictor="NB-SVM")
    assert "probability" not in svm.predict(sentences(5))
    with pytest.raises(InputError, match="no probability, so none can be left out"):
        svm.predict(sentences(5), abstain=0.5)


def test_a_blended_stream_says_what_the_blend_costs(writer):
    task, module = writer.model.task, writer.model.module
    grams = task.predictors()[2]
    blend = Blend(module, grams, 0.4)
    text = "the cat sees a dog.\none bird fears"
    ids = np.concatenate([[task.vocabulary.bos], task.vocabulary.encode(text)])
    for used in (blend, grams):
        stream, said = task.stream(used), []
        moved = task.stream(used)
        chances = None
        for place, letter in enumerate(text):
            if chances is not None:
                said.append(chances[letter])
            if place == len(text) // 2:
                moved.restore(stream.snapshot())
                stream = moved
            chances = stream.step(letter)
        tokens = type(task._tokens["test"])(ids, np.array([0]))
        nats = nats_of(task, used, tokens, {})[1:]
        np.testing.assert_allclose(-np.log(said), nats, rtol=1e-4, atol=1e-5)


def test_a_blend_of_tokens_is_a_linear_interpolation(writer):
    task, module = writer.model.task, writer.model.module
    grams, tokens = task.predictors()[1], task._tokens["test"]
    mixed = nats_of(task, Blend(module, grams, 0.25), tokens, {})
    ours, theirs = costs(module, tokens), grams.shared.nll(tokens.ids, tokens.starts)[3]
    np.testing.assert_allclose(
        np.exp(-mixed), 0.25 * np.exp(-ours) + 0.75 * np.exp(-theirs), rtol=1e-9
    )


def test_text_is_written_with_counts_and_with_a_blend(writer):
    grams = elman.load(writer.path, predictor="9-gram")
    text = grams.generate("the ", length=60, temperature=0.5)[0]
    assert text.startswith("the cat")
    assert grams.complete("the c", n=1)[0]["text"] == "at"
    alone = elman.load(writer.path).generate("the ", length=60, temperature=0.5)
    assert alone == writer.model.generate("the ", length=60, temperature=0.5)
    if "with" in writer.results["blend"]:
        mixed = elman.load(writer.path, predictor="blend")
        assert len(mixed.generate("the ", length=30, samples=2)) == 2


def test_a_snapshot_of_other_counts_is_refused(writer):
    first, second = (elman.load(writer.path, predictor=f"{n}-gram").stream() for n in (5, 9))
    with pytest.raises(InputError, match="snapshot"):
        second.restore(first.snapshot())


def test_what_needs_a_whole_sequence_cannot_stream(reviews):
    with pytest.raises(InputError, match=r"NB-SVM needs the whole sequence, so it cannot stream"):
        elman.load(reviews.path, predictor="NB-SVM").stream()


def test_numbers_have_no_probability_to_abstain_by(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 3))
    table = pd.DataFrame(x, columns=list("abc")).assign(y=x @ [1.0, 2.0, 3.0])
    how = {**SMALL, "max_steps": 5, "modality": "number", "target": "y"}
    run = elman.train("regress", table, tmp_path / "run", progress=False, **how)
    with pytest.raises(InputError, match="answers of regress have no probability"):
        run.model.predict(table, abstain=0.5)
    assert run.results["recommended"] == "ridge regression"
    best = elman.load(run.path, predictor="best").predict(table)
    np.testing.assert_allclose(best["prediction"], table["y"], rtol=0.05, atol=0.2)
    # Blending a model that knows nothing with the truth leaves the truth.
    task, base = (
        run.model.task,
        Kept.of(Run(run.path), run.model.task).predictor("ridge regression"),
    )
    ours, theirs = (task.predict(one, table) for one in (run.model.module, base))
    mixed = task.predict(Blend(run.model.module, base, 0.3), table)
    for name in ("prediction", "q0.1", "q0.9"):
        np.testing.assert_allclose(mixed[name], 0.3 * ours[name] + 0.7 * theirs[name], rtol=1e-9)


def test_a_forecast_is_made_by_what_won_and_an_old_run_says_that_it_kept_nothing(tmp_path):
    from elman.tasks import TASKS

    data = TASKS["forecast"].example("series", 60)
    how = {"hidden_size": 4, "max_steps": 2, "resamples": 10, "horizon": 5}
    run = elman.train("forecast", data, tmp_path / "run", progress=False, **how)
    found = elman.load(run.path, predictor="last value").predict(data)
    assert found["forecast"].tolist() == [data["sales"].iloc[-1]] * 5
    best = elman.load(run.path, predictor="best").predict(data)
    assert run.results["recommended"] != "model"
    assert best["forecast"].between(0, 20).all()
    with pytest.raises(InputError, match="needs the history before a window too"):
        elman.load(run.path, predictor="drift").stream()
    shutil.rmtree(run.path / "predictors")
    with pytest.raises(InputError, match="made before baselines were kept"):
        elman.load(run.path, predictor="last value")
