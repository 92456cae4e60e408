"""Self-improvement of a policy that joins ends: learn the joins of the best completion, as a Lightning module.

The policy builds solutions; in some rounds on the way local search completes what is left as well as it can, beginning
with what the policy went on to build; the policy then learns, for each join that it could make, whether that completion
holds it. The states are its own, so it learns to go on from its own mistakes (DAgger; Ross, Gordon & Bagnell 2011).
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor

from l2o.data import Batch
from l2o.improve import complete, warm_up
from l2o.join import Joined, join
from l2o.learner import Learner
from l2o.models.fragments import Ends, Policy
from l2o.problems.base import Completes, Graph, Problem
from l2o.problems.fragments import Fragments
from l2o.problems.instance import Instance, Ints, Routes
from l2o.recipe import Recipe
from l2o.workers import Workers

SHARES = (0.1, 0.2, 0.4)
"""Of the joins left, how many a round makes while learning, so that the policy knows what any of them leads to."""


class Completion(Learner):
    """Each batch: build, complete, then learn from all that was met, in several steps."""

    automatic_optimization = False
    dynamic = True
    loss = "cross-entropy to own partial solutions completed by own local search"

    def __init__(self, problem: Problem, recipe: Recipe) -> None:
        super().__init__(problem, recipe)
        self.completes = cast(Completes, problem)
        self.policy: Policy
        self.workers = Workers(1)

    def on_fit_start(self) -> None:
        """Local search shares the cores out; elsewhere torch does."""
        warm_up(self.problem.name)
        self.workers = Workers(torch.get_num_threads())

    def on_fit_end(self) -> None:
        """No more searches."""
        self.workers.close()

    def training_step(self, batch: Batch, number: int) -> None:
        """One batch of instances, each met in several rounds of its construction."""
        generator = torch.Generator().manual_seed(batch.seed)
        improvement = self.recipe.improvement
        fragments, made = self.play(batch.graph, generator)
        met = len(fragments.open)
        graph = batch.graph.at(torch.arange(met, device=self.device) % len(batch.graph.pos))
        partners = self.partners(graph, fragments, made.routes, batch.seed)
        # Equally many in all processes, so not more than there are instances.
        steps = min(improvement.steps, len(batch.graph.pos))
        ends, right = self.lessons(graph, fragments, partners, steps)
        owner = torch.arange(met).repeat_interleave((fragments.open > 0).sum(dim=1))
        for _ in range(improvement.passes):
            for part in torch.randperm(met, generator=generator).tensor_split(steps):
                rows = torch.isin(owner, part).nonzero().squeeze(1).to(self.device)
                self.take_step(self.error(ends[rows], right[rows]))
        self.count(int((fragments.open > 0).sum()), batch)
        self.log("cost", made.cost.mean(), prog_bar=True)

    def play(self, graph: Graph, generator: torch.Generator) -> tuple[Fragments, Joined]:
        """Solutions of all instances, and partial ones on the way, those of one round after those of another."""
        share = SHARES[int(torch.randint(len(SHARES), (1,), generator=generator))]
        begins = self.recipe.improvement.begins
        # Spread over the construction by what is left, which is one join at least.
        drawn = (torch.arange(begins) + torch.rand(begins, generator=generator)) / begins
        due = (1 + drawn * (graph.n - 2)).tolist()
        met: list[Fragments] = []

        def watch(left: int, fragments: Fragments) -> None:
            if due and left <= due[-1]:
                while due and left <= due[-1]:
                    due.pop()
                met.append(fragments.clone())

        with self.autocast():
            made = join(self.completes, self.policy, graph, share=share, watch=watch)
        assert made is not None
        return Fragments.cat(met), made

    def partners(self, graph: Graph, fragments: Fragments, routes: list[Routes], seed: int) -> Tensor:
        """``[S, n, 2]`` neighbours of each node in the best completion of each partial solution.

        ``routes`` are what the policy made of them. See :func:`neighbours`.
        """
        cpu, kicks = graph.to("cpu"), self.recipe.improvement.kicks
        states = torch.arange(len(cpu.pos)).view(-1, len(routes))
        parts = [states[:, r] for r in torch.arange(len(routes)).tensor_split(min(len(routes), 4 * self.workers.count))]
        tasks = []
        for part in parts:
            own, met = [routes[row] for row in part[0]], part.flatten()
            tasks.append((self.completes, cpu.at(met), fragments.at(met), own, seed, kicks))
        result = torch.empty(*fragments.open.shape, 2, dtype=torch.int64)
        for part, found in zip(parts, self.workers.map(completed, tasks), strict=True):
            result[part.flatten()] = found
        return result

    def lessons(self, graph: Graph, fragments: Fragments, partners: Tensor, parts: int) -> tuple[Ends, Tensor]:
        """What there is to see of the partial solutions, and which joins are right, ``[N, k]``.

        They are looked at in so many parts, which bounds the memory.
        """
        every, right = [], []
        for part in torch.arange(len(partners)).tensor_split(parts):
            ends = self.policy.look(graph.at(part.to(self.device)), fragments.at(part))
            start = torch.arange(len(part)).view(-1, 1, 1) * graph.n
            numbers = (
                torch.where(partners[part] < 0, -1, partners[part] + start).flatten(0, 1).to(self.device)[ends.node]
            )
            every.append(ends)
            right.append((ends.partner.unsqueeze(-1) == numbers.unsqueeze(1)).any(dim=-1))
        return Ends.cat(every), torch.cat(right)

    def error(self, ends: Ends, right: Tensor) -> Tensor:
        """Cross-entropy of the joins that could be made, summed over those of an end, in the mean over the ends."""
        with self.autocast():
            logits = self.policy(ends).float()
        error = torch.nn.functional.binary_cross_entropy_with_logits(
            logits.masked_fill(~ends.allowed, 0.0), right.float(), reduction="none"
        )
        return (error * ends.allowed).sum() / len(ends)

    def greedy(self, graph: Graph) -> Tensor:
        """``[B]`` costs of what the averaged weights join."""
        made = join(self.completes, cast(Policy, self.averaged.module), graph)
        assert made is not None
        return made.cost


def completed(
    problem: Completes, graph: Graph, fragments: Fragments, routes: list[Routes], seed: int, kicks: float
) -> Tensor:
    """``[S, n, 2]`` neighbours of each node in the best completions found, those met in one round after those before.

    A completion also completes what was met before it, and the search for a better one begins there, the first of them
    with ``routes``. It makes ``kicks`` changes for each end. See :func:`neighbours`.
    """

    def search(instance: Instance, paths: Ints, routes: Routes) -> Routes:
        return complete(instance, paths, routes, seed=seed, iterations=math.ceil(kicks * instance.n))

    routes, found = list(routes), []
    for number in reversed(range(len(graph.pos))):
        row = number % len(routes)
        routes[row] = problem.completed(graph, number, fragments, routes[row], search)
        found.append(routes[row])
    return neighbours(fragments, found[::-1], problem.depot)


def neighbours(fragments: Fragments, solutions: list[Routes], depot: bool) -> Tensor:
    """``[S, n, 2]`` the nodes before and after each one; -1 where that is the depot to which a path has gone home."""
    around = torch.empty(*fragments.open.shape, 2, dtype=torch.int64)
    for number, routes in enumerate(solutions):
        for route in routes:
            ring = torch.tensor([0, *route] if depot else route)
            around[number, ring] = torch.stack([ring.roll(1), ring.roll(-1)], dim=1)
    # Of a longer path that has gone home it is another node that is beside the depot.
    gone = fragments.closed & (fragments.other == torch.arange(around.shape[1]))
    before = around[..., 0] == 0
    around[gone & before, 0] = -1
    around[gone & ~before, 1] = -1
    return around
