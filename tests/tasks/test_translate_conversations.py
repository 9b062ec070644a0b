"""`translate` from conversations to texts: how they are read, learnt from and asked for."""

from __future__ import annotations

import json
import random
import shutil

import pytest

import elman
from elman.data.formats.pairs import read_pairs
from elman.errors import InputError

SMALL = {"unit": "words", "hidden_size": 16, "max_steps": 8, "batch_size": 16, "resamples": 20}
SMALL |= {"progress": False}


def calls(many, seed=0, said="dialogue", summary="summary"):
    """Conversations, each an object with turns and a summary."""
    draw, rows = random.Random(seed), []
    for number in range(many):
        one, other = draw.sample(["Ann", "Bob", "Cem", "Dot"], 2)
        thing = draw.choice(["tea", "cake", "soup", "bread", "jam", "rice"])
        turns = [
            {"speaker": one, "text": f"I made  {thing}\nnumber {number}. Do you want some?"},
            {"speaker": other, "text": "Sure, I come over soon. Shall I bring a plate, or a cup?"},
            {"speaker": one, "text": " "},
            {"speaker": one, "text": "Nothing, thank you."},
        ]
        rows.append({said: turns, summary: f"{one} made {thing}."})
    return rows


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on conversations with summaries."""
    folder = tmp_path_factory.mktemp("conversations")
    data = lines(folder / "calls.jsonl", calls(60))
    return elman.train("translate", data, folder / "run", **SMALL)


def test_an_utterance_is_a_line_with_its_speaker(tmp_path):
    pairs = read_pairs(lines(tmp_path / "a.jsonl", calls(3)))
    assert pairs.names == ("dialogue", "summary")
    first, second, third = pairs.source[0].split("\n")
    speaker = first.split(":")[0]
    assert first.endswith("number 0. Do you want some?")
    assert "  " not in first
    assert third == f"{speaker}: Nothing, thank you."
    assert second.split(":")[0] != speaker
    assert "'dialogue' holds conversations; each utterance is a line" in " ".join(pairs.said)


@pytest.mark.parametrize("said", ["conversation", "messages", "turns"])
def test_usual_names_are_known_and_others_can_be_set(tmp_path, said):
    path = lines(tmp_path / "a.jsonl", calls(3, said=said))
    assert read_pairs(path).names == (said, "summary")
    odd = lines(tmp_path / "b.jsonl", calls(3, said="call", summary="gist"))
    assert read_pairs(odd, source="call", target="gist").target[0].endswith(".")
    with pytest.raises(InputError, match="'call' holds conversations, which can be read and not"):
        read_pairs(odd, source="gist", target="call")


def test_a_text_of_lines_with_speakers_is_read_as_the_same(tmp_path):
    rows = calls(3)
    listed = read_pairs(lines(tmp_path / "a.jsonl", rows)).source
    for row in rows:
        spoken = (turn for turn in row["dialogue"] if turn["text"].strip())
        row["dialogue"] = "\n".join(
            f"{turn['speaker']}: {' '.join(turn['text'].split())}" for turn in spoken
        )
    assert read_pairs(lines(tmp_path / "b.jsonl", rows)).source == listed


def test_summaries_are_learnt_and_the_report_says_what_was_read(run):
    read = dict(run.results["understood"]["lines"])["read"]
    assert "each utterance is a line of its text, the speaker before a colon" in read
    assert run.results["metric"] == "rouge1"
    assert "first sentence" in run.results["baselines"]
    assert not run.model.task.where.talks


def test_conversations_alone_are_predicted_on(run, tmp_path):
    rows = calls(3, seed=9)
    whole = elman.load(run.path).predict(lines(tmp_path / "a.jsonl", rows))
    for row in rows:
        del row["summary"]
    alone = elman.load(run.path).predict(lines(tmp_path / "b.jsonl", rows), proba=True)
    assert alone["prediction"].tolist() == whole["prediction"].tolist()
    assert alone["source"][0].count("\n") == 2
    texts = elman.load(run.path).predict(alone["source"].tolist())
    assert texts["prediction"].tolist() == whole["prediction"].tolist()


def test_a_stopped_run_ends_as_one_that_was_not(run, tmp_path):
    part = shutil.copytree(run.path, tmp_path / "part")
    (part / "model.safetensors").unlink()
    (part / "results.json").unlink()
    (part / "metrics.jsonl").unlink()
    (part / "checkpoints").mkdir(exist_ok=True)
    again = elman.resume(part, progress=False)
    assert again.results["test"] == run.results["test"]


def test_a_conversation_without_a_word_is_left_out_and_counted(tmp_path):
    rows = calls(3)
    rows[1]["dialogue"] = [{"speaker": "Ann", "text": " "}]
    pairs = read_pairs(lines(tmp_path / "a.jsonl", rows))
    assert len(pairs) == 2
    assert "Pairs with an empty source, left out: 1; the first is a.jsonl, row 2" in " ".join(
        pairs.said
    )
