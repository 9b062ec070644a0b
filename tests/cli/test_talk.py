"""`elman chat`: a dialogue line by line, and in a terminal."""

from __future__ import annotations

import csv
import json

import pytest

import elman
from elman.cli.talk import talk
from elman.errors import InputError


@pytest.fixture(scope="module")
def model(talk_run):
    return elman.load(talk_run)


def test_each_line_has_an_answer_and_the_dialogue_goes_on(elman, talk_run):
    said = b"do you like tea ?\n\nthank you .\n/reset\ndo you like tea ?\n/quit\nnot read\n"
    done = elman("chat", talk_run, typed=said)
    assert done.returncode == 0, done.stderr
    first, empty, second, again = done.stdout.splitlines()
    assert first.startswith("yes, ")
    assert (empty, again) == ("", first)
    assert second
    assert done.stderr == ""


def test_answers_are_json_where_that_is_asked_for(elman, talk_run):
    typed = b"do you like golf ?\n/n-best 2\n\n/why\n/help\n/reset\ndo you like golf ?\n/quit\n"
    done = elman("chat", talk_run, "--json", typed=typed)
    first, listed, empty, why, told, reset, again = map(json.loads, done.stdout.splitlines())
    assert first["said"] == "do you like golf ?"
    assert (empty, reset, again) == ({"said": "", "answer": ""}, {"reset": True}, first)
    assert "do you like golf ?" in why["why"]
    assert "/n-best" in told["help"]
    best = listed["n_best"]
    assert best[0]["answer"] == first["answer"]
    assert best[0]["score"] >= best[1]["score"]


def test_in_json_a_mistake_is_the_answer_of_its_line(elman, talk_run):
    done = elman("chat", talk_run, "--json", typed=b"/why\n/nonsense\ndo you like tea ?\n")
    assert done.returncode == 0, done.stderr
    early, unknown, answer = map(json.loads, done.stdout.splitlines())
    assert early == {"error": "Nothing was said yet."}
    assert "There is no /nonsense" in unknown["error"]
    assert answer["answer"].startswith("yes, ")


def test_what_begins_with_a_stroke_tells_of_the_last_answer(elman, talk_run):
    done = elman("chat", talk_run, typed=b"/help\ndo you like rain ?\n/n-best\n/why\n")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    answer = next(line for line in lines if line.startswith("yes"))
    after = lines[lines.index(answer) + 1 :]
    assert len(after) > 5
    assert after[0].endswith(answer)
    score, worse = (float(line.split()[0]) for line in after[:2])
    assert score >= worse
    [place] = [n for n, line in enumerate(after) if line.strip() == "do you like rain ?"]
    row = next(line for line in after[place:] if line.startswith("yes"))
    # Each word of the source has one shade over all its letters.
    shades = {row.ljust(200)[after[place].index("like") + n] for n in range(4)}
    assert len(shades) == 1
    assert set(row) - set("yes ") <= set("░▒▓█")
    assert set(row) & set("▒▓█")


def test_predictions_tell_the_replies_of_a_line_apart(elman, talk_run, tmp_path):
    one, two = "do you like tea ? __eou__ yes , tea and art . __eou__ good .", "do you like golf ?"
    (tmp_path / "new.txt").write_text(f"{one}\n{one}\n")
    done = elman("predict", talk_run, tmp_path / "new.txt", "--n-best", 2)
    assert done.returncode == 0, done.stderr
    found = list(csv.DictReader(done.stdout.splitlines()))
    told = [(row["row"], row["reply"], row["rank"]) for row in found]
    assert told[:4] == [("1", "1", "1"), ("1", "1", "2"), ("1", "2", "1"), ("1", "2", "2")]
    assert len(set(told)) == len(told) == 8
    (tmp_path / "new.txt").write_text(f"{two} __eou__ yes .\n")
    done = elman("predict", talk_run, tmp_path / "new.txt")
    assert "reply" not in done.stdout.splitlines()[0]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (b"hello .\n/nonsense 3\n", "standard input, row 2: There is no /nonsense 3. /help"),
        (b"/why\n", "standard input, row 1: Nothing was said yet."),
        (b"hello .\n\xff\xfe\n", "standard input, row 2: not UTF-8."),
        (b"hello .\n/n-best 0\n", "standard input, row 2: n_best=0"),
    ],
)
def test_a_wrong_line_of_a_file_is_named(elman, talk_run, typed, said):
    done = elman("chat", talk_run, typed=typed)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_in_a_terminal_a_mistake_is_told_and_the_dialogue_goes_on(elman, talk_run, terminal):
    typed = [b"/nonsense\n", b"do you like jazz ?\n", b"\x04"]
    with terminal(typed, b"> ") as (name, shown):
        done = elman("chat", talk_run, terminal=name)
    assert done.returncode == 0
    assert "There is no /nonsense" in done.stderr
    assert "/help lists" in done.stderr
    assert b"yes, " in b"".join(shown)


