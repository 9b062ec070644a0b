"""The doctor's page: what it says without a script, and what a real browser makes of it."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from operator import itemgetter
from urllib.parse import unquote

import numpy as np
import pytest
import torch
from PIL import Image

from elman.errors import InputError
from elman.inspect.page import render

TEXT = "Thou shalt not move me thence, till I have found each letter in the letter\nExcept mine own"
BAD = "document.documentElement.dataset.bad = 1"
HOSTILE = f"</script><script>{BAD}</script><img src=x onerror='{BAD}'> \"'&amp;🙂 --></noscript><b>"


def report(hidden: int = 24, steps: int = 90, layers: int = 2, seed: int = 0) -> dict:
    """What the doctor may find in a character model whose lower layer forgets: made up."""
    return {
        "title": "char model of tinyshakespeare",
        "subject": {
            "run": "runs/shakespeare",
            "model": "LSTM 2 × 24",
            "examples": 64,
            "steps": steps,
            "unit": "characters",
        },
        "verdict": "The lower layer forgets within a dozen characters; its forget gates are shut. "
        "The data depends on its past for about forty.",
        "findings": [
            {
                "name": "healthy norms",
                "severity": "healthy",
                "layer": "rnn.l1",
                "evidence": "The state's norm stays at 3.1.",
                "remedies": [],
            },
            {
                "name": "vanishing gradients",
                "severity": "ill",
                "layer": "rnn.l0",
                "evidence": "The gradient falls by a factor of 0.71 a step: 1.3e-15 is left of it "
                "after 100 steps.",
                "remedies": [
                    {
                        "what": "Start with open forget gates",
                        "set": "forget_bias=1",
                        "source": "Jozefowicz et al. 2015",
                    },
                    {
                        "what": "A cell with an additive path",
                        "set": "cell=lstm",
                        "source": "Hochreiter & Schmidhuber 1997",
                    },
                ],
            },
            {
                "name": "saturated gates",
                "severity": "warning",
                "layer": "rnn.l0",
                "evidence": "71 % of the forget gate's activations lie above 0.9.",
                "remedies": [{"what": "A smaller gain", "set": "init_gain=[0.5, 1]"}],
            },
            {"name": "short sequences", "severity": "note", "evidence": "Trained on 100 steps."}
            | {"remedies": [{"what": "Both at once", "set": "--set lr=0.1 --set 'clip_at=[1]'"}]},
        ],
        "layers": [layer(f"rnn.l{k}", hidden, steps, seed + k) for k in range(layers)],
        "course": {
            "step": list(range(0, 2000, 20)),
            "curves": {
                "loss": (1.4 + 3 * np.exp(-np.arange(100) / 18)).tolist(),
                "norm": (0.3 + np.random.default_rng(seed).gamma(2, 0.2, 100)).tolist(),
                "clip_rate": np.exp(-np.arange(100) / 9).tolist(),
                "horizon": {"rnn.l0": (40 - 35 * np.exp(-np.arange(100) / 30)).tolist()},
                "saturation": (0.4 - 0.3 * np.exp(-np.arange(100) / 30)).tolist(),
            },
        },
        "dependence": {
            "lags": list(range(1, 61)),
            "value": (1.1 * np.arange(1, 61) ** -1.2).tolist(),
            "floor": [0.02] * 60,
            "what": "mutual information, bits",
        },
        "followed": [
            followed("quotes", list(TEXT[:40]), (np.arange(40) % 9 < 3).astype(float).tolist()),
            followed("season:7", np.sin(np.arange(40) / 3).tolist(), np.arange(40.0).tolist()),
        ],
        "trials": [
            {"name": "as it is", "set": "", "metric": 2.134567, "horizon": 12, "helped": None},
            {"name": "open gates", "set": "forget_bias=1", "metric": 1.98, "horizon": 37}
            | {"helped": True},
            {"name": "more units", "set": "hidden_size=512", "metric": 2.15, "horizon": None}
            | {"helped": False},
        ],
    }


def followed(pattern: str, labels: list, holds: list[float]) -> dict:
    place = {"layer": "rnn.l1", "state": "c", "unit": 7, "selectivity": 0.8312, "low": 0.79}
    values = (np.array(holds) - 0.5).tolist()
    return {
        "pattern": pattern,
        "verdict": "Unit 7 of rnn.l1 (c) follows it: 0.83 of 1, by chance the best reaches 0.12.",
        "measure": "|2 AUC − 1|",
        "best": [place | {"high": 0.87, "sign": -1, "p": 0.005}],
        "steps": 8000,
        "example": {"labels": labels, "values": values, "holds": holds},
    }


def layer(name: str, hidden: int, steps: int, seed: int) -> dict:
    rng = np.random.default_rng(seed)
    lags = np.arange(steps)

    def curve(rate: float, first: float = 1.0) -> dict:
        middle = first * rate**lags * np.exp(0.1 * rng.standard_normal(steps))
        ends = {"low": (middle / 2).tolist(), "high": (middle * 2.2).tolist()}
        return {"lags": lags.tolist(), "median": middle.tolist(), **ends}

    jacobian = rng.standard_normal((hidden, hidden)) / hidden**0.5 * 0.95
    eigenvalues = np.linalg.eigvals(jacobian)
    drift = rng.standard_normal((steps, hidden)).cumsum(0) * 0.25
    share = 0.8**lags
    return {
        "name": name,
        "cell": "LSTM",
        "hidden_size": hidden,
        "flow": [{"state": "h", **curve(0.72, 0.3)}, {"state": "c", **curve(0.93, 0.5)}],
        "influence": curve(0.88),
        "intervention": curve(0.885, 0.9),
        "horizon": {"steps": 37, "low": 30, "high": 45, "threshold": 0.01}
        | {"in_unit": "37 characters (30 to 45)"},
        "weight_share": {"lags": lags.tolist(), "share": (share / share.sum()).tolist()},
        "gates": [
            {
                "name": gate,
                "edges": np.linspace(0, 1, 21).tolist(),
                "counts": np.histogram(rng.beta(a, b, 5000), 20, (0, 1))[0].tolist(),
                "low": 0.02,
                "high": 0.71,
            }
            for gate, a, b in (("i", 2, 3), ("f", 5, 1), ("o", 2, 2))
        ],
        "time_constants": {
            "edges": np.geomspace(1, 1000, 16).tolist(),
            "counts": np.histogram(rng.lognormal(2.5, 1, hidden), np.geomspace(1, 1000, 16))[
                0
            ].tolist(),
        },
        "spectrum": {
            "radius": (0.95 + 0.05 * rng.standard_normal(40)).tolist(),
            "eigenvalues": [[z.real, z.imag] for z in eigenvalues],
            "singular": np.linalg.svd(jacobian)[1].tolist(),
            "lyapunov": (-0.05 - 0.02 * np.arange(hidden)).tolist(),
        },
        "fixed_points": {
            "input": "the mean input",
            "distinct": 3,
            "stable": 2,
            "slow": 1,
            "points": [
                {"norm": norm, "unstable": k, "stable": k == 0, "slow": slow, "radius": radius}
                for norm, k, slow, radius in (
                    (1.5, 0, False, 0.9),
                    (1.6, 0, False, 0.8),
                    (0.1, 1, False, 1.4),
                    (0.9, 1, True, 1.01),
                )
            ],
        },
        "norms": {
            "median": (3 - 3 * np.exp(-lags / 8)).tolist(),
            "low": (2.5 - 2.5 * np.exp(-lags / 8)).tolist(),
            "high": (3.4 - 3.4 * np.exp(-lags / 8)).tolist(),
            "trained_length": min(100, steps * 2 // 3),
        },
        "example": {
            "states": np.tanh(drift).tolist(),
            "labels": list((TEXT * (steps // len(TEXT) + 1))[:steps]),
            "gradient": (0.3 * 0.9 ** lags[::-1]).tolist(),
            "attribution": {"step": 100 + steps - 1, "values": (0.8 ** lags[::-1]).tolist()},
            "first": 100,
        },
    }


def drawn(page: str) -> dict:
    """What the page hands to its script."""
    (found,) = re.findall(r'<script type="application/json" id="drawn">(.*?)</script>', page, re.S)
    return json.loads(found)


def figures(page: str, k: int = 0) -> dict[str, dict]:
    """The figures of layer `k` by title."""
    groups = drawn(page)["layers"][k]["groups"]
    return {figure["title"]: figure for group in groups for figure in group["figures"]}


def leaves(value):
    """Every value of nested data."""
    if not isinstance(value, dict | list):
        return [value]
    inner = value.values() if isinstance(value, dict) else value
    return [leaf for v in inner for leaf in leaves(v)]


class Words(HTMLParser):
    """The text a reader without scripts sees, and the tags that hold it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.inside: list[str] = []
        self.text: list[str] = []
        self.tags: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.inside.append(tag)

    def handle_endtag(self, tag):
        while self.inside.pop() != tag:
            pass

    def handle_data(self, data):
        if not {"script", "style"} & set(self.inside):
            self.text.append(data)


