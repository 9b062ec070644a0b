"""The backward pass of one step, from its graph: reverse-mode differentiation on nodes.

The rules are those of autograd, kinks and ties included. Work on a whole sequence is left
for later and only listed: the gradient of a matrix is one large product after the loop
over time, that of a bias or gain a sum over all rows.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from elman.kernels.graph import Graph, Matrix, Node, ordered


@dataclass
class Gradients:
    """The results of the backward pass of one step.

    Attributes:
        states: gradient of each old state; None where it is zero.
        x: the part of the input's gradient that is computed row by row; None if there is none.
        x_products: the rest, Σ g P over all (g, P), after the loop.
        matrices: (P, v, g): the gradient of P is Σ vᵀ g over all rows.
        uniforms: (leaf, start, g): the gradient of a parameter's vector or number is Σ g.
    """

    states: list[Node | None] = field(default_factory=list)
    x: Node | None = None
    x_products: list[tuple[Node, Matrix]] = field(default_factory=list)
    matrices: list[tuple[Matrix, Node, Node]] = field(default_factory=list)
    uniforms: list[tuple[Node, int, Node]] = field(default_factory=list)


def derive(
    graph: Graph, output: Node, states: tuple[Node, ...], sizes: tuple[int, ...]
) -> Gradients:
    """The gradients of a step, as nodes of the same graph.

    Args:
        graph: where the step lies.
        output: its output, whose gradient is the leaf `grad_output`.
        states: its new states, whose gradients are the leaves `grad_state`.
        sizes: how wide the states are.
    """
    pieces: dict[Node, list[tuple[int, Node]]] = defaultdict(list)
    _send(graph, pieces, output, graph.leaf("grad_output", 0, output.width))
    for i, state in enumerate(states):
        _send(graph, pieces, state, graph.leaf("grad_state", i, state.width))

    found = Gradients(states=[None] * len(sizes))
    for node in reversed(ordered((output, *states))):
        if node not in pieces:
            continue
        graph.line = node.line
        if node.op in ("vector", "number"):
            found.uniforms += [(node, start, g) for start, g in pieces[node]]
            continue
        grad = _whole(graph, node, pieces[node])
        if node.op == "x":
            found.x = grad
        elif node.op == "state":
            found.states[node.value] = grad
        elif node.op == "affine":
            _through_affine(graph, node, grad, pieces, found)
        elif node.op == "slice":
            pieces[node.args[0]].append((node.value[0], grad))
        elif node.op == "cat":
            at = 0
            for part in node.args:
                _send(graph, pieces, part, graph.slice(grad, at, part.width))
                at += part.width
        elif node.op in _THROUGH:
            for arg, g in zip(node.args, _THROUGH[node.op](graph, node, grad), strict=True):
                if g is not None:
                    _send(graph, pieces, arg, g)
    return found


def _through_affine(
    graph: Graph,
    node: Node,
    grad: Node,
    pieces: dict[Node, list[tuple[int, Node]]],
    found: Gradients,
) -> None:
    matrices, biases = node.value
    for index in biases:
        found.uniforms.append((graph.leaf("vector", index, node.width), 0, grad))
    for v, matrix in zip(node.args, matrices, strict=True):
        found.matrices.append((matrix, v, grad))
        if v.op == "x":
            found.x_products.append((grad, matrix.T))
        elif not v.is_uniform:
            _send(graph, pieces, v, graph.affine([(grad, matrix.T)], v.width))


def _send(graph: Graph, pieces: dict[Node, list[tuple[int, Node]]], to: Node, g: Node) -> None:
    """Add `g` to the gradient of a node, reduced where the node went with a wider one."""
    if to.op in ("const", "width", "mask"):
        return
    if to.width == 0:
        g = graph.reduce("sum", g)
    elif g.width == 0:
        g = graph.vector_of(g, to.width)
    pieces[to].append((0, g))


def _whole(graph: Graph, node: Node, pieces: list[tuple[int, Node]]) -> Node:
    """One gradient from those of parts: cut where a part begins or ends, and put together."""
    if node.width == 0 or all(g.width == node.width for _, g in pieces):
        return _sum(graph, [g for _, g in pieces])
    cuts = sorted({0, node.width} | {c for s, g in pieces for c in (s, s + g.width)})
    parts = []
    for low, high in pairwise(cuts):
        here = [
            graph.slice(g, low - start, high - low)
            for start, g in pieces
            if start <= low and high <= start + g.width
        ]
        parts.append(_sum(graph, here) if here else graph.vector_of(graph.const(0.0), high - low))
    return graph.cat(parts)


def _sum(graph: Graph, nodes: list[Node]) -> Node:
    """The sum, its products as one."""
    products = [n for n in nodes if n.op == "affine"]
    if products:
        merged = products[0]
        for node in products[1:]:
            merged = graph.merge(merged, node)
        nodes = [n for n in nodes if n.op != "affine"] + [merged]
    return graph.add(*nodes)


Rule = Callable[[Graph, Node, Node], tuple["Node | None", ...]]


def _unary(slope: Callable[[Graph, Node, Node], Node]) -> Rule:
    """A rule from dy/da as a node of (graph, a, y)."""
    return lambda G, y, g: (G.mul(g, slope(G, y.args[0], y)),)


def _one_minus(G: Graph, a: Node) -> Node:
    return G.pointwise("sub", G.const(1.0), a)


def _if(G: Graph, condition: Node, a: Node) -> Node:
    return G.pointwise("where", condition, a, G.const(0.0))


def _extremum(op: str) -> Rule:
    def rule(G: Graph, y: Node, g: Node) -> tuple[Node | None, ...]:
        a, b = y.args
        half = G.mul(g, G.const(0.5))
        tied = G.pointwise("eq", a, b)
        first = G.pointwise("lt", *((a, b) if op == "minimum" else (b, a)))
        to_a = G.pointwise("where", tied, half, _if(G, first, g))
        return to_a, G.pointwise("sub", g, to_a)

    return rule


def _power(G: Graph, y: Node, g: Node) -> tuple[Node | None, ...]:
    a, b = y.args
    zero, one = G.const(0.0), G.const(1.0)
    base: Node | None
    if b.op == "const" and b.value == 0:
        return None, None
    if b.op == "const":
        base = G.mul(g, G.mul(b, G.pointwise("pow", a, G.const(b.value - 1.0))))
        return base, None
    lower = G.pointwise("pow", a, G.pointwise("sub", b, one))
    base = G.mul(g, G.pointwise("where", G.pointwise("eq", b, zero), zero, G.mul(b, lower)))
    if a.op == "const":
        base = None
    # 0 ** b for b ≥ 0 is flat in b, whatever log 0 says.
    flat = G.pointwise("and", G.pointwise("eq", a, zero), G.pointwise("le", zero, b))
    log = G.pointwise("log", G.pointwise("where", flat, one, a))
    return base, G.mul(g, G.mul(y, log))


def _amax(G: Graph, y: Node, g: Node) -> tuple[Node | None, ...]:
    """Shared evenly among those that tie, as torch.amax does."""
    at = G.pointwise("eq", y.args[0], y)
    return (G.mul(at, G.pointwise("div", g, G.reduce("sum", at))),)


_THROUGH: dict[str, Rule] = {
    "neg": lambda G, y, g: (G.pointwise("neg", g),),
    "relu": lambda G, y, g: (_if(G, G.pointwise("lt", G.const(0.0), y), g),),
    "exp": _unary(lambda G, a, y: y),
    "expm1": _unary(lambda G, a, y: G.pointwise("add", y, G.const(1.0))),
    "log": lambda G, y, g: (G.pointwise("div", g, y.args[0]),),
    "log1p": lambda G, y, g: (G.pointwise("div", g, G.pointwise("add", y.args[0], G.const(1.0))),),
    "tanh": _unary(lambda G, a, y: _one_minus(G, G.mul(y, y))),
    "sigmoid": _unary(lambda G, a, y: G.mul(y, _one_minus(G, y))),
    "softplus": _unary(lambda G, a, y: G.pointwise("sigmoid", a)),
    "sqrt": lambda G, y, g: (G.pointwise("div", g, G.mul(y, G.const(2.0))),),
    "reciprocal": _unary(lambda G, a, y: G.pointwise("neg", G.mul(y, y))),
    "abs": _unary(lambda G, a, y: G.pointwise("sign", a)),
    "sin": _unary(lambda G, a, y: G.pointwise("cos", a)),
    "cos": _unary(lambda G, a, y: G.pointwise("neg", G.pointwise("sin", a))),
    "atan": _unary(
        lambda G, a, y: G.pointwise("reciprocal", G.pointwise("add", G.mul(a, a), G.const(1.0)))
    ),
    "erf": _unary(
        lambda G, a, y: G.mul(
            G.const(2 / math.sqrt(math.pi)), G.pointwise("exp", G.pointwise("neg", G.mul(a, a)))
        )
    ),
    "add": lambda G, y, g: (g, g),
    "sub": lambda G, y, g: (g, G.pointwise("neg", g)),
    "mul": lambda G, y, g: (G.mul(g, y.args[1]), G.mul(g, y.args[0])),
    "div": lambda G, y, g: (
        G.pointwise("div", g, y.args[1]),
        G.pointwise("neg", G.mul(g, G.pointwise("div", y, y.args[1]))),
    ),
    "pow": _power,
    "maximum": _extremum("maximum"),
    "minimum": _extremum("minimum"),
    "where": lambda G, y, g: (
        None,
        _if(G, y.args[0], g),
        G.pointwise("where", y.args[0], G.const(0.0), g),
    ),
    "sum": lambda G, y, g: (G.vector_of(g, y.args[0].width),),
    "amax": _amax,
    "number_of": lambda G, y, g: (G.vector_of(g, 1),),
    "spread": lambda G, y, g: (G.reduce("sum", g),),
}
"""Operation → gradients of its arguments. Comparisons, steps and detach have none."""