def test_an_option_without_effect_on_a_dialogue_is_refused(elman, talk_run):
    done = elman("chat", talk_run, "--set", "n_best=3", typed=b"hello .\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert "n_best has no effect on a dialogue" in done.stderr
    assert "type /n-best N" in done.stderr


def test_ctrl_c_ends_it(model, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)

    def interrupted(prompt: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupted)
    talk(model.chat(), False)
    assert capsys.readouterr().out == ""


def test_a_run_that_does_not_talk_is_refused_with_what_to_use(elman, classify_run, generate_run):
    for run, instead in ((classify_run, "Use predict"), (generate_run, "Use generate")):
        done = elman("chat", run, typed=b"hello\n")
        assert done.returncode == 2
        assert "model does not talk" in done.stderr
        assert instead in done.stderr


def test_a_dialogue_from_python(model):
    chat = model.chat()
    first = chat.say("do  you like tea ?")
    assert chat.said == ["do you like tea ?", first]
    context = "do you like tea ?"
    assert [one.text for one in chat.n_best(1)] == [first]
    chat.say("well ,")
    # Two turns are the source, as in training.
    source = f"{first} __eou__ well ,"
    [answer] = model.task.answers(model.module, [source])
    assert chat.said[-1] == answer[0].text
    chat.reset()
    assert chat.said == []
    assert chat.say(context) == first
    with pytest.raises(InputError, match="nothing to answer"):
        chat.say(" ")


def test_a_drawn_answer_depends_on_seed_and_turn(model):
    drawn = [model.chat(temperature=2.0, seed=seed).say("do you like tea ?") for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1]
    chat = model.chat(temperature=2.0, seed=1)
    said = []
    for _ in range(6):
        said.append(chat.say("do you like tea ?"))
        assert chat.n_best(1)[0].text == said[-1]
    assert len(set(said)) > 1
    with pytest.raises(InputError, match="warmth is no option of writing"):
        model.chat(warmth=1)


def test_a_baseline_talks_and_has_no_attention(talk_run):
    chat = elman.load(talk_run, "nearest").chat()
    assert chat.say("do you like tea ?").startswith("yes , tea and")
    with pytest.raises(InputError, match="nearest by TF-IDF has no attention"):
        chat.why()
    with pytest.raises(InputError, match="no such option"):
        elman.load(talk_run, "nearest").chat(beam=3)


def test_a_drawing_fits_its_width(model):
    chat = model.chat()
    chat.say("do you like tea ?")
    for width in (12, 30, 200):
        for line in chat.why(width, " .:*#").splitlines():
            assert len(line) <= max(width, 2 + max(map(len, line.split(" ")), default=0) + 18)
    assert "tea" in chat.why(12)


def test_predict_gives_several_answers_with_scores_and_alignments(elman, talk_run, tmp_path):
    (tmp_path / "new.txt").write_text("do you like tea ?\ndo you like fish ?\n")
    done = elman("predict", talk_run, tmp_path / "new.txt", "--n-best", 3, "--json")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["rank"] for row in rows] == [1, 2, 3, 1, 2, 3]
    assert rows[0]["score"] >= rows[1]["score"] >= rows[2]["score"]
    assert [pair[0] for pair in rows[0]["alignment"]][:2] == ["yes", ","]
    same = elman("predict", talk_run, tmp_path / "new.txt", "-s", "n_best=3", "--json")
    assert [json.loads(line)["prediction"] for line in same.stdout.splitlines()] == [
        row["prediction"] for row in rows
    ]
    csv = elman("predict", talk_run, tmp_path / "new.txt", "--n-best", 1).stdout.splitlines()
    assert csv[0] == "row,prediction,score,alignment"
    assert '[[""yes""' in csv[1]


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("n_best=many", "n_best is a whole number, not 'many'"),
        ("beams=3", "beams is no option of writing"),
        ("data=x", "--set data: there is no such option"),
        ("n_best", "expected KEY=VALUE, such as --set n_best=3"),
    ],
)
def test_wrong_options_of_predict_are_refused(elman, talk_run, tmp_path, option, said):
    (tmp_path / "new.txt").write_text("do you like tea ?\n")
    done = elman("predict", talk_run, tmp_path / "new.txt", "--set", option)
    assert done.returncode == 2
    assert said in done.stderr


def test_options_are_refused_where_a_task_has_none(elman, forecast_run, series_file):
    done = elman("predict", forecast_run, series_file, "--n-best", 3)
    assert done.returncode == 2
    assert "n_best is no option of forecast" in done.stderr