def test_without_a_script_everything_is_said_and_the_gradient_is_drawn():
    page = render(report())
    words = Words(page)
    text = " ".join(" ".join(words.text).split())
    said = ["The lower layer forgets", "✕ ill vanishing gradients", "! warning saturated gates"]
    said += ["i note short sequences", "✓ healthy healthy norms", "37 characters (30 to 45)"]
    positions = [text.index(part) for part in said]
    assert positions == sorted(positions), "worst first"
    options = ["--set forget_bias=1", "--set 'init_gain=[0.5, 1]'"]
    options += ["--set lr=0.1 --set 'clip_at=[1]'"]
    for part in (*options, "(Jozefowicz et al. 2015)"):
        assert part in text
    assert "quotes Unit 7 of rnn.l1 (c) follows it: 0.83 of 1" in text
    assert "7 of rnn.l1 (c), inverted 0.83 0.79 to 0.87 0.005" in text
    assert text.index("Patterns that were looked for") < text.index("Layers layer cell")
    painted = re.search(r'<div class="transcript"><pre.*?</pre>', page, re.S).group(0)
    assert " ".join(re.sub("<[^>]*>", "", html.unescape(painted)).split()) == TEXT[:40].strip()
    assert painted.count("underline") == 5, "three steps in nine"
    assert "open gates forget_bias=1 1.98 37 ✓ helped" in text
    assert "more units hidden_size=512 2.15 – did not help" in text
    still = re.search(r"<noscript>(.*)</noscript>", page, re.S).group(1)
    curves = re.findall(r'<path class="curve c\d" d="(M[^"]+)"', still)
    assert len(curves) == 4, "two states in each of two layers"
    first, last = (
        [float(v) for v in point.split()] for point in itemgetter(0, -1)(curves[0][1:].split("L"))
    )
    assert first[0] == 0
    assert last[0] == 640
    assert last[1] > first[1] + 150, "the gradient falls"


