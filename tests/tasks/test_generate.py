"""Language models: what text becomes, what a token costs, what is learnt and what is written."""

from __future__ import annotations

import copy
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from elman.data import Vocabulary
from elman.errors import InputError
from elman.nn import Recurrent
from elman.nn.state import detach
from elman.scoring.baselines.ngram import KneserNey
from elman.tasks.generate import corpus, language_model, making, plan, sharing
from elman.tasks.generate.corpus import Documents, Tokens, encode, find
from elman.tasks.generate.language_model import LanguageModel, costs
from elman.tasks.generate.plan import planned
from elman.tasks.generate.settings import GenerateSettings
from elman.tasks.generate.task import Generate
from elman.tasks.generate.writers import writer_of
from elman.training import fit

VERSE = "the cat sat on the mat. the dog sat on the log. "


def settings(**given: Any) -> GenerateSettings:
    small = {"hidden_size": 24, "num_layers": 1, "embedding_size": 12, "dropout": 0.0}
    return GenerateSettings(**(small | {"precision": "float32", "batch_size": 8, "k1": 20} | given))


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.txt"
    path.write_text(VERSE * 30)
    return path


def made(data: Any, **given: Any) -> tuple[Generate, LanguageModel]:
    """A task and its model, untrained."""
    task = Generate.from_data(data, settings(**given))
    torch.manual_seed(0)
    model = task.build()
    assert isinstance(model, LanguageModel)
    return task, model.eval()


def learnt(task: Generate, **_: Any) -> LanguageModel:
    torch.manual_seed(0)
    model = task.build()
    fit(task.objective(model), task.batches(), task.settings)
    assert isinstance(model, LanguageModel)
    return model.eval()


# Text becomes tokens


def test_a_text_is_cut_by_position(tmp_path: Path) -> None:
    path = tmp_path / "abc.txt"
    path.write_text("b" * 20 + "a" * 70 + "c" * 10)
    task = Generate.from_data(path, settings(valid_fraction=0.2, test_fraction=0.1))
    assert task.vocabulary.symbols == ["<unk>", "<bos>", "a"]
    sizes = {name: tokens.predicted for name, tokens in task._tokens.items()}
    assert sizes == {"train": 70, "valid": 20, "test": 10}
    assert set(task._tokens["valid"].ids[1:].tolist()) == {task.vocabulary.unk}


def test_a_small_share_of_a_long_text_is_still_held_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sharing.HELD_OUT, "characters", 20)
    monkeypatch.setattr(making, "LEAST_HELD", 0.0)
    path = tmp_path / "long.txt"
    path.write_text("abcd" * 125_000)
    task = Generate.from_data(path, settings())
    assert task._tokens["valid"].predicted == 20
    monkeypatch.setattr(making, "LEAST_HELD", 0.001)
    task = Generate.from_data(path, settings())
    assert task._tokens["valid"].predicted == 500


