"""Columns by their names: ids of rows, and who or what a row belongs to."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from elman.data import Table

_ID = re.compile(r"(^|[\W_])(id|ids|uuid|guid|idx|index|key|rowid)$|[a-z]I[dD]$", re.IGNORECASE)
# Pandas calls a second index `Unnamed: 0.1` or `level_0`.
_UNNAMED = re.compile(
    r"|index(\.\d+)?|unnamed: ?\d+(\.\d+)*|level_\d+|(__)?index_level_\d+(__)?"
    r"|column 1|#|nr\.?|no\.?|row|n",
    re.IGNORECASE,
)
# In the singular: `customers` and `cases` are counted, `customer` and `case` are named.
_OWNERS = (
    *("patient", "subject", "subj", "participant", "person", "proband", "individual"),
    *("user", "customer", "client", "member", "account", "household", "family"),
    *("student", "pupil", "employee", "worker", "speaker", "author", "driver", "player"),
    *("session", "visit", "case", "episode", "trial", "trip", "ride", "recording", "experiment"),
    *("device", "machine", "engine", "unit", "vehicle", "car", "sensor", "station"),
    *("store", "shop", "branch", "hospital", "school", "animal", "mouse", "plant"),
)
_OWNER = re.compile(
    rf"(^|.*[\W_])({'|'.join(_OWNERS)})([\W_]*(no|nr|num|number|code))?\.?", re.IGNORECASE
)
_NUMBER_OF = re.compile(
    r"[^\W_][\W_]*(nummer|numéro)$|[^\W_][\W_]+(no|nr|number|nummer|numero|numéro)\.?$",
    re.IGNORECASE,
)
_FORMS = (
    *("id", "ids", "idx", "index", "num", "number", "no", "code", "key", "int", "enc", "encoded"),
    *("name", "names", "text", "str", "desc", "description"),
)
"""Words that say in which form the answer is written."""
_LABELS = ("label", "labels", "target", "targets", "class", "classes", "category", "y")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def an_id(name: str) -> bool:
    """Tell whether a column is called an id of its rows.

    >>> an_id("customer_id"), an_id("PassengerId"), an_id("humidity")
    (True, True, False)
    """
    return _ID.search(name) is not None


def unnamed(name: str) -> bool:
    """Tell whether a column has no name, or one such as "row".

    >>> [unnamed(name) for name in ("Unnamed: 0", "Unnamed: 0.1", "level_0", "level")]
    [True, True, True, False]
    """
    return _UNNAMED.fullmatch(name.strip()) is not None


def an_owner(name: str) -> bool:
    """Tell whether a column is called like whom or what a row belongs to.

    >>> an_owner("patient"), an_owner("Subject No."), an_owner("StoreNr"), an_owner("customers")
    (True, True, True, False)
    """
    return _OWNER.fullmatch(_CAMEL.sub("_", name.strip())) is not None


def a_number(name: str) -> bool:
    """Tell whether a column is called like whom a row belongs to, or like the number of something.

    >>> [a_number(name) for name in ("Customer No.", "Kundennummer", "order-nr", "Fallzahl", "jan")]
    [True, True, True, False, False]
    """
    return an_owner(name) or _NUMBER_OF.search(_CAMEL.sub("_", name.strip())) is not None


def owns(table: Table, name: str) -> bool:
    """Tell whether a column of whole numbers says to whom or what each row belongs: it is called so
    and has more than two values, which repeat."""
    if table.kinds[name] != "number" or not an_owner(name):
        return False
    cells = table.frame[name].dropna()
    return bool((cells % 1 == 0).all()) and 2 < cells.nunique() < len(cells)


def other_names(table: Table, targets: Sequence[str], given: Collection[str]) -> list[str]:
    """Return columns that are called like the answer and tell it one to one, such as `label_id`
    beside `label`.

    Args:
        table: typed columns.
        targets: the columns of the answer.
        given: columns that a setting names, which are left alone.
    """
    if len(targets) != 1 or table.kinds[targets[0]] not in ("category", "number", "text"):
        return []
    answer = table.frame[targets[0]]
    count = answer.nunique()
    found = []
    for name, kind in table.kinds.items():
        if name in given or name in targets or kind not in ("category", "number", "text"):
            continue
        if not (_stem(name) and _stem(name) == _stem(targets[0])):
            continue
        pairs = table.frame[[targets[0], name]].drop_duplicates()
        if 1 < count == table.frame[name].nunique() == len(pairs) < len(table) / 2:
            found.append(name)
    return found


def _stem(name: str) -> str:
    """Return the name of an answer without what says in which form it is.

    >>> _stem("label_id"), _stem("LabelName"), _stem("target_names"), _stem("spam")
    ('label', 'label', 'label', 'spam')
    """
    parts = re.split(r"[\W_]+", _CAMEL.sub("_", name).casefold())
    kept = [part for part in parts if part not in _FORMS]
    stem = "_".join(kept)
    return "label" if stem in _LABELS else stem