def test_nothing_is_loaded_from_anywhere():
    page = render(report())
    assert not re.search(r"\b(src|href)\s*=|url\(|@import|fetch\(|XMLHttp|import\(", page)
    assert "default-src 'none'" in page


def test_a_page_of_two_wide_layers_is_small():
    page = render(report(hidden=256, steps=200))
    assert len(page.encode()) < 1_500_000
    numbers = [v for layer in drawn(page)["layers"] for v in leaves(layer) if isinstance(v, float)]
    assert len(numbers) > 2 * 256 * 200
    assert all(v == float(f"{v:.4g}") for v in numbers)


def test_arrays_and_tensors_are_numbers_and_what_is_not_finite_is_missing():
    given = {
        "layers": [{"name": "l", "norms": {"median": [1.0, float("nan"), 2.00004, float("inf")]}}]
    }
    arrays = {
        "layers": [{"name": "l", "norms": {"median": np.array([1.0, np.nan, 2.00004, np.inf])}}]
    }
    tensors = {
        "layers": (
            {"name": "l", "norms": {"median": torch.tensor([1.0, torch.nan, 2.00004, torch.inf])}},
        )
    }
    assert figures(render(given))["Norm of the state"]["series"][0]["y"] == [1.0, None, 2.0, None]
    assert render(given) == render(arrays) == render(tensors)


