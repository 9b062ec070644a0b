"""Made-up dialogues, and a run of `translate` on them."""

from __future__ import annotations

import json
import random

import elman

TOPICS = ["tea", "rain", "golf", "jazz", "cars", "maths", "fish", "snow", "film", "rome", "bread"]


def talks(n, seed=0):
    """Dialogues in which a question names a topic, and answers hold to it."""
    draw = random.Random(seed)
    return [
        [f"do you like {one} ?", f"yes , i like {one} and {other} .", f"then {other} it is !"]
        for one, other in (draw.sample(TOPICS, 2) for _ in range(n))
    ]


def run_on_talks(folder, settings):
    """A run on a file of dialogues."""
    lines = [json.dumps({"turns": turns}) for turns in talks(160)]
    (folder / "talks.jsonl").write_text("\n".join(lines))
    return elman.train(
        "translate", folder / "talks.jsonl", folder / "run", progress=False, **settings
    )
