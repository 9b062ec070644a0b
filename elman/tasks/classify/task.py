"""`classify`: a label for a whole sequence, or several; `one_label`, `several_labels`.

The data say which: where a cell holds a list of labels, where a setting names the mark that parts
them, or where several columns of 0 and 1 are the target, an example may have several.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, cast

from elman.tasks.classify.label_sets import KIND, holds_lists
from elman.tasks.classify.one_label import OneLabel
from elman.tasks.classify.several_labels import SeveralLabels

if TYPE_CHECKING:
    from elman.data import Table
    from elman.tasks.reading.layout import Layout


class Classify(OneLabel):
    """A label for each sequence, or several; see the module."""

    @classmethod
    def suited(cls, table: Table, settings: Any) -> type[Self]:
        """Return the class of the task for one label, or for several."""
        several = SeveralLabels.fits(table, settings)
        return cast(type[Self], SeveralLabels) if several else cls

    @classmethod
    def suited_to(cls, other: Table, layout: Layout) -> type[Self] | None:
        """Return the class for several labels where another part has lists of them."""
        name = layout.target
        several = name in other.kinds and holds_lists(other, name)
        return cast(type[Self], SeveralLabels) if several else None

    @classmethod
    def from_assets(cls, settings: Any, assets: dict[str, Any]) -> Self:
        """Return the task of a finished run, without its data."""
        if assets["answer"].get("kind") == KIND:
            return cast(Self, SeveralLabels.from_assets(settings, assets))
        return super().from_assets(settings, assets)
