"""`classify` learns what can be learnt, answers alike in every way of asking, and streams."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_f1_score

from elman.errors import InputError
from elman.modalities import steps
from elman.modalities.base import Padded
from elman.scoring import confusion
from elman.tasks import networks
from elman.tasks.classify.task import Classify
from elman.tasks.settings import settings_of
from elman.training import fit

SMALL = {"hidden_size": 12, "lr": 0.01, "batch_size": 16}
TEXT = {"embedding_size": 12}


def ClassifySettings(**told):
    return settings_of(Classify, told)


def trained(data, **told):
    texts = not hasattr(data, "columns") or not {"series", "picture"} & set(data.columns)
    wanted = ClassifySettings(**(SMALL | (TEXT if texts else {}) | told))
    task = Classify.from_data(data, wanted)
    torch.manual_seed(0)
    model = task.build()
    fit(task.objective(model), task.batches(), task.settings)
    return task, model.eval()


def accuracy(task: Classify, model: torch.nn.Module) -> float:
    return task.evaluate(model).metrics["accuracy"]


def notices(n: int = 160) -> pd.DataFrame:
    """Texts whose label is the later one of two words: neither counts nor neighbours tell it."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(n):
        first, last = rng.permutation(["rise", "fall"])
        fill, more = (list(rng.choice(["and", "so", "then"], rng.integers(1, 4))) for _ in "ab")
        rows.append((" ".join(["prices", *fill, first, *more, last, *fill]), f"ends in {last}"))
    return pd.DataFrame(rows, columns=["text", "label"])


def waves(n: int = 90) -> pd.DataFrame:
    """Two channels of unequal length; the label is which of the two leads the other."""
    rng = np.random.default_rng(1)
    series, labels = [], []
    for _ in range(n):
        t = np.arange(rng.integers(15, 25)) * 0.7 + rng.uniform(0, 6)
        lead = rng.choice([-1, 1])
        series.append(np.stack([np.sin(t), np.sin(t + 1.2 * lead)], 1) * 50 + 7)
        labels.append("first" if lead < 0 else "second")
    return pd.DataFrame({"series": series, "label": labels})


def test_the_order_of_words_is_learnt_where_counts_say_nothing():
    task, model = trained(notices(), epochs=12, test_fraction=0.3)
    assert accuracy(task, model) > 0.95
    baselines = {name: e.metrics["accuracy"] for name, e in task.baselines().items()}
    assert set(baselines) == {"majority", "tf-idf + logistic regression", "NB-SVM"}
    assert max(baselines.values()) < 0.8


def test_series_of_unequal_length_are_learnt():
    task, model = trained(waves(), epochs=9, test_fraction=0.3)
    assert accuracy(task, model) > 0.95
    baselines = task.baselines()
    assert baselines["1-nearest neighbour, DTW"].metrics["accuracy"] > 0.5
    assert len({len(e.units) for e in baselines.values()}) == 1


def test_rows_of_pictures_are_learnt_with_a_convolution():
    rng = np.random.default_rng(2)
    pictures, labels = [], []
    for _ in range(120):
        picture = rng.integers(0, 60, (8, 6), dtype=np.uint8)
        upper = rng.random() < 0.5
        picture[rng.integers(0, 3) + (0 if upper else 5), 1:5] = 255
        pictures.append(picture)
        labels.append("upper" if upper else "lower")
    data = pd.DataFrame({"picture": pictures, "label": labels})
    task, model = trained(data, epochs=8, front_channels=[4], front_kernel=3, pooling="last")
    assert task.layout.modality == "image"
    assert accuracy(task, model) == 1.0
    assert set(task.baselines()) == {
        "majority",
        "1-nearest neighbour",
        "logistic regression on pixels",
    }


def test_series_are_learnt_through_normalised_convolutions():
    front = {"front_channels": [8, 12], "front_kernel": [5, 3], "front_stride": [2, 1]}
    task, model = trained(waves(), epochs=9, test_fraction=0.3, **front, front_norm="instance")
    assert [layer.weight.shape[2] for layer in model.front.layers] == [5, 3]
    assert accuracy(task, model) > 0.95


