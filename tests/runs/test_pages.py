"""What a real browser makes of a report: nothing is cut off, pictures are picked, folds print."""

from __future__ import annotations

import functools
import html
import json
import re
import shutil
import subprocess
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from elman.runs import folder, report
from elman.runs.folder import Run
from elman.scoring.confusion import figure as matrix
from elman.tasks.base import Mark, Panel, Section
from elman.tasks.forecast import figures
from elman.tasks.forecast.panel import Series

WIDTHS = (400, 1200, 1600)
METRICS = ("mase", "smape", "mse", "rmse", "mae", "scaled mse", "scaled mae", "crps", "wql")
LONG = "a review that goes on and on about a film in which nothing happens, " * 3
HOSTILE = "</script><img src=x onerror='document.title=1'>\"&amp;"


def curve(season: int = 12) -> Series:
    times = pd.date_range("2010-01-01", periods=120, freq="MS")
    values = 3e6 + 5e5 * np.sin(2 * np.pi * np.arange(120) / season)
    return Series("north", values[:, None], np.zeros((120, 0)), times)


def predictions(names=("north", "south"), origins: int = 3, horizon: int = 6) -> pd.DataFrame:
    times = curve().times
    rows = [
        (name, times[80 + 9 * k + h], h + 1, "sales", 3e6 + 1e4 * h, 3e6, 2.8e6, 3.3e6)
        for name in names
        for k in range(origins)
        for h in range(horizon)
    ]
    columns = ["series", "time", "step", "target", "value", "forecast", "q0.1", "q0.9"]
    return pd.DataFrame(rows, columns=columns)


def sections() -> list[Section]:
    series, said = {n: curve() for n in ("north", "south")}, predictions()
    classes = [f"class {k} with a name" for k in range(20)]
    words = [[Mark("good 93%: "), Mark("splendid", "", "rgba(90, 160, 230, 0.8)"), Mark(LONG)]]
    return [
        figures.future(predictions(origins=1).drop(columns="value"), series, 12),
        figures.forecasts(said, series, 12, ("drift", said["value"].to_numpy() * 1.01)),
        Section("Wide", table=pd.DataFrame({f"column {k}": [LONG, 3_334_211.4] for k in range(9)})),
        Section("Matrix", figure=matrix(np.eye(20, dtype=np.int64), classes)),
        Section("What decided", marked=words, preformatted=["x" * 400]),
        Section("Folded", "A sentence.", pd.DataFrame({"n": [1]}), folded=True),
        Section(HOSTILE, HOSTILE, panels=[Panel({HOSTILE: HOSTILE}, Figure()) for _ in range(2)]),
    ]


@functools.cache
def drawn() -> list:
    return report.freeze(sections())


def made(path) -> Run:
    """A run of which only the files are there that a report is made from."""
    (path / "data").mkdir(parents=True)
    data = path / "data" / "it's my data.csv"
    data.write_text("x")
    run = Run(path / "a run of mine")
    run.path.mkdir()
    scores = {name: 3_334_211.4 / (k + 1) for k, name in enumerate(METRICS)}
    bounds = {name: [value * 0.9, value * 1.1] for name, value in scores.items()}
    names = [f"tf-idf + logistic regression number {k}" for k in range(7)]
    run.config_file.write_text(
        json.dumps(
            {"format": 2, "task": "forecast", "settings": {"cell": "lstm"}}
            | {"data": {"train": [str(data.resolve())], "train_fingerprint": ["0"]}}
        )
    )
    training = {"steps": 900, "epochs": 3, "stopped": "epochs", "best": {"mase": 1.0}}
    results = {
        "task": "forecast", "metric": "mase", "higher_is_better": False, "test": scores,
        "ci95": bounds, "baselines": dict.fromkeys(names, scores), "seed": 0, "parameters": 12345,
        "baselines_ci95": dict.fromkeys(names, bounds), "verdict": "Worth using.",
        "seconds": {"train": 1.0, "judge": 1.0}, "data": {"rows": 1234567, "names": ["x" * 200]},
        "training": training | {"best_step": 600, "best_epoch": 2, "still_improving": True},
        "understood": {"lines": [["read", LONG]], "doubts": [LONG]},
        "versions": dict.fromkeys(("elman", "torch", "python"), "1"),
    }  # fmt: skip
    rows = [
        {"step": 50 * k, "loss": 3 / (k + 1), "clip_rate": 0.5, "horizon": {"l0": k}}
        for k in range(18)
    ]
    rows += [{"step": 300 * k, "valid": {"mase": 1 / (k + 1), "loss": 2.0}} for k in range(1, 4)]
    run.metrics.write_text("\n".join(map(json.dumps, rows)))
    run.write_json(folder.RESULTS, results)
    run.write_json(folder.SECTIONS, drawn())
    return run


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    run = made(tmp_path_factory.mktemp("pages"))
    report.render(run)
    return run.report.read_text(encoding="utf-8")


def test_the_metric_that_decides_comes_first_and_the_others_are_folded(page):
    scores = page[page.index("Scores on the held-out") : page.index("All metrics")]
    assert "3,334,000" in scores
    assert "[3,001,000, 3,668,000]" in scores
    assert "smape" not in scores
    assert "e+0" not in page[page.index("<body>") :]
    assert "smape" in page[page.index("All metrics") : page.index("The forecast")]


def test_it_says_which_step_was_kept(page):
    said = "Kept: step 600 of 900, after 2 epochs (67 % of the run); validation was still improving"
    assert page.count(said) == 2
    assert page.count(">kept step<") == 2, "both pictures of training mark it"


