"""A plan as people read it: sizes, what is kept, and every step as equations."""

from __future__ import annotations

from elman.kernels.graph import Matrix, Node
from elman.kernels.plan import Level, Place, Plan, Plans

_INFIX = {"add": "+", "sub": "-", "mul": "·", "div": "/", "lt": "<", "le": "≤", "eq": "="}


def listing(plans: Plans) -> str:
    """The three plans of a cell, a line for each thing done.

    >>> import elman.cells
    >>> from elman.kernels.plan import make_plans
    >>> from elman.kernels.trace import trace
    >>> cell = elman.cells.make("elman", 2, 3)
    >>> print(listing(make_plans(trace(cell), cell.state_sizes)).partition("train")[0].rstrip())
    sizes: n0 = 2, n1 = 3
    kept for the backward pass: nothing but states
    <BLANKLINE>
    infer, each step:
      a0 = x @ M0ᵀ + vector1 + vector3    (n1)
      a0 += old0 @ M2ᵀ
      for each row:
        for j in n1:
          v0 = tanh(a0)
          y = v0
    """
    sizes = plans.sizes.values
    widths = ", ".join(f"{name} = {n}" for name, n in sizes.items() if name[0] == "n")
    kept = [f"{node.op} ({max(node.width, 1)})" for node in (*plans.saved, *plans.operands)]
    lines = [f"sizes: {widths}"]
    lines += [f"kept for the backward pass: {', '.join(kept) or 'nothing but states'}"]
    for plan in plans.plans.values():
        lines += ["", f"{plan.kind}, each step:", *_steps(plan)]
    lines += ["", "after the loop:"]
    for matrix, v, g in plans.gradients.matrices:
        lines.append(f"  d{_matrix(matrix)} = Σ {_short(v)}ᵀ · {_gradient(plans, g)}")
    for g, matrix in plans.gradients.x_products:
        lines.append(f"  dx = {_gradient(plans, g)} @ {_matrix(matrix)}")
    return "\n".join(lines)


def _steps(plan: Plan) -> list[str]:
    lines: list[str] = []
    names: dict[Node, str] = {}
    for phase in plan.phases:
        for p in phase.products:
            biases = "".join(f" + vector{b}" for b in p.biases)
            width = "" if p.adds else f"    ({p.width})"
            sign = "+=" if p.adds else "="
            source = _place(p.source)
            lines.append(f"  {p.out.array} {sign} {source} @ {_matrix(p.matrix)}{biases}{width}")
        lines.append("  for each row:")
        for level in phase.levels:
            lines += _level(level, plan, names)
    return lines


def _level(level: Level, plan: Plan, names: dict[Node, str]) -> list[str]:
    lines = [f"    {_define(node, plan, names)}" for node in level.numbers]
    for loop in level.loops.values():
        lines.append(f"    for j in {loop.width}:")
        lines += [f"      {_define(node, plan, names)}" for node in loop.nodes]
        for node, place in loop.stores:
            lines.append(f"      {_place(place)} = {_read(node, plan, names)}")
        for node, place in loop.uniforms:
            lines.append(f"      {_place(place)} += {_read(node, plan, names)}")
        for node in loop.sums:
            value = _read(node.args[0], plan, names)
            names[node] = f"v{len(names)}"
            lines.append(f"      {names[node]} = {node.op} over j of {value}")
    for node, place in (*level.number_stores, *level.number_uniforms):
        lines.append(f"    {_place(place)} = {_read(node, plan, names)}")
    return lines


def _define(node: Node, plan: Plan, names: dict[Node, str]) -> str:
    args = [_read(a, plan, names) for a in node.args]
    sign = _INFIX.get(node.op)
    right = f" {sign} ".join(args) if sign else f"{node.op}({', '.join(args)})"
    names[node] = f"v{len(names)}"
    return f"{names[node]} = {right}"


def _read(node: Node, plan: Plan, names: dict[Node, str]) -> str:
    """A value by the name it was given, or where it lies."""
    if node in names:
        return names[node]
    if node in plan.places:
        return _place(plan.places[node])
    if node.op == "slice":
        start = node.value[0]
        return f"{_read(node.args[0], plan, names)}[{start}:{start + node.width}]"
    return _short(node)


def _short(node: Node) -> str:
    if node.op == "const":
        return f"{node.value:g}"
    if node.op == "width":
        return "width"
    if node.op == "spread":
        return _short(node.args[0])
    return f"{node.op}{node.value}" if isinstance(node.value, int) and node.op != "x" else node.op


def _gradient(plans: Plans, node: Node) -> str:
    return "gy" if node.op == "grad_output" else f"flow{plans.flows.index(node)}"


def _place(place: Place) -> str:
    return place.array if place.offset == "0" else f"{place.array}[{place.offset}:]"


def _matrix(matrix: Matrix) -> str:
    return f"M{matrix.index}" + ("ᵀ" if matrix.transposed else "")