def test_what_is_no_data_is_refused():
    with pytest.raises(InputError, match="cannot hold a object"):
        render({"title": object()})


PARTS = {
    "flow": {"Gradient against the lag", "The network unrolled"},
    "influence": set(),
    "weight_share": {"Lags that the weights learn from"},
    "gates": {"Gate i", "Gate f", "Gate o"},
    "time_constants": {"Time constants"},
    "spectrum": {
        "Eigenvalues of the Jacobian",
        "Spectral radius",
        "Singular values of the Jacobian",
    }
    | {"Lyapunov exponents"},
    "norms": {"Norm of the state"},
    "fixed_points": {"Fixed points"},
    "example": {"Hidden states"},
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("empty", ["missing", None, "nothing in it"])
def test_what_was_not_measured_is_left_out(part, empty):
    whole, found = report(layers=1), report(layers=1)
    (layer,) = found["layers"]
    value = layer.pop(part)
    if empty != "missing":
        nothing = [] if isinstance(value, list) else dict.fromkeys(value)
        layer[part] = empty and nothing
    titles = set(figures(render(found)))
    assert titles == set(figures(render(whole))) - PARTS[part]


def test_the_influence_goes_when_neither_kind_was_measured():
    found = report(layers=1)
    found["layers"][0] |= {"influence": {}, "intervention": None}
    assert "Influence of an input" not in figures(render(found))


def test_no_row_of_figures_has_a_hole():
    page = render(report())
    groups = [g["figures"] for part in drawn(page)["layers"] for g in part["groups"]]
    for group in [*groups, drawn(page)["course"]]:
        column = 0
        for figure in group:
            assert not (figure["wide"] and column), figure["title"]
            column = 0 if figure["wide"] else (column + 1) % 2
        assert column == 0


def test_figures_say_what_was_measured():
    found = report(layers=1)
    (layer,) = found["layers"]
    layer["weight_share"] = {"lags": [0, 1, 2, 3], "share": [0.1, 0.3, 0.4, 0.2]}
    layer["gates"] = [
        {"name": "f", "edges": [0, 0.5, 1], "counts": [1, 3], "low": 0.02, "high": 0.7}
    ]
    layer["time_constants"] = {
        "edges": np.logspace(-3, 6, 10),
        "counts": [0] * 4 + [3, 1] + [0] * 3,
    }
    layer["spectrum"] = {"eigenvalues": [[0.6, 0.79], [0.6, -0.79], [0.8, 0.7], [-1.1, 0]]}
    layer["spectrum"] |= {"lyapunov": [-3.0, 0.5 * np.log(2)], "radius": [0.9, 0.9]}
    seen = figures(render(found))
    assert seen["Influence of an input"]["note"].endswith("threshold: 37 characters (30 to 45).")
    assert seen["Lags that the weights learn from"]["note"].endswith("lags up to 2.")
    assert seen["Lags that the weights learn from"]["bins"][1] == [0.5, 1.5, 0.3]
    assert seen["Gate f"]["bins"] == [[0, 0.5, 0.25], [0.5, 1, 0.75]]
    assert seen["Gate f"]["note"] == "2 % at its low end, 70 % at its high end."
    assert seen["Eigenvalues of the Jacobian"]["note"] == "50 % lie outside the unit circle."
    assert seen["Lyapunov exponents"]["series"][0]["y"] == [0.3466, -3.0]
    assert "doubles every 2 steps" in seen["Lyapunov exponents"]["note"]
    assert [share for *_, share in seen["Spectral radius"]["bins"]] == [1.0]
    assert seen["Time constants"]["x"]["log"]
    assert [bin[2] for bin in seen["Time constants"]["bins"]] == [0, 0.75, 0.25, 0]
    assert seen["Time constants"]["bins"][1][:2] == [10, 100]
    assert not seen["Gate f"]["x"]["log"]


def test_the_liveliest_unit_is_shown_first_and_words_are_set_apart():
    states = [[0.0, 0.9, None], [0.1, -0.9, 0.2], [0.0, 0.9, 0.2]]
    found = {"layers": [{"example": {"states": states, "labels": ["the", "cat", "sat"]}}]}
    figure = figures(render(found))["Hidden states"]
    assert figure["unit"] == 1
    assert figure["words"] == ["the ", "cat ", "sat "]
    found["layers"][0]["example"]["labels"] = [1.5, None, 2]
    figure = figures(render(found))["Hidden states"]
    assert (figure["words"], figure["values"]) == ([], [1.5, None, 2])
    found["layers"][0]["example"]["labels"] = [0, 1, 2]
    figure = figures(render(found))["Hidden states"]
    assert (figure["words"], figure["values"]) == ([], [])


def test_fixed_points_are_counted_in_words():
    def told(**found) -> str:
        return figures(render({"layers": [{"fixed_points": found}]}))["Fixed points"]["note"]

    seen = figures(render(report()))["Fixed points"]
    assert (
        "reads the mean input again and again, 3 fixed points were found, 2 of them"
        in (seen["note"])
    )
    assert "1 places where it hardly moves" in seen["note"]
    assert [(s["name"], s["x"], s["y"]) for s in seen["series"]] == [
        ("stable", [1.5, 1.6], [0.9, 0.8]),
        ("unstable", [0.1], [1.4]),
        ("slow", [0.9], [1.01]),
    ]
    one = [{"norm": 0.0, "stable": True, "slow": False, "radius": 0.5}]
    assert "one fixed point was found, it is stable." in told(distinct=1, stable=1, points=one)


def test_what_chance_would_show_is_drawn_beside_the_data():
    seen = figures(render(report()))["Dependence in the data"]
    assert [s["name"] for s in seen["series"]] == ["the data", "by chance"]
    assert seen["series"][1]["y"] == [0.02] * 60
    without = report()
    del without["dependence"]["floor"]
    seen = figures(render(without))["Dependence in the data"]
    assert [s["name"] for s in seen["series"]] == ["the data"]


def test_lags_that_weights_do_not_learn_from_take_no_room():
    seen = figures(render(report()))["Lags that the weights learn from"]
    assert len(seen["bins"]) == 21, "0.8 to the 20th is 1.2 %"
    assert seen["note"].endswith("Beyond 20 no lag has a hundredth of the largest.")
    assert seen["x"]["whole"]


def test_a_verdict_that_says_it_all_is_said_once():
    healthy = {"name": "healthy", "severity": "healthy", "evidence": "It reaches 9 steps."}
    page = render({"verdict": "Healthy. It reaches 9 steps.", "findings": [healthy]})
    assert page.count("It reaches 9 steps.") == 1
    assert "<h2>Findings" not in page
    assert '<p class="verdict healthy">' in page
    assert render({"verdict": "Ill.", "findings": [healthy]}).count("<h2>Findings") == 1


def test_a_state_without_a_gradient_at_lag_0_does_not_fall_from_nothing():
    flow = [{"state": "c", "lags": [0, 1, 2], "median": [0.0, 0.5, 0.25], "low": [], "high": []}]
    seen = figures(render({"layers": [{"flow": flow}]}))["Gradient against the lag"]
    assert seen["series"][0]["y"] == [None, 0.5, 0.25]


def test_a_horizon_is_told_in_the_units_there_are():
    def told(horizon: dict) -> str:
        page = render({"layers": [{"name": "l", "horizon": horizon}]})
        return re.findall("<td>([^<]*)</td></tr>", page)[0]

    assert told({"steps": 37.0, "low": 30, "high": 45.25}) == "37 steps (30 to 45.25)"
    assert told({"steps": 37.0}) == "37 steps"
    assert told({"steps": 37, "low": 30, "high": 45, "in_unit": "3 hours"}) == "3 hours"
    assert told({}) == "–"


def test_an_influence_of_nothing_is_seen_on_an_axis_with_a_zero():
    zero = {"lags": [0, 1], "median": [0.0, 0.0]}
    found = {"layers": [{"influence": zero}, {"influence": zero | {"median": [1.0, 0.0]}}]}
    page = render(found)
    assert not figures(page, 0)["Influence of an input"]["y"]["log"]
    assert figures(page, 1)["Influence of an input"]["y"]["log"]


# In a real browser.

PROBE = """
const by = (frame, what) => [...frame.contentDocument.querySelectorAll(what)];
const counts = frame => Object.fromEntries(WHAT.map(what => [what, by(frame, what).length]));
const key = (node, key) => node.dispatchEvent(new node.ownerDocument.defaultView.KeyboardEvent(
  "keydown", {key, bubbles: true, cancelable: true}));
const point = (node, kind, x, y) => {
  const view = node.ownerDocument.defaultView, box = node.getBoundingClientRect();
  const at = {clientX: box.left + x * box.width, clientY: box.top + y * box.height, bubbles: true};
  node.dispatchEvent(new view.PointerEvent(kind, at));
};
const text = node => node.textContent;
const probes = {
  sparse(frame) {
    const number = bar => ["y", "height"].map(key => Number(bar.getAttribute(key)));
    return {bars: by(frame, ".bar").map(number)};
  },
  used(frame) {
    const one = what => by(frame, what)[0], found = {};
    const panels = () => by(frame, "[role=tabpanel]").map(panel => panel.hidden);
    const tabs = by(frame, "[role=tab]");
    found.first = panels();
    key(tabs[0], "ArrowRight");
    const focused = frame.contentDocument.activeElement === tabs[1];
    found.right = [panels(), focused, tabs.map(tab => tab.tabIndex)];
    key(tabs[1], "ArrowRight");
    found.round = panels();
    tabs[1].click();
    key(tabs[1], "Home");
    found.home = panels();
    point(one("#panel-0 figure.lines > svg"), "pointermove", 0.5, 0.5);
    found.tip = by(frame, "#tip div").map(text);
    point(one("#panel-0 figure.lines > svg"), "pointerleave", 0.5, 0.5);
    found.gone = one("#tip").hidden;
    point(one(".heat"), "pointermove", 10.5 / 90, 5.5 / 24);
    found.readout = text(one(".readout"));
    found.here = by(frame, ".transcript .here").map(text);
    point(one(".heat"), "click", 10.5 / 90, 5.5 / 24);
    found.trace = text(one(".strip"));
    found.colours = by(frame, "#panel-0 .transcript span").map(word => word.style.background);
    key(one(".stack"), "ArrowDown");
    key(one(".stack"), "ArrowRight");
    key(one(".stack"), "Enter");
    found.keys = [text(one(".readout")), text(one(".strip"))];
    one(".option button").click();
    found.copied = String(frame.contentWindow.getSelection());
    return found;
  },
};
addEventListener("load", () => {
  const found = {};
  for (const frame of document.querySelectorAll("iframe[id]")) {
    const root = frame.contentDocument.documentElement;
    found[frame.id] = {data: {...root.dataset}, counts: counts(frame), text: root.innerText,
      overflows: root.scrollWidth - root.clientWidth, ...(probes[frame.id]?.(frame) ?? {})};
    found[frame.id].data = {...root.dataset};
  }
  document.getElementById("found").textContent = encodeURIComponent(JSON.stringify(found));
});
"""


WHAT = (
    ".finding .option button",
    "[role=tab]",
    "#panel-0 figure.lines .curve",
    "#panel-0 figure.lines .spread",
    "#panel-0 figure.bars .bar",
    "#panel-0 .eigenvalue",
    "#panel-0 .circle",
    "#panel-0 .pass",
    "#panel-0 .cell",
    "#panel-0 canvas.heat",
    "#panel-0 .strip .curve",
    "#panel-0 .transcript span",
    "#panel-0 .interval",
    "#panel-0 .dot",
    ".followed .curve",
    "#course .curve",
    "script",
    "img",
    "b",
    "figure",
)


@pytest.fixture(scope="module")
def chromium() -> str:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(names)} is on PATH")
    return found


