"""Tasks on conversations: where they stand in a table, live tags, and what is refused."""

from __future__ import annotations

import json
import warnings

import pandas as pd
import pytest

import elman
from elman.errors import InputError, PredictionWarning
from elman.tasks import TASKS
from elman.tasks.settings import settings_of

SMALL = {
    "hidden_size": 8,
    "utterance_size": 4,
    "embedding_size": 8,
    "max_steps": 6,
    "batch_size": 8,
    "resamples": 20,
    "num_layers": 1,
}
SAY = {"ask": "what is it ?", "tell": "it is the bill", "bye": "thanks and bye"}


def rows(calls=20):
    """Utterances of calls, a row each; the last one of each call is said first."""
    found = []
    for call in range(calls):
        acts = ["ask", "tell"] * (1 + call % 3) + ["bye"]
        for place, act in enumerate(acts):
            who = "agent" if place % 2 else "caller"
            found.append((f"c{call}", place, who, SAY[act], act, "good" if call % 2 else "bad"))
    names = ["call_id", "turn", "speaker", "text", "act", "outcome"]
    return pd.DataFrame(found, columns=names).iloc[::-1].reset_index(drop=True)


def made(task, data, **given):
    return TASKS[task].from_data(data, settings_of(TASKS[task], {**SMALL, **given}))