def test_a_list_of_kernels_has_one_for_each_convolution():
    with pytest.raises(InputError, match="front_kernel has 3 entries, front_channels 2"):
        settings_of(Classify, {"front_channels": [8, 8], "front_kernel": [8, 5, 3]})


def test_names_are_read_by_characters():
    rng = np.random.default_rng(3)
    names = ["".join(rng.choice(list("aeioukst"), 5)) + end for end in ("ov", "ez") * 60]
    task, model = trained(
        pd.DataFrame({"name": names, "language": ["ru", "es"] * 60}), epochs=8, text="name"
    )
    assert task.settings.unit == "characters"
    assert accuracy(task, model) == 1.0


@pytest.fixture(scope="module")
def run() -> tuple[Classify, torch.nn.Module]:
    return trained(notices(80), epochs=2, bidirectional=False, pooling="mean")


def test_a_finished_run_answers_as_the_task_that_made_it(run):
    task, model = run
    again = Classify.from_assets(task.settings, json.loads(json.dumps(task.assets())))
    copy = again.build()
    copy.load_state_dict(model.state_dict())
    asked = notices(10).drop(columns="label")
    pd.testing.assert_frame_equal(
        task.predict(model, asked), again.predict(copy.eval(), asked), check_exact=True
    )


def test_predictions_are_probabilities_of_every_class(run):
    task, model = run
    found = task.predict(model, notices(6))
    assert list(found.columns) == [
        "row", "text", "prediction", "probability", "p_ends in fall", "p_ends in rise",
    ]  # fmt: skip
    chances = found[["p_ends in fall", "p_ends in rise"]].to_numpy()
    np.testing.assert_allclose(chances.sum(1), 1, rtol=1e-6)
    np.testing.assert_array_equal(found["probability"], chances.max(1))


def test_an_answer_does_not_depend_on_what_stands_beside_it(run):
    task, model = run
    texts = pd.DataFrame({"text": ["prices rise", "?", "qqq", "prices " * 30 + "fall"]})
    together = task.predict(model, texts)["probability"]
    alone = [task.predict(model, texts.iloc[[i]])["probability"].item() for i in range(4)]
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_scores_on_new_data_and_a_class_never_seen(run):
    task, model = run
    assert len(task.evaluate(model, notices(9)).units) == 9
    odd = notices(9).replace("ends in fall", "sideways")
    with pytest.raises(InputError, match=r"'sideways'.*not among the 2 classes"):
        task.evaluate(model, odd)


def test_predictions_of_plain_text_with_and_without_labels(tmp_path):
    lines = [f"{label.split()[-1]} {text}" for text, label in notices(60).to_numpy()]
    file = tmp_path / "labelled.txt"
    file.write_text("\n".join(lines))
    task, model = trained(file, epochs=1)
    bare = tmp_path / "bare.txt"
    bare.write_text("\n".join(line.split(" ", 1)[1] for line in lines))
    np.testing.assert_array_equal(
        task.predict(model, file)["probability"], task.predict(model, bare)["probability"]
    )


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_stream_says_at_each_step_what_the_whole_would(pooling, cell):
    data = waves(12)
    told = {"bidirectional": False, "pooling": pooling, "cell": cell, "num_layers": 2}
    task, model = trained(data, epochs=1, test_fraction=0.2, **told)
    stream = task.stream(model)
    series = data["series"][0]
    for end in range(1, len(series) + 1):
        chances = stream.step(series[end - 1])
        whole = task.predict(model, pd.DataFrame({"series": [series[:end]]}))
        for name, chance in chances.items():
            assert chance == pytest.approx(whole[f"p_{name}"].item(), abs=1e-5)


