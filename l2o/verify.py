"""``l2o verify``: how exactly a policy respects the symmetries it claims, measured on one instance.

The instance is moved, turned, mirrored, scaled and renumbered at random; logits are compared along a fixed path of
decisions, tours from scratch. Where nodes at the rim of a patch are equally far away (lattices), which of them belongs
to it is anybody's choice: such states are counted and left out, and tours through them may differ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from l2o import checkpoint, problems
from l2o.construct import construct
from l2o.files import read
from l2o.models.base import Policy
from l2o.problems.base import Graph, Problem, State
from l2o.problems.embedding import embedding

BOUNDS = {torch.float64: 1e-9, torch.float32: 1e-4}
"""Largest change of a logit that passes."""

STATES = 20
"""States along the greedy construction at which logits are compared."""


@dataclass(frozen=True)
class Row:
    """Worst over all trials of one symmetry in one precision."""

    symmetry: str
    dtype: torch.dtype
    logits: float
    """Largest change of a logit; NaN where every state has ties."""
    cost: float
    """Largest relative change of the greedy solution's cost."""
    trials: int
    tied: int
    """States of the greedy construction that were left out because of ties."""

    @property
    def passed(self) -> bool:
        """Logits within their bound, and in float64 the same solutions unless distances tie."""
        return not self.logits > BOUNDS[self.dtype] and (
            self.dtype != torch.float64 or self.tied > 0 or self.cost <= 1e-9
        )


@dataclass(frozen=True)
class Transformed:
    """The instance in another guise: coordinates, demands, and ``new [n]``, each node's number there."""

    pos: Tensor
    demand: Tensor
    new: Tensor


