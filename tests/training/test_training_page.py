"""The examples of docs/training.md run."""

import re
from pathlib import Path


def test_examples_run(capsys):
    page = Path(__file__).parents[2] / "docs" / "training.md"
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, str(page), "exec"), {"__name__": "page"})
    assert "epochs" in capsys.readouterr().out