def hostile(value):
    """A report with every text of a model or its data turned into an attack."""
    if isinstance(value, dict):
        return {k: v if k == "severity" else hostile(v) for k, v in value.items()}
    if isinstance(value, list):
        return [hostile(v) for v in value]
    return HOSTILE if isinstance(value, str) else value


def sparse() -> dict:
    """Bits of everything: one point, all zero, all the same, nulls, a gradient of nothing."""
    one = {"lags": [0], "median": [1.0], "low": [], "high": []}
    zero = {"lags": [0, 1, 2], "median": [0.0, 0.0, 0.0]}
    gap = {"lags": [0, 1, 2, 3], "median": [1.0, None, 0.0, 1e-30], "low": [None] * 4, "high": []}
    example = {"states": [[0.0, None], [0.0, 0.0]], "labels": [0.5, None], "gradient": [0.0, None]}
    layer = {"flow": [{"state": "h", **one}, {"state": "c", **gap}], "influence": zero}
    layer |= {"horizon": {"steps": 5, "low": None, "high": None}, "example": example}
    layer |= {
        "gates": [{"name": "f", "edges": [0, 1], "counts": [3]}],
        "norms": {"median": [2.0] * 3},
    }
    layer |= {"weight_share": {"lags": [0, 1], "share": [1.0, -0.25]}}
    layer |= {"spectrum": {"eigenvalues": [[0, 0]], "radius": [1.0], "singular": [0.0, 0.0]}}
    return {"layers": [layer], "course": {"step": [0], "curves": {"loss": [2.5]}}, "trials": [{}]}


