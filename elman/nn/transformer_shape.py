"""The sizes of a Transformer with a given number of parameters, found by counting."""

from __future__ import annotations

import math
from typing import NamedTuple

from elman.errors import InputError

MOST_LAYERS = 8
CLOSE = 0.02
"""Share by which the number of parameters may miss the one that was asked for, where it can."""
_PER_LAYER, _INNER = 24, 4
"""A stack of L layers is about 24 L wide, and about 4 times as wide between the two maps of a
layer's last part (Vaswani et al. 2017)."""


class Shape(NamedTuple):
    """The sizes of a stack.

    Attributes:
        layers: on top of each other.
        width: features between layers.
        heads: of attention, which share the width.
        inner: features between the two maps of a layer's last part.
    """

    layers: int
    width: int
    heads: int
    inner: int

    def __str__(self) -> str:
        def many(count: int, what: str) -> str:
            return f"{count} {what}{'s' * (count != 1)}"

        return f"{many(self.layers, 'layer')} of {self.width}, {many(self.heads, 'head')}"


def count(shape: Shape, input_size: int, output_size: int, reads: int = 0) -> int:
    """Return the number of parameters of a stack.

    >>> count(Shape(layers=1, width=2, heads=1, inner=1), input_size=3, output_size=5)
    66
    """
    layers, width, _, inner = shape
    square = width * (width + 1)
    each = 2 * width + 4 * square + 2 * width + inner * (width + 1) + width * (inner + 1)
    if reads:
        each += 2 * width + 2 * square + 2 * width * (reads + 1)
    return layers * each + width * (input_size + 1) + 2 * width + output_size * (width + 1)


def shape_of(parameters: int, input_size: int, output_size: int, reads: int = 0) -> Shape:
    """Return the sizes of a stack with about as many parameters, found by counting.

    Of those that are close enough it is the one whose proportions are the most usual; where none
    is, the closest.

    >>> shape_of(100_000, 64, 128)
    Shape(layers=2, width=56, heads=4, inner=278)

    Raises:
        InputError: even the smallest stack has more parameters.
    """
    found: list[tuple[float, float, Shape]] = []
    for layers in range(1, MOST_LAYERS + 1):
        for width in _widths(parameters, layers):
            heads = _heads(width)
            without = count(Shape(layers, width, heads, 0), input_size, output_size, reads)
            inner = round((parameters - without) / (layers * (2 * width + 1)))
            if inner < 1:
                break
            shape = Shape(layers, width, heads, inner)
            off = abs(count(shape, input_size, output_size, reads) / parameters - 1)
            unusual = abs(math.log(inner / (_INNER * width)))
            unusual += abs(math.log(width / (_PER_LAYER * layers))) / 2
            found.append((max(off, CLOSE), unusual, shape))
    if not found:
        raise InputError(
            f"no Transformer is as small as {parameters:,} parameters, which the recurrent layers "
            "have.",
            fix="Set a larger hidden_size or another cell, or leave the reference out.",
        )
    return min(found)[-1]


def _widths(parameters: int, layers: int) -> range | list[int]:
    """Return widths that their heads divide into pairs, up to what the parameters allow."""
    most = int(math.sqrt(parameters / (4 * layers))) + 2
    return [width for width in range(2, most + 1, 2) if width % (2 * _heads(width)) == 0]


def _heads(width: int) -> int:
    return next(
        heads for heads, below in ((1, 16), (2, 32), (4, 256), (8, math.inf)) if width < below
    )