def test_a_stream_of_words(run):
    task, model = run
    stream = task.stream(model)
    chances = stream.step("prices fall and")
    chances = stream.step("rise")
    whole = task.predict(model, pd.DataFrame({"text": ["prices fall and rise"]}))
    assert chances["ends in rise"] == pytest.approx(whole["p_ends in rise"].item(), abs=1e-6)
    with pytest.raises(InputError, match="nothing to read"):
        stream.step("")


def test_an_ensemble_is_the_mean_of_its_members_whole_and_streamed():
    data = waves(12)
    told = {"bidirectional": False, "members": 3, "test_fraction": 0.2}
    task, model = trained(data, epochs=1, **told)
    series = data["series"][0]
    asked = task._encode([series])
    each = [task.chances(member, asked)[0] for member in model.members]
    assert np.ptp(each, axis=0).max() > 1e-4, "members should differ"
    np.testing.assert_allclose(task.chances(model, asked)[0], np.mean(each, 0), rtol=1e-5)
    stream = task.stream(model)
    for step in series:
        chances = stream.step(step)
    np.testing.assert_allclose(
        [chances[name] for name in task.classes], np.mean(each, 0), rtol=1e-4
    )


def test_a_series_slides_within_its_length():
    inputs = torch.arange(1.0, 9.0).repeat(40, 1)[..., None]
    lengths = torch.arange(40) % 8 + 1
    inputs[torch.arange(8) >= lengths[:, None]] = 0
    torch.manual_seed(0)
    batch = steps.slid(Padded(inputs, lengths), 2.0)
    by = set()
    for row, n in enumerate(lengths.tolist()):
        told = batch.inputs[row, :, 0]
        assert not told[n:].any()
        fits = [
            k
            for k in range(-9, 10)
            if told[:n].tolist() == [min(max(t + 1 + k, 1), n) for t in range(n)]
        ]
        assert fits
        by |= set(fits) if len(fits) == 1 else set()
    assert min(by) < 0 < max(by)


def test_mixtures_are_of_two_series_and_both_their_classes():
    batch = next(iter(Classify.from_data(waves(12), ClassifySettings(**SMALL)).batches()))
    torch.manual_seed(3)
    mixed, others, share = steps.mixed(batch.padded, 0.5)
    assert 0 < share < 1
    for row in range(len(batch.answers)):
        rest = (mixed.inputs[row] - share * batch.padded.inputs[row]) / (1 - share)
        found = [
            i
            for i, x in enumerate(batch.padded.inputs)
            if torch.allclose(x, rest, rtol=1e-3, atol=1e-4)
        ]
        assert found == [int(others[row])]
        assert mixed.lengths[row] == max(batch.padded.lengths[row], batch.padded.lengths[found[0]])


def test_dropout_spares_what_stands_beside_the_recurrence():
    torch.manual_seed(0)
    y = networks.FirstDropout(0.5, 40)(torch.ones(5, 60))
    assert set(y[:, :40].unique().tolist()) == {0.0, 2.0}
    assert y[:, 40:].eq(1).all()


def test_convolutions_beside_the_recurrence_read_what_it_reads():
    told = {"front_channels": [4, 5], "front_beside": True, "test_fraction": 0.2}
    task, model = trained(waves(12), epochs=1, **told)
    assert model.front is None
    assert model.recurrent.input_size == 2
    assert model.head[1].in_features == 2 * SMALL["hidden_size"] + 5
    data = waves(12)
    whole = task.predict(model, data)["p_first"].to_numpy()
    each = [task.predict(model, data.iloc[[row]])["p_first"].item() for row in range(len(data))]
    np.testing.assert_allclose(whole, each, atol=1e-5)


def test_members_train_as_they_would_alone():
    """The loss is the mean over members, so each one's gradient is its own, over their number."""
    task = Classify.from_data(waves(12), ClassifySettings(**SMALL, members=2, test_fraction=0.2))
    torch.manual_seed(0)
    model = task.build().train()
    batch = next(iter(task.batches()))
    model.members[0].eval(), model.members[1].eval()
    task.objective(model).loss(batch, None)[0].backward()
    together = [p.grad.clone() for p in model.members[0].parameters()]
    model.zero_grad()
    task.objective(model.members[0]).loss(batch, None)[0].backward()
    for p, g in zip(model.members[0].parameters(), together, strict=True):
        torch.testing.assert_close(g, p.grad / 2)