def test_one_file_of_under_a_megabyte_that_needs_no_script_and_no_network(page):
    assert len(page.encode()) < 1e6
    assert not re.search(r'(src|href)="(?!#)', page.replace("xlink:href", ""))
    assert len(re.findall(r"<figure data-labels", page)) == 2 + 2 * 3 + 2
    assert not re.search(r"<figure[^>]* hidden", page), "the script hides, nothing else"


def test_commands_work_from_where_a_person_stands(page, tmp_path, monkeypatch):
    run = made(tmp_path / "it's here")
    monkeypatch.chdir(tmp_path / "it's here")
    report.render(run)
    text = html.unescape(run.report.read_text(encoding="utf-8"))
    said = re.search(r"elman predict .*", text)[0]
    found = subprocess.run(
        ["sh", "-c", f"elman() {{ printf '%s\\n' \"$@\"; }}; {said}"],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    assert found == ["predict", "a run of mine", "data/it's my data.csv"]
    python = re.search(r"elman\.load\((.*)\)", text)[1]
    assert json.loads(python) == "a run of mine"
    monkeypatch.chdir("/")
    report.render(run)
    text = html.unescape(run.report.read_text(encoding="utf-8"))
    elsewhere = run.path.resolve().relative_to("/")
    assert json.loads(re.search(r"elman\.load\((.*)\)", text)[1]) == str(elsewhere)


PROBE = """
const all = (frame, what) => [...frame.contentDocument.querySelectorAll(what)];
const seen = node => node.getBoundingClientRect().width > 0;
addEventListener("load", () => {
  const found = {};
  for (const frame of document.querySelectorAll("iframe")) {
    const view = frame.contentWindow, root = frame.contentDocument.documentElement;
    const one = found[frame.id] = {};
    view.dispatchEvent(new Event("beforeprint"));
    one.closed = all(frame, "details:not([open])").length;
    one.overflows = root.scrollWidth - root.clientWidth;
    one.cut = all(frame, "svg, pre, h1, h2, p, summary, select").filter(seen).filter(node => {
      const box = node.getBoundingClientRect();
      return box.left < 0 || box.right > root.clientWidth + 0.5;
    }).map(node => node.outerHTML.slice(0, 80));
    one.letters = Math.min(...all(frame, "svg text").filter(seen).map(
      node => node.getBoundingClientRect().height));
    one.scores = all(frame, "table")[1].scrollWidth - root.clientWidth;
    one.lines = all(frame, "tr.ours .one").map(node => node.getClientRects().length);
    view.dispatchEvent(new Event("afterprint"));
    one.again = all(frame, "details:not([open])").length;
    const picker = all(frame, ".picker")[1], shown = () =>
      [...picker.querySelectorAll("figure")].filter(seen).map(node => node.innerText.trim());
    const [series, from] = picker.querySelectorAll("select");
    one.options = [series, from].map(node => [...node.options].map(option => option.value));
    one.first = shown();
    series.value = "south"; series.dispatchEvent(new Event("change"));
    from.value = from.options[2].value; from.dispatchEvent(new Event("change"));
    one.picked = shown();
    one.title = frame.contentDocument.title;
    one.images = all(frame, "img").length;
  }
  document.getElementById("found").textContent = encodeURIComponent(JSON.stringify(found));
});
"""


@pytest.fixture(scope="module")
def frames(page, tmp_path_factory) -> dict:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        pytest.skip(f"no browser: none of {', '.join(names)} is on PATH")
    place = tmp_path_factory.mktemp("browsed")
    shown = "".join(
        f'<iframe id="{width}" width="{width}" height="900" srcdoc="{html.escape(page)}"></iframe>'
        for width in WIDTHS
    )
    file, shot = place / "frames.html", place / "shot.png"
    file.write_text(
        '<!doctype html><meta charset="utf-8"><pre id="found"></pre>'
        f"<script>{PROBE}</script>{shown}",
        encoding="utf-8",
    )
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom", "--no-first-run"]
    options += ["--disable-background-networking", "--disable-extensions"]
    options += [f"--user-data-dir={place / 'profile'}", "--window-size=1700,2900"]
    done = subprocess.run(
        [chromium, *options, f"--screenshot={shot}", file.as_uri()],
        capture_output=True, timeout=120, check=True,
    )  # fmt: skip
    assert shot.stat().st_size > 20_000
    found = re.search(r'<pre id="found">([^<]+)</pre>', done.stdout.decode())[1]
    return json.loads(unquote(found))


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut_off(frames, width):
    seen = frames[str(width)]
    assert seen["overflows"] <= 0
    assert seen["cut"] == []
    assert seen["scores"] <= 0
    assert set(seen["lines"]) == {1}, "an interval stands on one line"
    assert seen["letters"] >= 5


def test_a_reader_picks_series_and_origin(frames):
    for seen in frames.values():
        assert seen["options"][0] == ["north", "south"]
        assert len(seen["options"][1]) == 3
        assert len(seen["first"]) == len(seen["picked"]) == 1
        assert seen["first"][0].startswith(f"north, from {seen['options'][1][0]}")
        assert seen["picked"][0].startswith(f"south, from {seen['options'][1][2]}")


def test_what_is_folded_is_printed_and_folded_again(frames):
    for seen in frames.values():
        assert seen["closed"] == 0
        assert seen["again"] >= 4


def test_no_text_becomes_markup(frames):
    for seen in frames.values():
        assert seen["title"] == "a run of mine · Elman"
        assert seen["images"] == 0