def told(call, *given):
    """What a call returns, and the warnings of predictions."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = call(*given)
    return found, [str(one.message) for one in caught if one.category is PredictionWarning]


def words_of(task):
    return dict(task.understood().lines)


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    out = tmp_path_factory.mktemp("turns") / "live"
    return elman.train("tag", rows(), out, target="act", bidirectional=False, **SMALL)


def test_a_table_of_utterances_is_read_as_conversations():
    task = made("tag", rows(), target="act")
    layout = task.layout
    assert (layout.modality, layout.form, layout.inputs) == ("turns", "long", ("text", "speaker"))
    assert (layout.group, layout.time, layout.answers) == ("call_id", "turn", ("act",))
    told = words_of(task)
    assert told["order"] == (
        "rows of 20 of 20 'call_id' did not stand in the order of 'turn', and were put in it"
    )
    assert told["turns"].endswith("speakers: caller 54, agent 36 in train")
    part = task._parts["train"]
    for cell, answer in zip(part.inputs, part.answers, strict=True):
        assert [one.text for one in cell] == [SAY[tag] for tag, _ in answer]
        assert cell[-1].text == SAY["bye"]


@pytest.mark.parametrize(("task", "target"), [("tag", "act"), ("classify", "outcome")])
def test_the_settings_that_a_run_keeps_read_the_data_again(task, target):
    first = made(task, rows(), target=target)
    again = TASKS[task].from_data(rows(), first.settings)
    assert again.layout == first.layout
    assert again._parts["test"].inputs == first._parts["test"].inputs


def test_the_label_of_a_call_is_constant_or_its_rows_are_texts():
    task = made("classify", rows(), target="outcome")
    assert task.layout.modality == "turns"
    assert sum(map(len, task._parts.values())) == 20
    different = rows().assign(text=[f"{text} {k}" for k, text in enumerate(rows()["text"])])
    plain = settings_of(TASKS["classify"], {"target": "act"})
    task = TASKS["classify"].from_data(different, plain)
    assert (task.layout.modality, task.layout.form) == ("text", "cell")
    with pytest.raises(InputError, match=r"label .* differs"):
        made("classify", rows(), target="act", modality="turns")
    stars = rows().assign(stars=lambda x: x["call_id"].str[1:].astype(float) / 3)
    assert made("regress", stars, target="stars").layout.modality == "turns"


def test_other_names_are_given():
    frame = rows().rename(columns={"call_id": "k", "speaker": "s", "text": "line", "turn": "n"})
    task = made("tag", frame, modality="turns", target="act", group="k", time="n", text="line")
    assert task.layout.inputs == ("line",)
    with pytest.raises(InputError, match="which column holds the text of an utterance"):
        made("tag", frame, modality="turns", target="act", group="k", time="n")
    given = {"group": "k", "columns": ["line", "s"], "time": "n", "modality": "turns"}
    task = made("tag", frame, target="act", **given)
    assert task.layout.inputs == ("line", "s")
    assert words_of(task)["input"].endswith("a step is line, s (as columns says)")
    with pytest.raises(InputError, match="text and its speaker are read, not s, outcome"):
        made("tag", frame, target="act", **{**given, "columns": ["line", "s", "outcome"]})


def test_a_live_model_streams_what_the_batch_says(live):
    asked = [("caller", SAY["ask"]), ("agent", SAY["tell"]), ("Zoe", SAY["bye"]), ("Yan", "so")]
    said = live.model.predict([asked])
    stream = live.model.stream()
    for number, turn in enumerate(asked):
        if number == 2:
            memory = stream.snapshot()
            stream = live.model.stream()
            stream.restore(memory)
        now = stream.step(turn)
        assert now["tag"] == said["prediction"][number]
        assert now["probability"] == pytest.approx(said["probability"][number], rel=1e-4)
        # The past alone decides.
        part = live.model.predict([asked[: number + 1]])
        assert part["probability"].iloc[-1] == pytest.approx(now["probability"], rel=1e-4)
    assert said["speaker"].tolist() == ["caller", "agent", "Zoe", "Yan"]
    assert said["utterance"].tolist()[:2] == [SAY["ask"], SAY["tell"]]


def test_the_rows_of_a_prediction_are_those_of_the_file(live):
    said = live.model.predict(rows().drop(columns=["act", "outcome"]))
    assert said["utterance"].tolist() == rows()["text"].tolist()
    assert said["row"].tolist() == list(range(1, len(said) + 1))
    assert said["step"].tolist() == rows()["turn"].tolist()
    assert said["call_id"].tolist() == rows()["call_id"].tolist()


def test_files_of_another_form_are_read_too(live, tmp_path):
    (tmp_path / "a.vtt").write_text("WEBVTT\n\n00:01.000 --> 00:02.000\n<v agent>it is the bill\n")
    said = live.model.predict(tmp_path / "a.vtt")
    assert said[["speaker", "utterance"]].to_numpy().tolist() == [["agent", SAY["tell"]]]
    lines = [{"messages": [{"role": "agent", "content": SAY["ask"]}]}] * 2
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert len(live.model.predict(tmp_path / "a.jsonl")) == 2
    same = live.model.predict([[("agent", SAY["ask"])]])
    assert live.model.predict(tmp_path / "a.jsonl")["probability"][0] == same["probability"][0]


def test_baselines_see_the_past_alone_where_the_model_does(live):
    names = list(live.results["baselines"])
    assert names == [
        "most frequent tag",
        "tf-idf + logistic regression on the utterance alone",
        "tf-idf + logistic regression on the utterance with 2 before it",
    ]
    assert "segment" not in " ".join(live.results["test"])
    asked = [[("caller", SAY["ask"]), ("agent", SAY["tell"]), ("caller", SAY["bye"])]]
    for name in names[1:]:
        said = elman.load(live.path, predictor=name).predict(asked)
        assert said["prediction"].tolist() == ["ask", "tell", "bye"]
    report = (live.path / "report.html").read_text()
    assert "caller: what is it ?" in report


def test_lists_and_objects_hold_the_labels_of_utterances(tmp_path):
    said = [{"who": "agent", "text": text, "act": act} for act, text in SAY.items()]
    (tmp_path / "a.jsonl").write_text("\n".join([json.dumps({"turns": said})] * 12))
    task = made("tag", tmp_path / "a.jsonl")
    assert (task.layout.form, task.layout.answers) == ("cell", ("turns.act",))
    frame = pd.DataFrame({"dialog": [list(SAY.values())] * 12, "act": [[0, 1, 2]] * 12})
    task = made("tag", frame)
    assert (task.layout.answers, task.answer.tags) == (("act",), ["0", "1", "2"])
    with pytest.raises(InputError, match=r"which column holds the tags.*emotion"):
        made("tag", frame.assign(emotion=[[0, 0, 1]] * 12))
    frame["act"] = [[0.5, 1, 2]] * 12
    with pytest.raises(InputError, match="row 1, column 'act': The tags are numbers that are not"):
        made("tag", frame)


def test_two_columns_that_may_be_the_answer_are_doubtful():
    frame = rows().rename(columns={"act": "emotion", "outcome": "label"})
    doubt = "column 'label' is taken for the answer, and 'emotion' may be it as well"
    assert any(doubt in one for one in made("tag", frame).understood().doubts)
    said = made("tag", frame, target="label").understood().doubts
    assert not any("may be it" in one for one in said)
    # What is the same in a whole conversation is no answer for each utterance.
    alone = rows().rename(columns={"act": "label", "outcome": "shop"})
    assert not any("may be" in one for one in made("tag", alone).understood().doubts)
    frame = rows().assign(topic=rows()["outcome"].map({"good": "x", "bad": "y"}))
    frame = frame.drop(columns="act")
    [said] = [one for one in made("classify", frame).understood().doubts if "may be" in one]
    assert said.endswith("--set target=outcome or --set target=topic.")


@pytest.mark.parametrize("form", ["9:{m:02}", "0{h}:{m:02} AM", "00:0{h}:{m:02}.5"])
def test_clock_times_order_utterances(form):
    times = [form.format(h=3 + turn // 60, m=turn) for turn in rows()["turn"]]
    frame = rows().assign(time=times).drop(columns="turn")
    for given in ({}, {"time": "time"}):
        task = made("tag", frame, target="act", **given)
        assert task.layout.time == "time"
        assert all(cell[-1].text == SAY["bye"] for cell in task._parts["train"].inputs)
    frame["time"] = "morning"
    doubts = made("tag", frame, target="act").understood().doubts
    assert any("holds no times that could be read ('morning')" in one for one in doubts)


def test_answers_that_differ_within_a_conversation():
    frame = rows()
    frame.loc[5, "outcome"] = {"good": "bad", "bad": "good"}[frame["outcome"][5]]
    with pytest.raises(InputError, match=r"row 6, column 'outcome': .*elman train tag"):
        made("classify", frame, target="outcome")
    task = TASKS["classify"].from_data(rows(), settings_of(TASKS["classify"], {"target": "act"}))
    assert (task.layout.form, task.layout.inputs) == ("cell", ("text",))
    doubts = task.understood().doubts
    assert any("each utterance is read alone, for 'act' differs within most" in d for d in doubts)
    with pytest.raises(InputError, match="elman train tag"):
        made("classify", rows(), target="act", group="call_id")


def test_an_utterance_without_a_word_has_no_answer(live, tmp_path):
    asked = [("caller", SAY["ask"]), ("agent", " "), ("caller", SAY["bye"])]
    found, said = told(live.model.predict, [asked, [("a", SAY["tell"])], [("a", ""), ("b", "")]])
    empty = [False, True, False, False, True, True]
    assert found["prediction"].isna().tolist() == empty
    assert found["probability"].isna().tolist() == empty
    assert said == [
        "1 of 3 inputs is empty (row 3); its answer is left empty.",
        "1 utterance is empty (row 1); its answer is left empty.",
    ]
    whole = live.model.predict([asked[:1]])
    assert found["probability"][0] == pytest.approx(whole["probability"][0], rel=1e-4)
    lines = "call_id,speaker,text,turn\nx,agent,,0\nx,caller,so it is,1\n"
    (tmp_path / "a.csv").write_text(lines)
    found, said = told(live.model.predict, tmp_path / "a.csv")
    assert found["prediction"].isna().tolist() == [True, False]
    assert said == [
        f"1 utterance is empty ({tmp_path / 'a.csv'}, row 2); its answer is left empty."
    ]
    with pytest.raises(InputError, match="The input is empty"):
        live.model.predict([[("a", " ")]])


def test_a_text_is_a_conversation_with_an_utterance_a_line(live):
    text = f"caller: {SAY['ask']}\n\nagent: {SAY['tell']}\n"
    found = live.model.predict(text)
    assert found["speaker"].tolist() == ["caller", "agent"]
    assert found["utterance"].tolist() == [SAY["ask"], SAY["tell"]]
    assert live.model.predict(SAY["ask"])["speaker"].tolist() == [""]
    with pytest.raises(InputError, match=r"no such calls\.csv"):
        live.model.predict("no such calls.csv")


def test_calls_in_files_of_their_own(live, tmp_path):
    names = {"turn": "Start", "speaker": "Sprecher", "text": "Text"}
    frame = rows(8).rename(columns=names)
    for call, part in frame.groupby("call_id"):
        folder = tmp_path / part["outcome"].iloc[0]
        folder.mkdir(exist_ok=True)
        part.drop(columns=["call_id", "outcome"]).to_csv(folder / f"{call}.csv", index=False)
    task = made("tag", tmp_path, target="act")
    assert (task.layout.group, task.layout.time) == ("file", "Start")
    assert sum(map(len, task._parts.values())) == 8
    task = made("classify", tmp_path, modality="turns", target=None, valid_fraction=0)
    assert task.layout.answers == ("label",)
    assert sorted(task.answer.classes) == ["bad", "good"]
    one = tmp_path / "bad" / "c0.csv"
    found = live.model.predict(one)
    assert found["step"].tolist() == [2, 1, 0]
    assert found["call_id"].tolist() == ["c0.csv"] * 3
    (tmp_path / "a.txt").write_text(f"agent: {SAY['tell']}\ncaller: {SAY['bye']}\n")
    assert live.model.predict(tmp_path / "a.txt")["speaker"].tolist() == ["agent", "caller"]


def of_lists(**change):
    frame = pd.DataFrame({"turns": [["How is it ?", "Well."]] * 8, "labels": [["ask", "tell"]] * 8})
    for name, cell in change.items():
        frame.at[3, name] = cell
    return frame


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (of_lists(labels=["ask"]), "row 4, column 'labels': There are 1 tags for 2 utterances"),
        (of_lists(labels=[]), "row 4, column 'labels': The tags are missing"),
        (of_lists(turns=["How ?", " "]), "row 4.*Utterance 2 of the conversation is empty"),
        (of_lists(turns=[]), "row 4.*The conversation has no utterances"),
        (of_lists(turns=[1]), "row 4.*Utterance 1 is neither"),
        (rows().assign(text=lambda x: x["text"].where(x.index != 5)), "row 6.*utterance is empty"),
        (rows().assign(turn=lambda x: x["turn"].where(x.index != 5)), "row 6.*time .* is missing"),
        (rows().assign(act=lambda x: x["act"].where(x.index != 5)), "row 6.*label is missing"),
        (rows().assign(call_id=lambda x: x["call_id"].where(x.index != 5)), "row 6.*is no group"),
    ],
)
def test_what_is_wrong_is_named(frame, why):
    with pytest.raises(InputError, match=why):
        made("tag", frame, target="act" if "act" in frame else None)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"speaker_size": 0, "speaker_dropout": 0.2}, "speaker_dropout has no effect with"),
        ({"max_length": 3}, "max_length means nothing where each step has an answer"),
        ({"character_size": 3}, "character_size is a setting of tokens"),
    ],
)
def test_settings_without_effect_are_refused(given, why):
    with pytest.raises(InputError, match=why):
        made("tag", rows(), target="act", **given)


def test_messages_of_the_service_are_no_turns():
    data = rows()
    joined = data.assign(subtype="", text=data["text"])
    notices = joined[joined.turn == 0].assign(subtype="channel_join", text="has joined", turn=-1)
    both = pd.concat([notices, joined], ignore_index=True)
    read = made("classify", both, target="outcome")
    cells = [str(cell) for part in read._parts.values() for cell in part.inputs]
    assert len(cells) == 20
    assert not any("has joined" in cell for cell in cells)
    assert ("left out", "messages of the service: 20") in read.understood().lines


def test_a_call_in_two_files_is_doubted(tmp_path):
    data = rows()
    for day in ("monday", "tuesday"):
        data.to_csv(tmp_path / f"{day}.csv", index=False)
    read = made("classify", tmp_path, target="outcome")
    (doubt,) = [d for d in read.understood().doubts if "several files" in d]
    assert doubt.startswith("20 of 20 'call_id' stand in several files (such as 'c0')")
    data.loc[data.call_id == "c4", "outcome"] = "good"
    data.to_csv(tmp_path / "tuesday.csv", index=False)
    with pytest.raises(InputError, match=r"in monday.csv.*If each file numbers them anew"):
        made("classify", tmp_path, target="outcome")


def test_one_label_a_text_is_nothing_to_tag():
    data = pd.DataFrame({"text": [f"so it is {i}" for i in range(40)], "mood": ["a", "b"] * 20})
    with pytest.raises(InputError, match="elman train classify"):
        made("tag", data)