def test_what_looks_ahead_cannot_stream():
    task, model = trained(waves(12), epochs=1, test_fraction=0.2)
    with pytest.raises(InputError, match="bidirectional=false"):
        task.stream(model)
    task, model = trained(
        waves(12), epochs=1, test_fraction=0.2, bidirectional=False, front_channels=[4]
    )
    with pytest.raises(InputError, match="front_channels"):
        task.stream(model)


def reversed_series(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(series=[x[::-1].copy() for x in frame["series"]])


@pytest.mark.fuzz
@pytest.mark.parametrize("pooling", ["last", "max"])
def test_reading_from_the_end_is_reading_what_was_turned_round(pooling):
    data = waves(24)
    told = {"epochs": 2, "test_fraction": 0.2, "bidirectional": False, "pooling": pooling}
    task, model = trained(data, reverse=True, **told)
    other, twin = trained(reversed_series(data), **told)
    for name, weight in twin.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], weight)
    # Rows of unequal length, each within its own.
    one = task.predict(model, data)["p_first"]
    two = other.predict(twin, reversed_series(data))["p_first"]
    np.testing.assert_allclose(one, two, atol=1e-6)
    assert np.abs(one - other.predict(twin, data)["p_first"]).max() > 1e-3
    # What it is compared with reads as ever.
    forwards, _ = trained(data, **told)
    for name, scored in task.baselines().items():
        assert scored.metrics == forwards.baselines()[name].metrics


def test_the_doctor_sees_sequences_as_they_are_read():
    data = waves(24)
    told = {"test_fraction": 0.2, "bidirectional": False, "epochs": 1}
    turned = Classify.from_data(data, ClassifySettings(**(SMALL | told), reverse=True)).sample()
    plain = Classify.from_data(data, ClassifySettings(**(SMALL | told))).sample()
    assert turned.labels == plain.labels[::-1]
    n = int(plain.lengths[0])
    np.testing.assert_array_equal(turned.inputs[:n, 0], plain.inputs[:n, 0][::-1])
    assert not turned.inputs[n:, 0].any()


def test_texts_are_read_from_their_last_word_to_their_first():
    rows = pd.DataFrame({"text": ["up and down", "down"] * 8, "label": ["a", "b"] * 8})
    told = {"unit": "words", "reverse": True, "bidirectional": False, "test_fraction": 0.2}
    task = Classify.from_data(rows, ClassifySettings(**(SMALL | told)))
    up, and_, down = task.codec.vocabulary.encode("up and down").tolist()
    pad = task.codec.vocabulary.pad
    batch = task._padded(task._encode(["up and down", "down"]))
    assert batch.inputs.tolist() == [[down, and_, up], [down, pad, pad]]


def test_only_what_reads_one_way_can_be_turned_round():
    with pytest.raises(InputError, match="bidirectional=false"):
        settings_of(Classify, {"reverse": True})


def test_what_reads_from_the_end_cannot_stream():
    task, model = trained(waves(12), epochs=1, test_fraction=0.2, bidirectional=False, reverse=True)
    with pytest.raises(InputError, match="reverse=false"):
        task.stream(model)


def test_a_residual_stack_streams_as_it_reads():
    data = waves(12)
    told = {"bidirectional": False, "num_layers": 3, "residual": True, "test_fraction": 0.2}
    task, model = trained(data, epochs=1, **told)
    assert model.recurrent.residual
    stream = task.stream(model)
    for step in data["series"][0]:
        chances = stream.step(step)
    whole = task.predict(model, data[:1])
    assert chances["first"] == pytest.approx(whole["p_first"].item(), abs=1e-5)


