"""Tasks: the shapes of problems, each from examples to scores.

`TASKS` maps a name to the class of a task, imported when it is used.
"""

from __future__ import annotations

from elman.registry import Registry

TASKS = Registry(
    "task",
    "elman.tasks",
    {
        "classify": "elman.tasks.classify.task:Classify",
        "forecast": "elman.tasks.forecast.task:Forecast",
        "generate": "elman.tasks.generate.task:Generate",
        "regress": "elman.tasks.regress:Regress",
        "tag": "elman.tasks.tag.task:Tag",
        "translate": "elman.tasks.translate.task:Translate",
    },
)