def verify(
    problem: Problem, policy: Policy[Any], pos: Tensor, demand: Tensor | None, *, trials: int, seed: int
) -> list[Row]:
    """Measure every symmetry with ``trials`` random transformations.

    Args:
        pos: ``[n, dim]`` float64, in file units.
        demand: ``[n]`` in units of the capacity, or None.
    """
    generator = torch.Generator().manual_seed(seed)
    load = torch.zeros(len(pos), dtype=torch.float64) if demand is None else demand
    rows = []
    for dtype in (torch.float64, torch.float32):
        network = policy.to(dtype)
        graph = Graph.of(pos[None], load[None], dtype=torch.float64)
        path = walk(problem, network, graph)
        sight = network.sight(problem, graph)
        clear = [state for state in path if not sight.ambiguous(state).any()]
        tied = len(path) - len(clear)
        count = min(STATES, len(clear))
        states = [clear[i * len(clear) // count] for i in range(count)]
        plain = [score(problem, network, graph, state) for state in states]
        tour = greedy_cost(problem, network, graph, pos)
        for name, transform in SYMMETRIES.items():
            logits, cost = 0.0 if states else float("nan"), 0.0
            for trial in range(trials):
                there = transform(pos, load, generator, depot=problem.moves > 1)
                moved = Graph.of(there.pos[None], there.demand[None], dtype=torch.float64)
                if states:
                    which = trial % len(states)
                    other = score(problem, network, moved, renumbered(states[which], there.new))
                    logits = max(logits, change(plain[which], other, there.new))
                # A tour is a construction from scratch: fewer of them tell as much.
                if trial < max(1, trials // 20):
                    cost = max(cost, abs(greedy_cost(problem, network, moved, pos, there.new) / tour - 1))
            rows.append(Row(name, dtype, logits, cost, trials, tied))
    return rows


def walk(problem: Problem, policy: Policy[Any], graph: Graph) -> list[State]:
    """The states of the greedy construction in which there is a choice."""
    first = problem.starts(graph, 1)[0]
    made = construct(problem, policy, graph, torch.zeros(1, dtype=torch.int64), first)
    assert made is not None
    states = [problem.start(graph, torch.zeros(1, dtype=torch.int64), first)]
    for node, move in zip(made.nodes[:-1], made.moves[:-1], strict=True):
        states.append(problem.step(graph, states[-1], node, move))
    return [state for state in states if state.left > 1]


@torch.no_grad()
def score(problem: Problem, policy: Policy[Any], graph: Graph, state: State) -> dict[int, Tensor]:
    """Logits ``[moves]`` of each candidate, by node number."""
    view = policy.sight(problem, graph)(state)
    logits, nodes = policy(view, policy.encode(graph))[0], view.choices[0].tolist()
    return {node: logits[i] for i, node in enumerate(nodes) if view.allowed[0, i].any()}


def renumbered(state: State, new: Tensor) -> State:
    """The same state where node ``i`` is called ``new[i]``."""
    return State(
        state.row, new[state.current], new[state.anchor], state.unvisited[:, new.argsort()], state.left, state.load
    )


def change(plain: dict[int, Tensor], other: dict[int, Tensor], new: Tensor) -> float:
    """Largest difference between the logits of corresponding nodes.

    A node that only one of them saw, or that only one of them allowed, is infinitely far off.
    """
    if {int(new[node]) for node in plain} != other.keys():
        return float("inf")
    worst = 0.0
    for node, logits in plain.items():
        image = other[int(new[node])]
        allowed = logits.isfinite()
        if not torch.equal(allowed, image.isfinite()):
            return float("inf")
        if allowed.any():
            worst = max(worst, float((logits - image)[allowed].abs().max()))
    return worst


def greedy_cost(problem: Problem, policy: Policy[Any], graph: Graph, pos: Tensor, new: Tensor | None = None) -> float:
    """Length of the greedy solution of ``graph``, measured on the untransformed coordinates ``pos``."""
    made = construct(problem, policy, graph, torch.zeros(1, dtype=torch.int64), problem.starts(graph, 1)[0])
    assert made is not None
    old = torch.arange(len(pos)) if new is None else new.argsort()
    back = Graph.of(pos[None], graph.demand[:, torch.arange(len(pos)) if new is None else new], dtype=torch.float64)
    state = problem.start(back, torch.zeros(1, dtype=torch.int64), old[made.first])
    total = 0.0
    for node, move in zip(old[made.nodes], made.moves, strict=True):
        total += float(problem.legs(back, state, node.unsqueeze(1))[0, 0, move])
        state = problem.step(back, state, node, move)
    return total + float(problem.closing(back, state))


def _draw(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def _rotation(generator: torch.Generator, dim: int) -> Tensor:
    q: Tensor
    q, r = torch.linalg.qr(_draw(generator, dim, dim))
    q = q * r.diagonal().sign()
    q[:, 0] *= torch.linalg.det(q).sign()
    return q


def rotate(pos: Tensor, demand: Tensor, generator: torch.Generator, *, depot: bool) -> Transformed:
    """A random rotation."""
    return Transformed(pos @ _rotation(generator, pos.shape[1]), demand, torch.arange(len(pos)))


def reflect(pos: Tensor, demand: Tensor, generator: torch.Generator, *, depot: bool) -> Transformed:
    """A reflection in a random hyperplane."""
    normal = _draw(generator, pos.shape[1])
    normal = normal / normal.norm()
    return Transformed(pos - 2 * (pos @ normal)[:, None] * normal, demand, torch.arange(len(pos)))


def translate(pos: Tensor, demand: Tensor, generator: torch.Generator, *, depot: bool) -> Transformed:
    """A shift by up to a million, in the file's units."""
    far = 10 ** (6 * torch.rand((), generator=generator, dtype=torch.float64))
    direction = _draw(generator, pos.shape[1])
    return Transformed(pos + far * direction / direction.norm(), demand, torch.arange(len(pos)))


def scale(pos: Tensor, demand: Tensor, generator: torch.Generator, *, depot: bool) -> Transformed:
    """A factor between 1e-6 and 1e6."""
    factor = 10 ** (12 * torch.rand((), generator=generator, dtype=torch.float64) - 6)
    return Transformed(pos * factor, demand, torch.arange(len(pos)))


def renumber(pos: Tensor, demand: Tensor, generator: torch.Generator, *, depot: bool) -> Transformed:
    """Another order of the nodes; a depot stays first."""
    fixed = 1 if depot else 0
    order = torch.cat([torch.arange(fixed), fixed + torch.randperm(len(pos) - fixed, generator=generator)])
    return Transformed(pos[order], demand[order], order.argsort())


SYMMETRIES: dict[str, Callable[..., Transformed]] = {
    "rotation": rotate,
    "reflection": reflect,
    "translation": translate,
    "scaling": scale,
    "renumbering": renumber,
}


def verify_file(file: str | None, model: str | None, *, trials: int, seed: int) -> bool:
    """Print the table for ``file``, or for 100 random nodes; whether all symmetries hold within their bounds."""
    if file is None:
        loaded = checkpoint.load(model or checkpoint.default("tsp"))
        problem = problems.find(loaded.problem)
        graph = problem.sample(torch.Generator().manual_seed(seed), 1, 100, "uniform")
        name, pos, demand = "100 random nodes", graph.pos[0].double() * 1000, graph.demand[0]
    else:
        instance = read(file)
        loaded = checkpoint.load(model or checkpoint.default(instance.problem))
        problem = problems.find(instance.problem)
        if loaded.problem != instance.problem:
            raise checkpoint.InvalidCheckpoint(
                f"model {loaded.name!r} is for {loaded.problem}, {instance.name} is a {instance.problem}"
            )
        name, pos = instance.name, torch.from_numpy(embedding(instance).copy())
        demand = None
        if instance.demand is not None and instance.capacity is not None:
            demand = torch.from_numpy(instance.demand / instance.capacity)
    print(f"{loaded.name} on {name}: largest change over {trials} random transformations each")
    print(f"{'':14}{'precision':12}{'logits':>10}{'bound':>10}{'tour cost':>12}")
    rows = verify(problem, loaded.policy, pos, demand, trials=trials, seed=seed)
    for row in rows:
        precision = str(row.dtype).removeprefix("torch.")
        verdict = "" if row.passed else "  FAILED"
        print(f"{row.symmetry:14}{precision:12}{row.logits:10.1e}{BOUNDS[row.dtype]:10.0e}{row.cost:12.1e}{verdict}")
    if rows[0].tied:
        print(f"{rows[0].tied} states with ties at the rim of the patch were left out; tours through them may differ")
    return all(row.passed for row in rows)