def test_a_step_has_as_many_values_as_in_training():
    task, model = trained(waves(12), epochs=1, test_fraction=0.2, bidirectional=False)
    stream = task.stream(model)
    with pytest.raises(InputError, match="2 values"):
        stream.step([1.0])


def test_noise_and_word_dropout_act_in_training_only(run):
    task, _ = run
    told = task.settings.model_copy(update={"word_dropout": 0.5, "input_dropout": 0.5})
    model = Classify.from_assets(told, task.assets()).build()
    tokens = torch.full((1, 200), 3)
    embedded = model.embedding(tokens)[0]
    assert len(embedded.unique(dim=0)) == 2  # the word and the unknown one
    assert (embedded == 0).all(0).float().mean() > 0.1  # the same features in every step
    model.eval()
    assert len(model.embedding(tokens)[0].unique(dim=0)) == 1


def test_the_report_has_confusion_and_the_surest_mistakes(run):
    task, model = run
    sections = {s.title: s for s in task.sections(model, task.evaluate(model, notices(40)))}
    table = sections["Classes"].table
    assert table["test examples"].sum() == 40
    worst = sections["Worst mistakes"].table
    assert (worst["truth"] != worst["prediction"]).all()
    assert worst["probability"].is_monotonic_decreasing
    assert sections["Confusion matrix"].figure is not None


def test_confusion_table_by_hand():
    units = pd.DataFrame({"truth": [0, 0, 1, 2, 2], "prediction": [0, 1, 1, 1, 1]})
    table = confusion.counts(units, 3)
    assert table.tolist() == [[1, 1, 0], [0, 1, 0], [0, 2, 0]]
    classes = confusion.class_table(table, "abc")
    assert classes["recall"].tolist() == [0.5, 1, 0]
    assert classes["precision"].tolist() == [1, 0.25, 0]
    assert confusion.most_confused(table, "abc").to_numpy().tolist() == [
        ["c", "b", 2],
        ["a", "b", 1],
    ]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_scores_are_those_of_scikit_learn_and_torchmetrics(pairs):
    truth, guess = (list(column) for column in zip(*pairs, strict=True))
    found = confusion.score(pd.DataFrame({"truth": truth, "prediction": guess}), 4)
    assert found["accuracy"] == pytest.approx(accuracy_score(truth, guess))
    assert found["macro_f1"] == pytest.approx(
        f1_score(truth, guess, average="macro", zero_division=0)
    )
    a, b = torch.tensor(guess), torch.tensor(truth)
    assert found["accuracy"] == pytest.approx(
        multiclass_accuracy(a, b, 4, average="micro").item(), abs=1e-6
    )
    assert found["macro_f1"] == pytest.approx(
        multiclass_f1_score(a, b, 4, average="macro").item(), abs=1e-6
    )


def test_of_many_examples_a_bounded_number_is_held_out_and_baselines_say_their_sample(monkeypatch):
    from elman.scoring.baselines import share
    from elman.tasks import parts

    monkeypatch.setattr(parts, "_ENOUGH", {"valid_fraction": 12, "test_fraction": 20})
    monkeypatch.setattr(share, "for_linear", lambda *about: 150)
    table = pd.DataFrame({"text": [f"w{k % 2} x{k % 7} y" for k in range(400)]})
    table["label"] = ["even" if k % 2 == 0 else "odd" for k in range(400)]
    task = Classify.from_data(table, settings_of(Classify, {}))
    assert {part: len(found) for part, found in task._parts.items()} == {
        "train": 368,
        "valid": 12,
        "test": 20,
    }
    names = list(task.baselines())
    assert names[0] == "majority"
    assert names[1:] == [
        "tf-idf + logistic regression (fitted on 150 of 368)",
        "NB-SVM (fitted on 150 of 368)",
    ]
    asked = settings_of(Classify, {"valid_fraction": 0.1, "test_fraction": 0.1})
    assert len(Classify.from_data(table, asked)._parts["test"]) == 40