def test_characters_too_rare_to_be_learnt_are_unknown(
    book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.write_text(VERSE * 15 + "ñ" + VERSE * 15)
    assert "ñ" in Generate.from_data(book, settings()).vocabulary.symbols
    monkeypatch.setattr(sharing, "_TOO_RARE", 500)
    task = Generate.from_data(book, settings())
    assert task.settings.min_count == 2
    assert "ñ" not in task.vocabulary.symbols
    told = Generate.from_data(book, settings(min_count=1))
    assert "ñ" in told.vocabulary.symbols


def test_the_one_document_is_written_on_from_the_end_of_a_line(tmp_path: Path) -> None:
    """Nothing follows a beginning that was seen once; after a line end comes a letter here."""
    path = tmp_path / "lines.txt"
    path.write_text("abc\n" * 200)
    task, model = made(path)
    writer = writer_of(task, model)
    token, _ = writer._begin("")
    assert task.vocabulary.decode(token.tolist()) == "\n"
    token, _ = writer._begin("b")
    assert task.vocabulary.decode(token.tolist()) == "b"


def test_of_many_symbols_a_shorter_test_part_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "book.txt"
    path.write_text("".join(f"{VERSE} {chr(0x4E00 + i)}" for i in range(100)))
    whole = Generate.from_data(path, settings())
    classes, there = len(whole.vocabulary), whole._tokens["test"].predicted
    monkeypatch.setattr(sharing, "_SCORES_AT_MOST", classes * 100)
    cut = Generate.from_data(path, settings())
    assert there > 400
    assert abs(cut._tokens["test"].predicted - 100) <= 1
    ids = cut._tokens["test"].ids
    assert ids.tolist() == whole._tokens["test"].ids[: len(ids)].tolist()
    assert cut._parts["test"].size == cut._tokens["test"].predicted
    # What was given to test on is all judged.
    told = Generate.from_data(path, settings(), test=path)
    assert told._tokens["test"].predicted > there


def test_words_are_not_cut_in_two(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("nightingale " * 40)
    task = Generate.from_data(path, settings(unit="words"))
    sizes = {name: tokens.predicted for name, tokens in task._tokens.items()}
    assert sizes == {"train": 32, "valid": 5, "test": 3}
    assert not any((t.ids == task.vocabulary.unk).any() for t in task._tokens.values())


def test_many_documents_are_kept_whole() -> None:
    rows = pd.DataFrame({"text": ["x" * 30] * 50})
    task = Generate.from_data(rows, settings())
    counts = {name: part.count for name, part in task._parts.items()}
    assert counts == {"train": 40, "valid": 5, "test": 5}
    # A boundary, thirty characters, and so on; the last one ends too.
    assert task._tokens["test"].starts.tolist() == [0, 31, 62, 93, 124]
    assert len(task._tokens["test"].ids) == 5 * 31 + 1


@pytest.mark.parametrize("in_memory", [0, 1 << 30])
def test_files_of_a_folder_are_documents(
    tmp_path: Path, in_memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "_IN_MEMORY", in_memory)
    monkeypatch.setattr(corpus, "_PIECE", 4)
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    (tmp_path / "b.txt").write_text("three\n")
    documents = find(tmp_path, None, None)
    assert list(documents.whole()) == ["one\ntwo\n", "three\n"]
    vocabulary = Vocabulary.fit(documents.texts(), specials=("unk", "bos"))
    tokens = encode(documents, vocabulary, ended=True)
    boundary = vocabulary.symbols[1]
    text = "".join(vocabulary.symbols[i] for i in tokens.ids)
    assert text == f"{boundary}one\ntwo\n{boundary}three\n{boundary}"
    assert tokens.starts.tolist() == [0, 9]
    assert isinstance(tokens.ids, np.memmap) == (in_memory == 0)


def test_a_part_may_begin_and_end_inside_documents() -> None:
    documents = Documents.of_texts(["abcd", "efgh", "ijkl"])
    part = documents.part(2, 9)
    assert list(part) == [(True, "cd"), (True, "efgh"), (True, "i")]
    assert part.count == 3
    assert list(documents.part(4, 8).whole()) == ["efgh"]
    assert documents.part(4, 8).count == 1


def test_the_column_of_a_table_is_found_or_asked_for() -> None:
    table = pd.DataFrame({"n": [1, 2], "said": ["some words", "more of them"]})
    assert list(find(table, None, None).whole()) == ["some words", "more of them"]
    two = table.assign(other=["a text with words", "another with words"])
    with pytest.raises(InputError, match=r"more than one column.*'said', 'other'"):
        find(two, None, None)
    assert next(find(two, "other", None).whole()) == "a text with words"
    with pytest.raises(InputError, match=r"no column 'sad'.*'said'"):
        find(two, "sad", None)


def test_lines_may_be_documents(book: Path) -> None:
    book.write_text("Ada\n\nGrace\nMary\n")
    assert list(find(book, None, None).whole()) == ["Ada\n\nGrace\nMary\n"]
    assert list(find(book, "text", None).whole()) == ["Ada", "Grace", "Mary"]


def test_what_depends_on_the_text_is_decided(tmp_path: Path) -> None:
    path = tmp_path / "prose.txt"
    path.write_text("Oh, what a day, what a lovely day! I said so, did I not? " * 30)
    task = Generate.from_data(path, settings(unit="words", embedding_size=None))
    assert task.settings.punctuation is True
    assert (task.settings.min_count, task.settings.embedding_size) == (2, 24)
    assert "," in task.vocabulary
    path.write_text("oh what a <unk> what a lovely day\n" * 30)
    task = Generate.from_data(path, settings(unit="words"))
    assert task.settings.punctuation is False
    assert (task.settings.min_count, task.settings.vocabulary_size) == (1, None)
    assert task.vocabulary.symbols[:3] == ["<unk>", "<bos>", "<eos>"]


def test_a_run_that_nothing_bounds_is_bounded_by_the_text(
    book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bounds(**given: Any) -> tuple[int | None, int | None]:
        decided = Generate.from_data(book, settings(**given)).settings
        return decided.epochs, decided.max_steps

    assert bounds() == (plan.MOST_EPOCHS, None)
    assert bounds(epochs=3) == (3, None)
    assert bounds(max_steps=7) == (None, 7)
    monkeypatch.setattr(plan, "pace", lambda settings: 1e6)
    assert bounds(budget=5) == (None, None)
    # So fast that the budget would go through the text more often than helps.
    monkeypatch.setattr(plan, "pace", lambda settings: 1e15)
    assert bounds(budget=5) == (plan.MOST_EPOCHS, None)
    task = Generate.from_data(book, settings())
    weights = sum(plan.weights(task.settings, 1, 24, len(task.vocabulary)))
    each, train = plan.OPERATIONS * weights, task._tokens["train"].predicted
    monkeypatch.setattr(plan, "WORK", 3.2 * each * train)
    assert bounds() == (3, None)
    # Less than the text once: 900 symbols in steps of 8 rows by 20.
    monkeypatch.setattr(plan, "WORK", 901.0 * each)
    assert bounds() == (1, 5)


def test_what_is_given_stays_and_the_rest_follows_from_text_and_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[float] = []
    monkeypatch.setattr(plan, "pace", lambda settings: asked.append(1.0) or 1e11)
    given = {"hidden_size": 100, "num_layers": 3, "lr": 0.5, "batch_size": 7, "dropout": 0.25}
    kept = planned(GenerateSettings(**given), 10**6, 70)
    assert {name: getattr(kept, name) for name in given} == given
    assert not asked, "a run that no time bounds is the same on every machine"
    runs = [planned(GenerateSettings(budget=b), 10**6, 70) for b in (20, 60, 300, 3600)]
    sizes = [run.num_layers * run.hidden_size for run in runs]
    assert sizes == sorted(set(sizes))
    assert [run.dropout for run in runs] == sorted(run.dropout for run in runs)
    assert [run.lr for run in runs] == sorted((run.lr for run in runs), reverse=True)
    # What trains on more symbols than the text has, over and over, ends before its time.
    small = planned(GenerateSettings(budget=3600), 10**4, 70)
    assert small.epochs == plan.MOST_EPOCHS
    assert small.hidden_size < runs[-1].hidden_size
    # A validation only goes forward, over a part of what is trained on between two of them.
    for run in runs:
        reading, scoring = plan.weights(run, run.num_layers, run.hidden_size, 70)
        symbols = run.budget * plan.TRAINED * 1e11 / plan.OPERATIONS / (reading + scoring)
        assert run.validate_on <= max(plan.LEAST_LOOKED_AT, 0.1 * symbols)


def test_a_validation_reads_the_beginning_of_its_part() -> None:
    tokens = Tokens(np.arange(20), np.array([0, 5, 12]))
    assert tokens.first(None) is tokens.first(19) is tokens
    some = tokens.first(12)
    assert (some.predicted, some.starts.tolist()) == (12, [0, 5])


@pytest.mark.parametrize(
    ("text", "given", "message"),
    [
        ("abc", {}, "too little text: the valid part has 0 symbols"),
        ("abc" * 50, {"test_fraction": 0.0}, "no text to test with"),
        ("abc" * 50, {"test_fraction": 0.6, "valid_fraction": 0.4}, "nothing to train on"),
    ],
)
def test_too_little_text_is_refused(
    tmp_path: Path, text: str, given: dict[str, float], message: str
) -> None:
    path = tmp_path / "little.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        Generate.from_data(path, settings(**given))


def test_penn_treebank_has_the_published_counts(data_dir: Path) -> None:
    ptb = data_dir / "ptb"
    task = Generate.from_data(
        ptb / "ptb.train.txt.gz",
        settings(unit="words"),
        ptb / "ptb.valid.txt",
        ptb / "ptb.test.txt",
    )
    sizes = {name: tokens.predicted for name, tokens in task._tokens.items()}
    assert sizes == {"train": 929_589, "valid": 73_760, "test": 82_430}
    # 10,000 words, the end of a sentence among them, and what begins a text.
    assert len(task.vocabulary) == 10_001
    assert not (task._tokens["test"].ids == task.vocabulary.bos)[1:].any()
    found = task.baselines()["5-gram Kneser-Ney"].metrics["perplexity"]
    assert found == pytest.approx(141.06, abs=0.1)


# What a token costs


def by_hand(model: LanguageModel, tokens: Tokens) -> np.ndarray:
    """One token after another, the state made new at each document."""
    state, nats = None, []
    for place, (here, after) in enumerate(itertools.pairwise(tokens.ids.tolist())):
        state = None if place in tokens.starts else state
        scores, state = model(torch.tensor([[here]]), state)
        nats.append(F.cross_entropy(scores[0], torch.tensor([after])).item())
    return np.array(nats)


def random_tokens(count: int, starts: list[int], symbols: int = 9) -> Tokens:
    ids = np.random.default_rng(0).integers(0, symbols, count)
    return Tokens(ids, np.array([0, *starts]))


def random_model(symbols: int = 9, **options: Any) -> LanguageModel:
    torch.manual_seed(0)
    model = LanguageModel(symbols, 5, Recurrent("lstm", 5, 7, 2), **options).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model


@pytest.mark.parametrize("starts", [[], [70, 71, 200]])
def test_one_row_is_exact(starts: list[int]) -> None:
    model, tokens = random_model(), random_tokens(301, starts)
    np.testing.assert_allclose(costs(model, tokens, rows=1), by_hand(model, tokens), atol=1e-5)


@pytest.mark.parametrize("starts", [[], [70, 71, 200]])
def test_rows_with_warm_up_cost_the_same(
    starts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(language_model, "WARM_UP", 60)
    monkeypatch.setattr(language_model, "_SCORES", 9 * 5 * 11)
    model, tokens = random_model(), random_tokens(301, starts)
    np.testing.assert_allclose(costs(model, tokens, rows=5), by_hand(model, tokens), atol=1e-4)


def test_short_documents_cost_the_same_whole() -> None:
    starts = np.cumsum(np.random.default_rng(1).integers(1, 9, 60))
    model, tokens = random_model(), random_tokens(int(starts[-1]) + 5, starts.tolist())
    assert language_model.short(tokens, 64)
    np.testing.assert_allclose(costs(model, tokens), by_hand(model, tokens), atol=1e-5)


def test_what_stood_before_a_document_does_not_matter() -> None:
    model = random_model()
    one, other = random_tokens(50, [20]), random_tokens(50, [20])
    other.ids[:20] = 3
    np.testing.assert_array_equal(costs(model, one)[20:], costs(model, other)[20:])
    assert not np.allclose(costs(model, one)[:19], costs(model, other)[:19])


# Training


def window_losses(task: Generate, model: LanguageModel) -> tuple[float, float]:
    objective, carried = task.objective(model), None
    total, count = 0.0, 0.0
    for batch in task.batches():
        loss, n, carried = objective.loss(batch, carried)
        total, count = total + loss.item(), count + n
    return total, count


@pytest.mark.parametrize(
    "given", [{"k1": 7}, {"k1": 7, "k2": 11}, {"k1": 3, "k2": 20}, {"k1": 500}]
)
def test_state_is_carried_across_windows(book: Path, given: dict[str, int]) -> None:
    task, model = made(book, batch_size=1, **given)
    total, count = window_losses(task, model)
    assert count == task._tokens["train"].predicted
    assert total == pytest.approx(costs(model, task._tokens["train"], rows=1).sum(), rel=1e-5)


def test_gradients_flow_k2_steps_back_and_no_further(book: Path) -> None:
    task, model = made(book, batch_size=1, k1=4, k2=10, activation_penalty=0)
    objective, carried = task.objective(model), None
    batches = [batch for _, batch in zip(range(6), task.batches(), strict=False)]
    for batch in batches:
        model.zero_grad()
        loss, _, carried = objective.loss(batch, carried)
    loss.backward()
    got = model.recurrent.cells[0].U.weight.grad.clone()
    # The sixth window: tokens 14 to 24, of which the last 4 are judged.
    tokens = torch.from_numpy(task._tokens["train"].ids[:25].astype(np.int64))[:, None]
    model.zero_grad()
    _, state = model(tokens[:14])
    scores, _ = model(tokens[14:24], detach(state))
    F.cross_entropy(scores[6:, 0], tokens[21:25, 0], reduction="sum").backward()
    torch.testing.assert_close(got, model.recurrent.cells[0].U.weight.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("length", [5, 300])
def test_state_does_not_cross_documents(length: int) -> None:
    """Short documents are run whole, long ones as a stream with resets: the cost is the same."""
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abc"), length + rng.integers(4))) for _ in range(24)]
    task, model = made(pd.DataFrame({"text": texts}), batch_size=2, k1=50)
    stream = type(task.batches()).__name__ == "CarriedBatches"
    assert stream == (length == 300)
    total, count = window_losses(task, model)
    exact = costs(model, task._tokens["train"], rows=1)
    if stream:  # a second row begins in the middle of a document, without what is before it
        assert total / count == pytest.approx(exact.mean(), rel=0.01)
    else:
        assert (total, count) == (pytest.approx(exact.sum(), rel=1e-5), len(exact))


def test_penalties_have_gradients_per_token_and_no_value(book: Path) -> None:
    task, model = made(book, activation_penalty=0)
    batch = next(iter(task.batches()))
    weights = list(model.recurrent.parameters())
    plain, count, _ = task.objective(model).loss(batch, None)
    output, _ = model.read(batch.inputs)
    change = (output[1:] - output[:-1]).square().mean()
    expected = torch.autograd.grad(
        plain + count * (2 * output.square().mean() + 3 * change), weights
    )
    task.settings = task.settings.model_copy(
        update={"activation_penalty": 2.0, "slowness_penalty": 3.0}
    )
    punished, _, _ = task.objective(model).loss(batch, None)
    assert punished.item() == pytest.approx(plain.item(), rel=1e-6)
    for got, wanted in zip(torch.autograd.grad(punished, weights), expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("cell", "penalty"), [("lstm", 2.0), ("gru", 2.0), ("lru", 0.0)])
def test_outputs_between_minus_1_and_1_are_held_down(book: Path, cell: str, penalty: float) -> None:
    assert made(book, cell=cell)[0].settings.activation_penalty == penalty
    assert made(book, cell=cell, activation_penalty=1)[0].settings.activation_penalty == 1.0


def test_a_large_vocabulary_is_sampled_in_training_and_scored_whole() -> None:
    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in (rng.zipf(1.1, 60_000) % 4500)]
    text = pd.DataFrame({"text": [" ".join(words)]})
    options = {"unit": "words", "min_count": 1, "k1": 20, "vocabulary_size": 5000}
    task, model = made(text, **options, batch_size=10)
    assert len(task.vocabulary) > 4000
    assert task.settings.sampled == int(0.06 * len(task.vocabulary))
    batch = next(iter(task.batches()))
    exact = _nats_of(model, batch)
    torch.manual_seed(0)
    estimates = [task.objective(model).loss(batch, None)[0].item() for _ in range(20)]
    assert len(set(estimates)) > 1
    assert np.mean(estimates) == pytest.approx(exact, rel=0.02)
    whole, model = made(text, **options, batch_size=10, sampled=0)
    assert whole.objective(model).loss(batch, None)[0].item() == pytest.approx(
        _nats_of(model, batch), rel=1e-5
    )


def _nats_of(model: Any, batch: Any) -> float:
    with torch.no_grad():
        scores, _ = model(batch.inputs)
        return F.cross_entropy(
            scores.flatten(0, 1), batch.targets.flatten(), reduction="sum"
        ).item()


@pytest.mark.parametrize(
    ("options", "said"),
    [({"sampled": 5000}, "has no effect"), ({"sampled": 5, "label_smoothing": 0.1}, "Leave one")],
)
def test_what_cannot_be_sampled_is_refused(book: Path, options: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        made(book, **options)


def test_init_scale_is_uniform_over_all_parameters(book: Path) -> None:
    _, model = made(book, init_scale=0.3, hidden_size=64)
    values = torch.cat([p.flatten() for p in model.parameters()])
    assert values.abs().max() <= 0.3
    assert values.std().item() == pytest.approx(0.3 / math.sqrt(3), rel=0.05)


@pytest.mark.parametrize("size", [24, 12])
def test_tied_scores_use_the_embedding(book: Path, size: int) -> None:
    _, model = made(book, tied=True, embedding_size=size)
    assert "head.weight" not in model.state_dict()
    output = torch.randn(3, 24)
    expected = model.between(output) @ model.embedding.weight.T + model.bias
    torch.testing.assert_close(model.scores(output), expected)


def test_dropping_symbols_drops_all_their_occurrences(book: Path) -> None:
    _, model = made(book, embedding_dropout=0.5)
    seen: list[torch.Tensor] = []
    model.recurrent.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    model.train()
    model(torch.tensor([[2, 3, 4, 5] * 10]).T)
    rows = seen[0].view(10, 4, -1)
    assert (rows == rows[:1]).all()
    dropped = (rows[0] == 0).all(-1)
    torch.testing.assert_close(
        rows[0][~dropped], 2 * model.embedding.weight[2:6][~dropped], rtol=1e-6, atol=0
    )


@pytest.mark.parametrize("unit", ["characters", "words"])
def test_a_text_that_repeats_is_learnt(tmp_path: Path, unit: str) -> None:
    path = tmp_path / "count.txt"
    path.write_text("one two three four five " * 100)
    # Few tokens a row and window, so that the few words make many steps too.
    small = {"batch_size": 2, "k1": 10} if unit == "words" else {}
    task = Generate.from_data(path, settings(unit=unit, lr=3e-2, epochs=9, **small))
    model = learnt(task)
    assert task.evaluate(model).metrics["perplexity"] < 1.1
    text = task.generate(model, "one two", temperature=0, length=16 if unit == "characters" else 3)
    assert text[0].rstrip() == "one two three four five"


def test_memory_beyond_the_n_grams_is_worth_having() -> None:
    """The word that begins each row ends it, 6 words later: no 5-gram can know."""
    rng = np.random.default_rng(0)
    colours = rng.choice(["red", "green", "blue", "white"], 600)
    rows = pd.DataFrame({"text": [f"{c} keeps its colour and stays {c}" for c in colours]})
    # Outputs that are held down are never quite sure of what is sure.
    how = {"unit": "words", "lr": 3e-2, "epochs": 45, "batch_size": 16, "activation_penalty": 0}
    task = Generate.from_data(rows, settings(**how))
    ours = task.evaluate(learnt(task)).metrics["perplexity"]
    theirs = task.baselines()["5-gram Kneser-Ney"].metrics["perplexity"]
    # Of 8 tokens a row the first is one of 4; n-grams pay that again for the last word.
    assert ours == pytest.approx(4 ** (1 / 8), abs=0.02)
    assert theirs == pytest.approx(4 ** (2 / 8), abs=0.02)


# Scores


def test_scores_of_characters() -> None:
    task, _ = made(pd.DataFrame({"text": [VERSE] * 30}))
    units = pd.DataFrame({"nll": [2.0, 4.0], "count": [1, 3], "characters": [1, 3]})
    assert task._score(units) == {
        "bits_per_character": pytest.approx(1.5 / math.log(2)),
        "nats_per_character": 1.5,
        "perplexity": pytest.approx(math.exp(1.5)),
    }


def test_blocks_hold_every_token_once(book: Path) -> None:
    task, model = made(book)
    evaluation = task.evaluate(model)
    tokens = task._tokens["test"]
    assert evaluation.units["count"].sum() == tokens.predicted
    assert len(evaluation.units) >= 100
    assert evaluation.units["nll"].sum() == pytest.approx(costs(model, tokens).sum())
    for baseline in task.baselines().values():
        assert baseline.units["count"].tolist() == evaluation.units["count"].tolist()


def test_baselines_are_n_grams_of_the_training_part(book: Path) -> None:
    task, _ = made(book)
    train, test = task._tokens["train"], task._tokens["test"]
    counted = KneserNey.fit(train.ids, len(task.vocabulary), 5, train.starts)
    found = task.baselines()
    assert list(found) == ["unigram", *(f"{n}-gram Kneser-Ney" for n in (3, 5, 7, 9))]
    for name, order in (("unigram", 1), ("5-gram Kneser-Ney", 5)):
        nats = counted.nll(test.ids, test.starts)[order].mean()
        assert found[name].metrics["nats_per_character"] == pytest.approx(nats)


def test_subwords_are_scored_per_character(tmp_path: Path) -> None:
    path = tmp_path / "prose.txt"
    path.write_text("Où est la bibliothèque? — Là-bas, près du café; 東京 ☕.\n" * 60)
    task, model = made(path, unit="subwords", vocabulary_size=300)
    units = task.evaluate(model).units
    text = "".join(task._parts["test"].texts())
    assert units["characters"].sum() == len(text)
    metrics = task.evaluate(model).metrics
    bits = units["nll"].sum() / math.log(2) / len(text)
    assert metrics["bits_per_character"] == pytest.approx(bits)


def test_an_end_that_was_never_seen_does_not_count(book: Path) -> None:
    task, model = made(book)
    verse = VERSE.strip()
    two = pd.DataFrame({"text": [verse, verse]})
    assert task.evaluate(model, two).units["count"].sum() == 2 * len(verse)
    frame = task.predict(model, two)
    assert frame["tokens"].tolist() == [len(verse)] * 2
    assert frame["perplexity"][0] == pytest.approx(frame["perplexity"][1], rel=1e-4)


# Writing


@pytest.fixture(scope="module")
def writer() -> tuple[Generate, LanguageModel]:
    rows = pd.DataFrame({"text": ["abab ba.", "ab ab", "b a b!"] * 30})
    task = Generate.from_data(rows, settings())
    torch.manual_seed(1)
    model = task.build()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    assert isinstance(model, LanguageModel)
    return task, model.eval()


def distribution(task: Generate, model: LanguageModel, text: str) -> dict[str, float]:
    ids = torch.tensor([task.vocabulary.bos, *task.vocabulary.encode(text)])[:, None]
    scores = model(ids)[0][-1, 0].detach().clone()
    scores[task.vocabulary.unk] = -torch.inf
    return dict(zip(task.vocabulary.symbols, scores.softmax(-1).tolist(), strict=True))


def test_writing_is_repeatable_and_begins_with_the_prompt(writer: Any) -> None:
    task, model = writer
    first = task.generate(model, "ab", samples=3, length=30, seed=4)
    assert first == task.generate(model, "ab", samples=3, length=30, seed=4)
    assert first != task.generate(model, "ab", samples=3, length=30, seed=5)
    assert len(set(first)) == 3
    assert all(text.startswith("ab") and len(text) <= 32 for text in first)


def test_temperature_zero_takes_the_likeliest(writer: Any) -> None:
    task, model = writer
    text = task.generate(model, "a", temperature=0, length=6)[0]
    assert task.generate(model, "a", top_k=1, length=6, temperature=1.0)[0] == text
    for place in range(1, len(text)):
        likely = distribution(task, model, text[:place])
        assert max(likely, key=likely.__getitem__) == text[place]


def test_frequencies_follow_the_model(writer: Any) -> None:
    task, model = writer
    texts = task.generate(model, "ab", samples=4000, length=1, temperature=1.0)
    expected = distribution(task, model, "ab")
    for symbol in "ab .!":
        share = np.mean([text == "ab" + symbol for text in texts])
        assert share == pytest.approx(expected[symbol], abs=0.03)
    assert np.mean([text == "ab" for text in texts]) == pytest.approx(expected["<bos>"], abs=0.03)


@pytest.mark.parametrize("end", [0.0, 4.0])
def test_suggested_words_have_the_probability_of_all_their_symbols(writer: Any, end: float) -> None:
    """Against every string of up to five symbols; also where documents are likely to end."""
    task, model = writer[0], copy.deepcopy(writer[1])
    with torch.no_grad():
        model.bias[task.vocabulary.bos] += end
    letters, others = "ab", " .!"
    expected: dict[str, float] = {}

    def extend(text: str, p: float) -> None:
        after = distribution(task, model, "ab " + text)
        begun = any(c in letters for c in text)
        if begun:
            ended = sum(after[c] for c in others) + after["<bos>"]
            expected[text] = p * ended
        if len(text) < 5:
            for c in letters if begun else letters + others:
                extend(text + c, p * after[c])

    extend("", 1.0)
    found = task.complete(model, "ab ", n=5)
    likeliest = sorted(expected, key=lambda text: -expected[text])[:5]
    assert [s["text"] for s in found] == likeliest
    for suggestion in found:
        assert suggestion["probability"] == pytest.approx(expected[suggestion["text"]], rel=1e-4)
        assert suggestion["completed"].startswith("ab " + suggestion["text"])


def test_suggestions_of_words_are_the_likeliest_symbols(book: Path) -> None:
    task, model = made(book, unit="words")
    found = task.complete(model, "the cat", n=4)
    likely = distribution(task, model, "the cat")
    likely.pop("<bos>")  # one document has no end
    total = sum(likely.values())
    best = sorted(likely, key=lambda word: -likely[word])[:4]
    assert [s["text"] for s in found] == [w if w != "<eos>" else "\n" for w in best]
    assert found[0]["probability"] == pytest.approx(likely[best[0]] / total, rel=1e-4)
    assert found[0]["completed"].startswith(f"the cat {best[0]}")


def test_that_a_document_may_end_is_no_suggestion() -> None:
    task, model = made(pd.DataFrame({"text": ["red", "green", "blue"] * 20}), unit="words")
    with torch.no_grad():
        model.bias[task.vocabulary.bos] = 5.0
    found = task.complete(model, "red", n=3)
    assert {s["text"] for s in found} == {"red", "green", "blue"}
    assert sum(s["probability"] for s in found) < 0.1


def test_a_stream_gives_the_distribution_of_the_whole_text(writer: Any) -> None:
    task, model = writer
    stream = task.stream(model)
    for symbol in "ab ":
        found = stream.step(symbol)
    assert sum(found.values()) == pytest.approx(1, abs=1e-5)
    expected = distribution(task, model, "ab ")
    scale = 1 - found["<unk>"]
    for symbol in "ab .!":
        assert found[symbol] == pytest.approx(expected[symbol] * scale, rel=1e-4)
    with pytest.raises(InputError, match="'ab' is 2 symbols"):
        stream.step("ab")


def test_a_residual_stack_writes_by_steps_what_it_reads_whole(book: Path) -> None:
    task, plain = made(book, num_layers=3)
    joined, model = made(book, num_layers=3, residual=True)
    model.load_state_dict(plain.state_dict())  # a connection has no weights
    stream = joined.stream(model)
    for symbol in "the cat":
        found = stream.step(symbol)
    expected = distribution(joined, model, "the cat")
    scale = 1 - found["<unk>"]
    for symbol in " cat":
        assert found[symbol] == pytest.approx(expected[symbol] * scale, rel=1e-4)
    assert abs(expected["e"] - distribution(task, plain, "the cat")["e"]) > 1e-6


def test_one_layer_has_nothing_to_be_joined_to(book: Path) -> None:
    with pytest.raises(InputError, match=r"residual joins .* Set num_layers to 2 or more"):
        made(book, residual=True)


def test_a_finished_run_needs_no_data(book: Path) -> None:
    task, model = made(book)
    again = Generate.from_assets(task.settings, task.assets())
    twin = again.build()
    twin.load_state_dict(model.state_dict())
    assert again.generate(twin, "the ", seed=3) == task.generate(model, "the ", seed=3)
    assert again.evaluate(twin, book).metrics == task.evaluate(model, book).metrics


def test_sections_show_samples(book: Path) -> None:
    task, model = made(book)
    [samples] = task.sections(model, task.evaluate(model))
    assert len(samples.preformatted) == 3
    assert task.generate(model, length=400, temperature=0.5)[0] in samples.preformatted[0]


@pytest.mark.parametrize(("flag", "expected"), [(True, "bf16"), (False, "float32")])
def test_the_precision_follows_the_processor(tmp_path, monkeypatch, flag, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": flag})
    file = tmp_path / "text.txt"
    file.write_text("to be or not to be\n" * 30)
    assert Generate.from_data(file, GenerateSettings()).settings.precision == expected
    asked = Generate.from_data(file, GenerateSettings(precision="bf16"))
    assert asked.settings.precision == "bf16"


def test_a_test_text_that_is_trained_on_is_doubted(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for name in "ab":
        lines = [" ".join(draw.choice(["so", "it", "goes", "on"], 30)) for _ in range(100)]
        (tmp_path / f"{name}.txt").write_text("\n".join(lines))
    for test, doubted in (("a", True), ("b", False)):
        task = Generate.from_data(tmp_path / "a.txt", settings(), test=tmp_path / f"{test}.txt")
        said = " ".join(task.understood().doubts)
        assert ("of test stand in train too: the scores flatter" in said) == doubted


@pytest.mark.parametrize("name", ["film.srt", "film.txt", "film"])
def test_subtitles_are_learnt_as_they_are_spoken(tmp_path: Path, name: str) -> None:
    said = "".join(
        f"{i + 1}\n00:{i // 60:02}:{i % 60:02},000 --> 00:{i // 60:02}:{i % 60:02},900\n"
        f"<i>the house is blue.</i>\n\n"
        for i in range(100)
    )
    (tmp_path / name).write_text(said)
    task = Generate.from_data(tmp_path / name, settings())
    text = "".join(task._parts["train"].texts())
    assert text.startswith("the house is blue.\nthe house")
    assert not any(letter.isdigit() or letter == "<" for letter in text)
    assert any("times and marks of subtitles" in line for _, line in task.understood().lines)
    (tmp_path / "book.txt").write_text("It was a dark night.\n" * 9)
    with pytest.raises(InputError, match="of several forms"):
        Generate.from_data(tmp_path, settings())


def test_chats_and_conversations_are_learnt_without_dates_and_brackets(tmp_path: Path) -> None:
    chat = "".join(
        f"12/{n:02}/24, 21:14 - Anna: so it is\n12/{n:02}/24, 21:15 - Bo: yes\n"
        for n in range(1, 29)
    )
    (tmp_path / "chat.txt").write_text(chat)
    said = [["user", "so it is"], ["assistant", "yes"]]
    talk = {"messages": [{"role": who, "content": text} for who, text in said]}
    (tmp_path / "talk.jsonl").write_text(f"{json.dumps(talk)}\n" * 28)
    for name, first in (("chat.txt", "Anna: so it is\nBo: yes"), ("talk.jsonl", "user: so it is")):
        task = Generate.from_data(tmp_path / name, settings())
        assert next(task._parts["train"].whole()).startswith(first)


def test_a_title_beside_a_conversation_is_not_taken_for_the_text(tmp_path: Path) -> None:
    said = [{"role": "user", "content": "so it is"}, {"role": "assistant", "content": "yes"}]
    rows = [{"title": f"on {n} and more", "messages": said} for n in range(30)]
    (tmp_path / "a.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    with pytest.raises(InputError, match="Choose from 'title', 'messages'"):
        find(tmp_path / "a.jsonl", None, None)


def test_objects_in_a_column_are_no_text_to_write(tmp_path: Path) -> None:
    rows = [{"title": f"t {n} it is", "parts": [{"said": f"so {n}"}]} for n in range(40)]
    (tmp_path / "a.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert next(find(tmp_path / "a.jsonl", None, None).texts()) == "t 0 it is"
    assert "learnt as they are written" in find(tmp_path / "a.jsonl", "parts", None).doubts[0]
