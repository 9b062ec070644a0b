"""Tables of names whose classes are imported when they are used.

Tasks and modalities are each one such table: a line of our own a name, and a line for each entry
point that another installed package declares.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.util import find_spec
from typing import Any

from elman.errors import InputError, nearest


class Registry(Mapping[str, Any]):
    """Map a name to a class, which is imported at its first use.

    Args:
        what: the word for an entry in messages, such as "task".
        group: the group of entry points in which other packages declare theirs.
        own: name to "module:Class".

    >>> colours = Registry("colour", "elman.colours", {"red": "fractions:Fraction"})
    >>> list(colours), colours["red"].__name__
    (['red'], 'Fraction')
    >>> colours["rad"]
    Traceback (most recent call last):
    ...
    elman.errors.InputError: there is no colour 'rad'. Did you mean 'red'?
    """

    def __init__(self, what: str, group: str, own: Mapping[str, str]) -> None:
        self.what, self.group, self.own = what, group, dict(own)

    @cached_property
    def places(self) -> dict[str, str]:
        """Map each name to "module:Class"; a name of ours is never replaced by another package."""
        from importlib.metadata import entry_points

        others = {point.name: point.value for point in entry_points(group=self.group)}
        return others | self.own

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)

    def check(self, name: str) -> None:
        """Refuse a name that is not in the table, without importing any class.

        Raises:
            InputError: there is no such name; the message has the nearest.
        """
        if name not in self.places:
            raise InputError(f"there is no {self.what} {name!r}.", fix=nearest(name, self.places))

    def __getitem__(self, name: str) -> Any:
        """Return the class.

        Raises:
            InputError: there is no such name (the nearest is given), or a class of another
                package cannot be imported.
        """
        self.check(name)
        module, _, attribute = self.places[name].partition(":")
        if name in self.own:
            return getattr(importlib.import_module(module), attribute)
        try:
            return getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise InputError(
                f"the {self.what} {name!r} of another package cannot be imported: {error}.",
                fix="Mend or uninstall the package that declares it.",
            ) from None


def absent(modules: tuple[str, ...]) -> list[str]:
    """Return those of `modules` that are not installed, without importing any.

    >>> absent(("json", "no_such_module"))
    ['no_such_module']
    """
    return [name for name in modules if find_spec(name) is None]