@pytest.fixture(scope="module")
def browsed(tmp_path_factory) -> tuple[dict, np.ndarray]:
    """What a browser made of several pages, and a picture `(H, W, 3)` of one that is a file.

    All are frames of one document, so that the browser starts only once.
    """
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        pytest.skip(f"no browser: none of {', '.join(names)} is on PATH")
    pages = {
        "used": (render(report()), 1100),
        "narrow": (render(report()), 400),
        "hostile": (render(hostile(report())), 1100),
        "empty": (render({}), 1100),
        "sparse": (render(sparse()), 700),
    }
    shown = "".join(
        f'<iframe id="{name}" width="{width}" height="600" srcdoc="{html.escape(page)}"></iframe>'
        for name, (page, width) in pages.items()
    )
    folder = tmp_path_factory.mktemp("browsed")
    file, page, shot = (folder / name for name in ("frames.html", "page.html", "shot.png"))
    page.write_text(render(report()), encoding="utf-8")
    file.write_text(
        '<!doctype html><meta charset="utf-8"><body style="margin:0">'
        '<div style="height:2700px"><iframe src="page.html" width="1000" height="6750" '
        'style="border:0;transform:scale(.4);transform-origin:0 0"></iframe></div>'
        f'<pre id="found"></pre><script>const WHAT = {json.dumps(WHAT)};{PROBE}</script>{shown}',
        encoding="utf-8",
    )
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--dump-dom"]
    options += ["--no-first-run", "--disable-background-networking", "--disable-extensions"]
    options += [f"--user-data-dir={folder / 'profile'}", "--window-size=500,2700"]
    done = subprocess.run(
        [chromium, *options, f"--screenshot={shot}", file.as_uri()],
        capture_output=True,
        timeout=120,
        check=True,
    )
    found = re.search(r'<pre id="found">([^<]+)</pre>', done.stdout.decode()).group(1)
    return json.loads(unquote(found)), np.asarray(Image.open(shot).convert("RGB")).astype(int)


