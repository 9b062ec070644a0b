"""Values of --set: as YAML has them, but names of columns as they are written."""

import pytest

from elman.cli import show
from elman.cli.arguments import settings_given


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("group=Sentence #", "Sentence #"),
        ("text=#", "#"),
        ("text= #tag ", "#tag"),
        ("target=no", "no"),
        ("target=2020", "2020"),
        ("target=price: EUR", "price: EUR"),
        ("target='a b'", "a b"),
        ("columns=[a #1, no, 3]", ["a #1", "no", "3"]),
        ("time=null", None),
        ("together=", None),
        ("covariates=[on, off]", ["on", "off"]),
        ("missing=[NA, -999]", ["NA", "-999"]),
        ("hidden_size=12", 12),
        ("bidirectional=no", False),
        ("cell_options={peepholes: true}", {"peepholes": True}),
    ],
)
def test_what_a_value_is(pair, value):
    assert settings_given("classify", [pair], None, None) == {pair.partition("=")[0]: value}


def test_a_run_of_many_files_is_one_line(capsys):
    data = ", ".join(f"recording_{i:03}.csv" for i in range(136))
    show.runs([{"run": "a", "task": "classify", "data": data, "state": "stopped"}])
    told = capsys.readouterr().out.strip().splitlines()
    assert len(told) == 2
    assert "recording_000.csv, recording_001.csv and 134 more" in told[1]
