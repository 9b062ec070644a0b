"""Settings that mean something only with another one."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel


@dataclass(frozen=True)
class Need:
    """The value that another setting must have for a setting to have an effect.

    Attributes:
        setting: the name of the other setting.
        values: its values with which there is an effect, or a function that says so of a value.
        cure: what to set, in words; made from `values` where it is empty.

    >>> Need("averaging", ["ema"]).advice, Need("front_channels", bool, "front_channels").advice
    ('averaging=ema', 'front_channels')
    """

    setting: str
    values: Collection[Any] | Callable[[Any], object]
    cure: str = ""

    def met(self, settings: BaseModel) -> bool:
        """Tell whether the setting has an effect with these settings."""
        value = getattr(settings, self.setting)
        return bool(self.values(value)) if callable(self.values) else value in self.values

    @property
    def advice(self) -> str:
        """The setting to change, in words."""
        choices = () if callable(self.values) else self.values
        return self.cure or " or ".join(f"{self.setting}={value}" for value in choices)