@pytest.fixture(scope="module")
def frames(browsed) -> dict:
    return browsed[0]


def test_a_browser_draws_the_page_from_a_file(browsed):
    _, shot = browsed
    assert shot.std() > 10
    red, _, blue = np.moveaxis(shot, -1, 0)
    assert ((blue - red > 100) & (blue > 180)).sum() > 1000, "states above zero"
    assert ((red - blue > 100) & (red > 180)).sum() > 1000, "states below zero"


def test_everything_measured_is_drawn(frames):
    seen, counts = frames["used"], frames["used"]["counts"]
    assert seen["data"] == {"drawn": "yes"}
    assert counts[".finding .option button"] == 4
    assert counts["[role=tab]"] == 2
    # Flow of two states, two kinds of influence, dependence and chance with a legend each; three
    # kinds of fixed points have a legend only; singular values, exponents, norm.
    assert counts["#panel-0 figure.lines .curve"] == 2 * (2 + 2 + 2) + 3 + 3
    assert counts["#panel-0 .dot"] >= 4
    assert counts[".followed .curve"] == 2 * 2
    assert counts["#panel-0 figure.lines .spread"] == 2 + 2 + 1
    bins = [figure["bins"] for figure in figures(render(report())).values() if "bins" in figure]
    assert (
        counts["#panel-0 figure.bars .bar"]
        == sum(map(len, bins))
        == 21 + 3 * 20 + len(bins[-2]) + len(bins[-1])
    )
    assert counts["#panel-0 .eigenvalue"] == 24
    assert counts["#panel-0 .circle"] == 1
    assert counts["#panel-0 .cell"] == counts["#panel-0 .pass"] + 2 >= 12
    assert counts["#panel-0 canvas.heat"] == 1
    assert counts["#panel-0 .strip .curve"] == 3, "unit, gradient, attribution"
    assert counts["#panel-0 .transcript span"] == 90
    assert counts["#panel-0 .interval"] == 2
    assert counts["#course .curve"] == 5


