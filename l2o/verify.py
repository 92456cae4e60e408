"""``l2o verify``: how exactly a policy respects the symmetries it claims, measured on one instance.

The instance is moved, turned, mirrored, scaled and renumbered at random; logits are compared along a fixed path of
decisions, tours from scratch. Where nodes at the rim of a patch are equally far away (lattices), which of them belongs
to it is anybody's choice: such states are counted and left out, and tours through them may differ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from l2o import checkpoint, problems, weights
from l2o.construct import Construction, construct
from l2o.files import read
from l2o.join import join
from l2o.models.base import Policy
from l2o.models.fragments import Policy as FragmentsPolicy
from l2o.problems.base import Completes, Graph, Problem, State
from l2o.problems.embedding import embedding
from l2o.problems.fragments import Fragments
from l2o.problems.instance import InvalidInstance

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


class Subject(Protocol):
    """A policy on one problem, whatever way it builds solutions."""

    def states(self, graph: Graph) -> tuple[list[Any], int]:
        """Those of the greedy construction in which there is a choice, and how many were left out because of ties."""

    def score(self, graph: Graph, state: Any) -> dict[frozenset[int], Tensor]:
        """Logits of each choice, by the nodes that it names."""

    def renumbered(self, state: Any, new: Tensor) -> Any:
        """The same state where node ``i`` is called ``new[i]``."""

    def greedy_cost(self, graph: Graph, pos: Tensor, new: Tensor | None = None) -> float:
        """Length of the greedy solution of ``graph``, measured on the untransformed coordinates ``pos``."""


def subject(problem: Problem, policy: Any) -> Subject:
    """What there is to examine."""
    return Joins(cast(Completes, problem), policy) if isinstance(policy, FragmentsPolicy) else Walks(problem, policy)


def verify(
    problem: Problem,
    policy: Any,
    pos: Tensor,
    demand: Tensor | None,
    *,
    trials: int,
    seed: int,
    vehicles: Tensor | None = None,
) -> list[Row]:
    """Measure every symmetry with ``trials`` random transformations.

    Args:
        pos: ``[n, dim]`` float64, in file units.
        demand: ``[n]`` in units of the capacity, or None.
        vehicles: ``[1]`` how many there are, or None.
    """
    generator = torch.Generator().manual_seed(seed)
    load = torch.zeros(len(pos), dtype=torch.float64) if demand is None else demand
    rows = []
    for dtype in (torch.float64, torch.float32):
        examined = subject(problem, policy.to(dtype))
        graph = Graph.of(pos[None], load[None], vehicles, dtype=torch.float64)
        clear, tied = examined.states(graph)
        count = min(STATES, len(clear))
        states = [clear[i * len(clear) // count] for i in range(count)]
        plain = [examined.score(graph, state) for state in states]
        tour = examined.greedy_cost(graph, pos)
        for name, transform in SYMMETRIES.items():
            logits, cost = 0.0 if states else float("nan"), 0.0
            for trial in range(trials):
                there = transform(pos, load, generator, depot=problem.depot)
                moved = Graph.of(there.pos[None], there.demand[None], vehicles, dtype=torch.float64)
                if states:
                    which = trial % len(states)
                    other = examined.score(moved, examined.renumbered(states[which], there.new))
                    logits = max(logits, change(plain[which], other, there.new))
                # A tour is a construction from scratch: fewer of them tell as much.
                if trial < max(1, trials // 20):
                    changed = abs(examined.greedy_cost(moved, pos, there.new) - tour)
                    cost = max(cost, changed / tour if tour else changed)
            rows.append(Row(name, dtype, logits, cost, trials, tied))
    return rows


@dataclass(frozen=True)
class Walks:
    """Built node by node."""

    problem: Problem
    policy: Policy[Any]

    def states(self, graph: Graph) -> tuple[list[State], int]:
        """See :class:`Subject`."""
        problem = self.problem
        made = self._construct(graph)
        states = [problem.start(graph, torch.zeros(1, dtype=torch.int64), made.first)]
        for node, move in zip(made.nodes[:-1], made.moves[:-1], strict=True):
            states.append(problem.step(graph, states[-1], node, move))
        sight = self.policy.sight(problem, graph)
        path = [state for state in states if state.left > 1]
        clear = [state for state in path if not sight.ambiguous(state).any()]
        return clear, len(path) - len(clear)

    @torch.no_grad()
    def score(self, graph: Graph, state: State) -> dict[frozenset[int], Tensor]:
        """See :class:`Subject`; logits ``[moves]``."""
        view = self.policy.sight(self.problem, graph)(state)
        logits, found = self.policy(view, self.policy.encode(graph))[0], dict[frozenset[int], Tensor]()
        for i, node in enumerate(view.choices[0].tolist()):
            if view.allowed[0, i].any():
                key = frozenset({node})
                found[key] = torch.maximum(found.get(key, logits[i]), logits[i])
        return found

    def renumbered(self, state: State, new: Tensor) -> State:
        """See :class:`Subject`."""
        unvisited = state.unvisited[:, new.argsort()]
        return replace(state, current=new[state.current], anchor=new[state.anchor], unvisited=unvisited)

    def greedy_cost(self, graph: Graph, pos: Tensor, new: Tensor | None = None) -> float:
        """See :class:`Subject`."""
        problem = self.problem
        made = self._construct(graph)
        old = torch.arange(len(pos)) if new is None else new.argsort()
        demand = graph.demand[:, torch.arange(len(pos)) if new is None else new]
        back = Graph.of(pos[None], demand, graph.vehicles, dtype=torch.float64)
        state = problem.start(back, torch.zeros(1, dtype=torch.int64), old[made.first])
        total = 0.0
        for node, move in zip(old[made.nodes], made.moves, strict=True):
            total += float(problem.legs(back, state, node.unsqueeze(1))[0, 0, move])
            state = problem.step(back, state, node, move)
        return total + float(problem.closing(back, state))

    def _construct(self, graph: Graph) -> Construction:
        first = self.problem.starts(graph, 1)[0]
        made = construct(self.problem, self.policy, graph, torch.zeros(1, dtype=torch.int64), first)
        assert made is not None
        return made


@dataclass(frozen=True)
class Joins:
    """Built by joining ends."""

    problem: Completes
    policy: FragmentsPolicy

    def states(self, graph: Graph) -> tuple[list[Fragments], int]:
        """See :class:`Subject`."""
        rounds: list[Fragments] = []
        join(self.problem, self.policy, graph, watch=lambda _, fragments: rounds.append(fragments.clone()))
        clear = [fragments for fragments in rounds if not self.policy.ambiguous(graph, fragments).any()]
        return clear, len(rounds) - len(clear)

    @torch.no_grad()
    def score(self, graph: Graph, state: Fragments) -> dict[frozenset[int], Tensor]:
        """See :class:`Subject`."""
        ends = self.policy.look(graph, state)
        logits = self.policy(ends)
        pairs = torch.stack([ends.node.unsqueeze(1).expand_as(ends.partner), ends.partner], dim=-1)[ends.allowed]
        return {frozenset(pair): logit for pair, logit in zip(pairs.tolist(), logits[ends.allowed], strict=True)}

    def renumbered(self, state: Fragments, new: Tensor) -> Fragments:
        """See :class:`Subject`."""
        old = new.argsort()
        return Fragments(state.open[:, old], new[state.other[:, old]], state.load[:, old])

    def greedy_cost(self, graph: Graph, pos: Tensor, new: Tensor | None = None) -> float:
        """See :class:`Subject`."""
        made = join(self.problem, self.policy, graph)
        assert made is not None
        old = torch.arange(len(pos)) if new is None else new.argsort()
        points = Graph.of(pos[None], dtype=torch.float64).pos[0]
        total = 0.0
        for route in made.routes[0]:
            stops = points[old[list(route if not self.problem.depot else (0, *route))]]
            total += float((stops - stops.roll(-1, dims=0)).norm(dim=1).sum())
        return total


def change(plain: dict[frozenset[int], Tensor], other: dict[frozenset[int], Tensor], new: Tensor) -> float:
    """Largest difference between the logits of corresponding choices.

    A choice that only one of them saw, or that only one of them allowed, is infinitely far off.
    """
    image = {frozenset(int(new[node]) for node in choice): logits for choice, logits in plain.items()}
    if image.keys() != other.keys():
        return float("inf")
    worst = 0.0
    for choice, logits in image.items():
        allowed = logits.isfinite()
        if not torch.equal(allowed, other[choice].isfinite()):
            return float("inf")
        if allowed.any():
            worst = max(worst, float((logits - other[choice])[allowed].abs().max()))
    return worst


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


def verify_file(file: str | None, model: str | None, *, trials: int, seed: int, vehicles: int | None = None) -> bool:
    """Print the table for ``file``, or for 100 random nodes; whether all symmetries hold within their bounds.

    ``vehicles`` share the nodes of ``file`` out. Raises :class:`InvalidInstance` where there is none.
    """
    if file is None and vehicles is not None:
        raise InvalidInstance(f"found {vehicles} vehicles without a file, expected nodes to share out; give a FILE")
    if file is None:
        loaded = checkpoint.load(model or weights.default("tsp"))
        problem = problems.find(loaded.problem)
        graph = problem.sample(torch.Generator().manual_seed(seed), 1, 100, "uniform")
        name, pos, demand, fleet = "100 random nodes", graph.pos[0].double() * 1000, graph.demand[0], graph.vehicles
    else:
        instance = read(file, vehicles=vehicles)
        loaded = checkpoint.load(model or weights.default(instance.problem))
        problem = problems.find(instance.problem)
        if loaded.problem != instance.problem:
            raise weights.InvalidCheckpoint(
                f"model {loaded.name!r} is for {loaded.problem}, {instance.name} is a {instance.problem}"
            )
        name, pos = instance.name, torch.from_numpy(embedding(instance).copy())
        demand = None
        if instance.demand is not None and instance.capacity is not None:
            demand = torch.from_numpy(instance.demand / instance.capacity)
        fleet = None if instance.vehicles is None else torch.tensor([instance.vehicles])
    print(f"{loaded.name} on {name}: largest change over {trials} random transformations each")
    print(f"{'':14}{'precision':12}{'logits':>10}{'bound':>10}{'tour cost':>12}")
    rows = verify(problem, loaded.policy, pos, demand, trials=trials, seed=seed, vehicles=fleet)
    for row in rows:
        precision = str(row.dtype).removeprefix("torch.")
        verdict = "" if row.passed else "  FAILED"
        print(f"{row.symmetry:14}{precision:12}{row.logits:10.1e}{BOUNDS[row.dtype]:10.0e}{row.cost:12.1e}{verdict}")
    if rows[0].tied:
        print(f"{rows[0].tied} states with ties at the rim of the patch were left out; tours through them may differ")
    return all(row.passed for row in rows)
