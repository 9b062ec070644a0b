"""A task says what it read, what it took for what, and where that is doubtful."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import elman
from elman.tasks import TASKS
from elman.tasks.settings import settings_of
from elman.tasks.understood import class_words, listed, shorter


def said(task: str, data, test=None, **settings):
    made = TASKS[task].from_data(data, settings_of(TASKS[task], settings), test=test)
    found = made.understood()
    return dict(found.lines), found.doubts, made


def reviews(n: int = 40) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "review": [f"a {'fine' if i % 4 else 'poor'} film, the {i}th" for i in range(n)],
            "label": ["pos" if i % 4 else "neg" for i in range(n)],
            "stars": [i % 5 for i in range(n)],
        }
    )


def test_classify_says_columns_classes_parts_and_an_example(tmp_path):
    file = tmp_path / "reviews.csv"
    reviews().to_csv(file, index=False)
    lines, doubts, _ = said("classify", file, valid_fraction=0.1, test_fraction=0.2)
    assert "reviews.csv" in lines["read"]
    assert "40" in lines["read"]
    assert lines["input"].startswith("column 'review', as text")
    assert lines["answer"].startswith("column 'label'")
    assert lines["left out"] == "stars (number, neither input nor answer)"
    assert lines["classes"].startswith("2 classes: pos 21, neg 7")
    assert lines["examples"].startswith("28 train, 4 valid, 8 test; valid and test drawn at random")
    assert lines["the first"].startswith("'a ")
    assert "→" in lines["the first"]
    assert doubts == []


def test_what_was_set_is_not_said_to_be_found():
    lines, _, _ = said("classify", reviews(), text="review", target="label")
    assert "as text says" in lines["input"]
    assert "as target says" in lines["answer"]


def test_examples_that_stand_in_two_parts_are_doubtful():
    table = reviews()
    _, doubts, _ = said("classify", table, test=table[:10])
    assert len(doubts) == 1
    assert "10 of 10 examples of test stand in train too" in doubts[0]


@pytest.mark.parametrize("form", ["row", "long"])
def test_marks_of_missing_numbers_are_doubtful(form):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(20, 2, (60, 2)).round(2), columns=["q1", "q2"])
    table["label"] = ["a", "a", "b", "b"] * 15
    settings = {}
    if form == "long":
        table["dev"] = [f"D{row // 2}" for row in range(60)]
        settings = {"group": "dev"}
    assert not any("-999" in doubt for doubt in said("classify", table, **settings)[1])
    table.loc[[7, 12, 30], "q2"] = -999
    _, doubts, _ = said("classify", table, **settings)
    found = [doubt for doubt in doubts if "-999" in doubt]
    assert len(found) == 1
    assert found[0].startswith("3 values of 'q2' are -999 (the first in row 8), far from all")


def test_the_same_time_twice_in_a_group_is_doubtful():
    table = pd.DataFrame(
        {
            "machine": np.repeat([f"M{k}" for k in range(20)], 4),
            "hour": [0, 1, 2, 3] * 20,
            "temp": np.random.default_rng(0).normal(size=80).round(3),
            "label": np.repeat(["a", "b"] * 10, 4),
        }
    )
    settings = {"group": "machine", "time": "hour"}
    assert not any("same 'hour'" in doubt for doubt in said("classify", table, **settings)[1])
    table.loc[6, "hour"] = 1
    (doubt,) = [d for d in said("classify", table, **settings)[1] if "same 'hour'" in d]
    assert doubt.startswith("1 row has the same 'hour' as another row of its 'machine' (the")
    assert "'M1', row 7" in doubt


def test_ids_as_texts_are_doubtful():
    table = pd.DataFrame({"text": [f"C-{i:04d}" for i in range(60)], "label": ["a", "b"] * 30})
    _, doubts, _ = said("classify", table)
    assert any("looks like ids (C-0" in doubt for doubt in doubts)


@pytest.mark.parametrize("owner", ["u{0}@x.org", "+49 151 00{0:05d}"])
def test_an_address_in_each_row_is_an_id_and_the_numbers_are_read(owner):
    months = {"jan": [i % 5 for i in range(60)], "feb": [i % 3 for i in range(60)]}
    who = {"contact": [owner.format(i) for i in range(60)]}
    lines, _, _ = said("classify", pd.DataFrame({**who, **months, "label": ["a", "b"] * 30}))
    assert "jan, feb" in lines["input"]
    assert "contact" in lines["left out"]


def test_names_that_are_read_instead_of_the_numbers_beside_them_are_doubtful():
    months = {"jan": [i % 5 for i in range(60)], "feb": [i % 3 for i in range(60)]}
    names = [f"Anna {chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(60)]
    table = pd.DataFrame({"name": names, **months, "label": ["a", "b"] * 30})
    _, doubts, _ = said("classify", table)
    assert any("(jan, feb). Set columns=[jan,feb] if those" in doubt for doubt in doubts)
    # Reviews with numbers beside them are what they look like.
    table["name"] = [f"a long review with many words {name}" for name in names]
    assert said("classify", table)[1] == []


def test_many_classes_are_doubtful():
    table = pd.DataFrame(
        {"text": [f"words of {i}" for i in range(60)], "label": [f"c{i // 3}" for i in range(60)]}
    )
    _, doubts, _ = said("classify", table, valid_fraction=0.0, test=table[:5])
    assert any("20 classes with 3.0 examples each" in doubt for doubt in doubts)


def test_classes_named_like_files_are_doubtful(tmp_path):
    for name in ("first", "second"):
        (tmp_path / f"{name}.txt").write_text("".join(f"{name} line {i}\n" for i in range(30)))
    _, doubts, _ = said("classify", tmp_path)
    assert any("named like a file (first, second)" in doubt for doubt in doubts)


def test_regress_and_tag_say_targets_and_spans():
    rows = [(g, t, float(t + g), float(g)) for g in range(30) for t in range(4)]
    table = pd.DataFrame(rows, columns=["case", "t", "x", "dose"])
    lines, _, _ = said("regress", table, group="case", time="t", target="dose")
    assert "the rows of each 'case', in the order of 't'" in lines["input"]
    assert lines["targets"].startswith("dose ")
    assert lines["lengths"] == "4 steps each"
    tagged = pd.DataFrame({"tokens": [["to", "Oslo"]] * 20, "tags": [["O", "B-place"]] * 20})
    lines, _, _ = said("tag", tagged)
    assert "place" in lines["spans"]
    assert "BIO" in lines["spans"]


def test_forecast_says_calendar_split_and_window():
    days = pd.date_range("2024-01-01", periods=120)
    table = pd.DataFrame({"day": days, "sales": np.random.default_rng(0).normal(size=120)})
    lines, doubts, _ = said("forecast", table, horizon=7, lookback=14, max_steps=10)
    assert lines["read"].startswith("120 rows in memory")
    assert lines["target"] == "'sales' (every column of numbers)."
    assert lines["series"] == "1 series, 120 rows."
    assert lines["time"] == (
        "2024-01-01 to 2024-04-29, in column 'day'. A step: days; a season is 7 steps."
    )
    assert lines["split"].startswith("By time: the first 94 rows train, the next 13 choose")
    assert lines["the first"].startswith("14 values (…,")
    assert doubts == []


def test_a_series_of_row_numbers_is_doubtful():
    table = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=90), "x": np.arange(90.0)})
    _, doubts, _ = said("forecast", table, horizon=3)
    assert any("grows by 1 in each row" in doubt for doubt in doubts)


def test_a_split_of_several_series_says_which_rows_it_counts():
    table = pd.DataFrame(
        {
            "day": [*pd.date_range("2024-01-01", periods=100)] * 2,
            "shop": ["a"] * 100 + ["b"] * 100,
            "sales": np.random.default_rng(0).normal(size=200),
        }
    )
    lines, _, _ = said("forecast", table, horizon=7, group="shop", max_steps=10)
    assert lines["series"] == "2 series (a, b), 100 rows each. They are told apart by 'shop'."
    assert "the first 74 rows of each of 2 series train" in lines["split"]
    assert "(148, 26 and 26 rows in all series together)" in lines["split"]
    lines, _, _ = said("forecast", table[:170], horizon=7, group="shop", max_steps=10)
    assert lines["series"].startswith("2 series (a, b), 70 to 100 rows each.")
    assert "In all series together" in lines["split"]


def test_no_line_of_a_forecast_has_more_than_two_sentences():
    days = pd.date_range("2024-01-01", periods=120, tz="Europe/Berlin").delete([5, 40])
    table = pd.DataFrame({"day": days, "note": "a", "id": range(118), "y": np.arange(118.0) % 5})
    made = TASKS["forecast"].from_data(table, settings_of(TASKS["forecast"], {}))
    for _, line in made.understood().lines:
        assert line.count(". ") < 2


def test_generate_says_symbols_and_the_beginning(tmp_path):
    file = tmp_path / "poem.txt"
    file.write_text("Roses are red.\n" * 200, encoding="utf-8")
    lines, _, _ = said("generate", file)
    assert "poem.txt" in lines["read"]
    assert "utf-8" in lines["read"]
    assert lines["symbols"].startswith("characters; ")
    assert lines["the first"].startswith("'Roses are red.")


def test_a_perfect_score_is_looked_into(tmp_path, capsys):
    table = reviews(80)[["review", "label"]]
    how = {"max_steps": 60, "batch_size": 16, "hidden_size": 16, "resamples": 20, "lr": 0.02}
    found = elman.train("classify", table, tmp_path / "run", **how)
    assert found.results["test"]["accuracy"] == 1.0
    doubts = found.results["understood"]["doubts"]
    assert any("look for a leak" in doubt and "the word '" in doubt for doubt in doubts)
    assert "2 classes: " in capsys.readouterr().err
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "What was understood of the data" in page
    assert "look for a leak" in page


def test_evaluate_says_what_was_trained_on(tmp_path):
    table = reviews(80)[["review", "label"]]
    how = {"max_steps": 2, "hidden_size": 4, "resamples": 10, "test_fraction": 0.25}
    found = elman.train("classify", table, tmp_path / "run", progress=False, **how)
    note = elman.evaluate(found.path, table)["note"]
    assert "60 of these 80 examples were trained or chosen on" in note
    other = table.assign(review=table["review"] + " and more")
    assert "trained or chosen on" not in elman.evaluate(found.path, other).get("note", "")


@pytest.mark.parametrize("task", ["forecast", "generate"])
def test_rows_and_lines_that_were_trained_on_are_counted(tmp_path, task):
    if task == "forecast":
        data = pd.DataFrame(
            {
                "day": pd.date_range("2024-01-01", periods=100),
                "y": np.random.default_rng(0).normal(size=100),
            }
        )
        made = TASKS[task].from_data(data, settings_of(TASKS[task], {"horizon": 5}))
        again = TASKS[task].from_assets(made.settings, made.assets())
        learnt = sum(end.valid for end in made._ends)
        assert f"{learnt} of these 100 rows" in (again.overlap(data) or "")
        assert again.overlap(data.assign(day=data["day"] + pd.Timedelta(days=400))) is None
        return
    file = tmp_path / "text.txt"
    line = "line {} of a long text that has many, many words in it"
    file.write_text("\n".join(line.format(i) for i in range(100)), encoding="utf-8")
    made = TASKS[task].from_data(file, settings_of(TASKS[task], {}))
    again = TASKS[task].from_assets(made.settings, made.assets())
    assert "of these 100 lines of 40 characters or more" in (again.overlap(file) or "")
    file.write_text("\n".join(line.format(i) for i in range(200, 300)), encoding="utf-8")
    assert again.overlap(file) is None


def test_words_of_lists():
    assert listed([f"column{i}" for i in range(30)], 3) == "column0, column1, column2 and 27 more"
    assert shorter("a\n b  c") == "a b c"
    assert class_words({str(i): i for i in range(20)}).startswith("20 classes: 19 19, 18 18")


def visits(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        (1000 + p, bp, hr, p % 7 + bp / 9)
        for p in range(n)
        for bp, hr in rng.integers(60, 190, (4, 2))
    ]
    return pd.DataFrame(rows, columns=["patient", "bp", "hr", "outcome"])


@pytest.mark.parametrize(
    ("name", "asks"),
    [
        ("patient", True),
        ("Subject No.", True),
        ("StoreNr", True),
        ("customer_id", True),
        ("customers", False),
        ("humidity", False),
    ],
)
def test_whom_rows_belong_to_is_no_input_but_asked_about(name, asks):
    table = visits().rename(columns={"patient": name})
    if not asks:
        _, _, made = said("regress", table)
        assert made.layout.inputs == (name, "bp", "hr")
        return
    with pytest.raises(elman.errors.InputError, match="not clear what a sequence is") as caught:
        said("regress", table)
    assert "group=" in str(caught.value)
    assert "together=" in str(caught.value)


def test_a_flag_called_like_a_person_is_an_input():
    table = visits().assign(patient=lambda t: t["patient"] % 2)
    _, _, made = said("regress", table)
    assert made.layout.inputs == ("patient", "bp", "hr")


def test_together_keeps_all_rows_of_one_in_one_part():
    lines, doubts, made = said("regress", visits(), together="patient")
    assert made.layout.inputs == ("bp", "hr")
    assert "all of one 'patient' in one part" in lines["examples"]
    owners = [set(part.owners["patient"]) for part in made._parts.values()]
    assert len(owners) == 3
    assert sum(map(len, owners)) == len(set.union(*owners)) == 60
    assert not any("patient" in doubt for doubt in doubts)


def test_the_same_owner_in_two_parts_is_doubtful():
    _, doubts, made = said("regress", visits(), columns=["bp", "hr"])
    train, test = (set(made._parts[part].owners["patient"]) for part in ("train", "test"))
    count = sum(owner in train for owner in made._parts["test"].owners["patient"])
    assert test & train
    told = [doubt for doubt in doubts if "patient" in doubt]
    assert len(told) == 1
    assert told[0].startswith(f"{count} of {len(made._parts['test'])} examples of test have")
    assert told[0].endswith("--set together=patient.")


def test_together_without_a_drawn_part_is_refused():
    with pytest.raises(elman.errors.InputError, match="together=patient has no effect"):
        said("regress", visits(), visits(9), together="patient", valid_fraction=0.0)


def long_table(order: str = "file") -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        (f"case {k}", 5.0 * k + 0.5 * t, t * 10.0 + k, "up" if k % 2 else "down")
        for k in range(30)
        for t in range(3 + k % 4)
    ]
    table = pd.DataFrame(rows, columns=["case", "clock", "x", "label"])
    return table if order == "file" else table.iloc[rng.permutation(len(table))]


@pytest.mark.parametrize("order", ["file", "shuffled"])
def test_a_column_that_only_counts_the_time_orders_the_steps_and_is_no_channel(order):
    table = long_table(order).assign(x=lambda t: t["x"] + (t["clock"] % 3 == 0))
    lines, _, made = said("classify", table, group="case")
    assert made.layout.inputs == ("x",)
    assert made.layout.time == "clock"
    assert lines["left out"] == "clock (it only counts the time)"
    assert "in the order of 'clock'" in lines["input"]
    for part in made._parts.values():
        assert all((np.diff(np.asarray(cell)[:, 0]) > 0).all() for cell in part.inputs)


def test_a_counter_is_a_channel_where_it_is_set_or_all_there_is():
    _, _, made = said("classify", long_table(), group="case", columns=["clock", "x"])
    assert made.layout.inputs == ("clock", "x")
    _, _, made = said("classify", long_table().drop(columns="x"), group="case")
    assert made.layout.inputs == ("clock",)
    uneven = long_table().assign(clock=lambda t: t["clock"] ** 2)
    _, _, made = said("classify", uneven, group="case")
    assert "clock" in made.layout.inputs


def sentences(n: int = 40) -> pd.DataFrame:
    words = [["Ada", f"saw{i}", "Oslo"] for i in range(n)]
    rows = [
        (f"Sentence: {i}" if k == 0 else None, word, ["B-PER", "O", "B-LOC"][k])
        for i, own in enumerate(words)
        for k, word in enumerate(own)
    ]
    return pd.DataFrame(rows, columns=["Sentence #", "Word", "Tag"])


def test_a_group_in_the_first_row_of_each_only_is_filled_in(tmp_path):
    file = tmp_path / "ner.csv"
    sentences().to_csv(file, index=False)
    assert said("tag", file)[2].layout == said("tag", file, group="Sentence #")[2].layout
    lines, _, made = said("tag", file, group="Sentence #")
    assert "filled in below it" in lines["read"]
    assert lines["lengths"] == "3 words each"
    assert sum(map(len, made._parts.values())) == 40
    assert made.layout.inputs == ("Word",)
    assert made.layout.answers == ("Tag",)
    assert len(made._read(file, answers=True)) == 40


def test_a_group_that_is_missing_elsewhere_is_refused_as_a_group(tmp_path):
    table = sentences()
    table.loc[3, "Sentence #"] = "Sentence: 0"
    table.to_csv(tmp_path / "ner.csv", index=False)
    with pytest.raises(elman.errors.InputError, match="no group") as caught:
        said("tag", tmp_path / "ner.csv", group="Sentence #", text=None)
    assert caught.value.row == 3


def test_counts_say_which_part_and_what_is_alike_is_one_doubt():
    table = reviews().drop(columns="stars")
    lines, doubts, _ = said(
        "classify", pd.concat([table, table]), test=table[:10], valid_fraction=0.1
    )
    assert (
        lines["classes"] == "2 classes: pos 54, neg 18 in train; in all 2 classes: pos 67, neg 23"
    )
    assert len(doubts) == 1
    assert "examples of valid stand in train too; 10 of 10 examples of test" in doubts[0]
    assert "together=NAME" in doubts[0]


def test_a_class_that_the_given_test_part_never_has_is_doubtful():
    table = reviews(60).assign(label=lambda t: ["pos", "neg", "unsup"] * 20)
    given = reviews(40).assign(review=lambda t: t["review"] + " again")
    _, doubts, _ = said("classify", table, test=given, valid_fraction=0.0)
    assert len(doubts) == 1
    assert doubts[0].startswith("'unsup' (20 examples) of train is never in test")
    _, doubts, _ = said("classify", table, test=given[:9], valid_fraction=0.0)
    assert doubts == []


def test_one_is_said_in_the_singular():
    table = pd.DataFrame({"series": [[float(i)] for i in range(40)], "label": ["a", "b"] * 20})
    lines, _, _ = said("classify", table)
    assert lines["lengths"] == "1 step each"
    assert lines["the first"].startswith("1 step of 1 number, scaled: ")


def test_nothing_to_train_on_is_refused_in_words():
    for task in ("classify", "regress", "tag"):
        with pytest.raises(elman.errors.InputError, match="no data to train on"):
            elman.train(task, None)


def test_a_leak_is_named_where_only_a_baseline_is_perfect(tmp_path):
    rng = np.random.default_rng(0)
    churned = rng.integers(0, 2, 200)
    table = pd.DataFrame({"a": rng.normal(size=200), "known": churned, "b": rng.normal(size=200)})
    table["label"] = np.where(churned, "yes", "no")
    run = elman.train(
        "classify", table, tmp_path / "run", progress=False, hidden_size=2, max_steps=1, resamples=9
    )
    assert run.results["test"]["accuracy"] < 1
    doubts = [doubt for doubt in run.results["understood"]["doubts"] if "perfect" in doubt]
    assert len(doubts) == 1
    assert "the model" not in doubts[0].split(" is perfect")[0]
    assert "column 'known' tells the answer by itself" in doubts[0]


def test_too_few_owners_to_share_out_are_refused_with_what_to_do(tmp_path):
    place = tmp_path / "a.csv"
    rows = [f"word {n} {'ab'[n % 2]},{'xy'[n % 2]},ann" for n in range(40)]
    place.write_text("\n".join(["text,label,owner", *rows]))
    task = TASKS["classify"]
    with pytest.raises(
        elman.errors.InputError, match="together=owner has 1 different value"
    ) as failed:
        task.from_data(place, settings_of(task, {"together": "owner"}))
    assert failed.value.file == place
    assert "--valid F --test F" in str(failed.value)


def test_a_class_with_one_example_is_doubtful(tmp_path):
    file = tmp_path / "reviews.csv"
    table = reviews(60)
    table.to_csv(file, index=False)
    assert said("classify", file)[1] == []
    table.loc[7, "label"] = "psitive"
    table.to_csv(file, index=False)
    (doubt,) = said("classify", file)[1]
    assert doubt.startswith("class 'psitive' (reviews.csv, row 9) has one example")


def test_texts_with_two_labels_are_said_to_be_so():
    table = reviews(120)[["review", "label"]]
    twice = table[:30].assign(label="neither")
    _, doubts, _ = said("classify", pd.concat([table, twice], ignore_index=True))
    (doubt,) = doubts
    assert doubt.startswith("60 of 150 examples stand there several times with different labels")
    assert "flatter" not in doubt
    _, doubts, _ = said("classify", pd.concat([table, table[:30]], ignore_index=True))
    assert len(doubts) == 1
    assert "flatter" in doubts[0]


@pytest.mark.parametrize("mark", ["<p>{}<br/>&nbsp;</p>", "{} &#39;A &amp; B&#39;", "{}"])
def test_marks_of_html_are_doubted(mark, tmp_path):
    table = reviews()
    table["review"] = [mark.format(text) for text in table["review"]]
    _, doubts, _ = said("classify", table)
    assert any("column 'review' holds marks of HTML" in doubt for doubt in doubts) == (mark != "{}")
    path = tmp_path / "a.txt"
    path.write_text("\n".join([*table["review"]] * 8))
    _, doubts, _ = said("generate", path)
    assert any("the text holds marks of HTML" in doubt for doubt in doubts) == (mark != "{}")