def test_a_narrow_page_is_drawn_anew_and_does_not_overflow(frames):
    assert frames["narrow"]["data"] == {"drawn": "yes"}
    assert frames["narrow"]["overflows"] == 0
    cells = "#panel-0 .cell"
    assert 8 <= frames["narrow"]["counts"][cells] < frames["used"]["counts"][cells]


def test_no_text_becomes_markup(frames):
    seen, plain = frames["hostile"], frames["used"]
    assert seen["data"] == {"drawn": "yes"}
    for tag in ("script", "img", "b", "figure"):
        assert seen["counts"][tag] == plain["counts"][tag], tag
    assert HOSTILE in seen["text"]


def test_an_empty_and_a_sparse_report_are_drawn(frames):
    assert frames["empty"]["data"] == {"drawn": "yes"}
    assert frames["empty"]["text"].strip() == "The doctor's report"
    assert frames["sparse"]["data"] == {"drawn": "yes"}
    assert frames["sparse"]["counts"]["figure"] == len(figures(render(sparse()))) + 1
    assert not re.search("NaN|undefined|Infinity", frames["sparse"]["text"])
    (above, tall), (below, short) = frames["sparse"]["bars"][:2]
    assert above + tall == pytest.approx(below), "one stands on zero, the other hangs from it"
    assert tall == pytest.approx(4 * short)


def test_tabs_are_used_by_keyboard(frames):
    seen = frames["used"]
    assert seen["first"] == seen["round"] == seen["home"] == [False, True]
    assert seen["right"] == [[True, False], True, [-1, 0]]


def test_pointing_at_a_curve_tells_its_values(frames):
    tip = frames["used"]["tip"]
    assert re.fullmatch(r"lag, steps: 4\d", tip[0])
    assert re.fullmatch(r"h: \S+ \(\S+ to \S+\)", tip[1])
    assert tip[2].startswith("c: ")
    assert frames["used"]["gone"]


def test_a_step_and_a_unit_of_the_example_are_read_and_chosen(frames):
    seen, example = frames["used"], report()["layers"][0]["example"]
    state, gradient = example["states"][10][5], example["gradient"][10]
    assert seen["here"] == [TEXT[10]]

    def said(v: float) -> str:
        return f"{v:.3g}".replace("-", "−")

    wanted = f"step 110 · “{TEXT[10]}” · unit 5: {said(state)} · gradient "
    assert seen["readout"].startswith(wanted)
    assert gradient < 1e-3
    assert "·10⁻⁵ · adds " in seen["readout"]
    assert seen["trace"].startswith("unit 5")
    values = [row[5] for row in example["states"]]
    strongest = int(np.abs(values).argmax())
    orange, blue = "rgba(217, 118, 38, ", "rgba(45, 125, 210, "
    for t, colour in enumerate(seen["colours"]):
        assert colour.startswith(blue if values[t] >= 0 else orange)
    assert seen["colours"][strongest].endswith("0.75)")
    assert seen["keys"][0].startswith("step 111 · ")
    assert "unit 6: " in seen["keys"][0]
    assert seen["keys"][1].startswith("unit 6")


def test_the_copy_button_takes_the_setting(frames):
    assert frames["used"]["copied"] == "--set forget_bias=1"
