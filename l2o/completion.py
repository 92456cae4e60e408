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
from l2o.improve import complete
from l2o.join import join
from l2o.learner import Learner
from l2o.models.fragments import Ends, Policy
from l2o.problems.base import Completes, Graph, Problem
from l2o.problems.fragments import Fragments
from l2o.problems.instance import Instance, Ints, Routes
from l2o.recipe import Recipe

SHARES = (0.05, 0.1, 0.15, 0.2, 0.3)
"""Of the joins left, how many a round makes while learning, so that the policy knows what any of them leads to."""


class Completion(Learner):
    """Each batch: build, complete, learn."""

    dynamic = True
    loss = "cross-entropy to own partial solutions completed by own local search"

    def __init__(self, problem: Problem, recipe: Recipe) -> None:
        super().__init__(problem, recipe)
        self.completes = cast(Completes, problem)
        self.policy: Policy

    def training_step(self, batch: Batch, number: int) -> Tensor:
        """One batch of instances, each seen in several rounds."""
        generator = torch.Generator().manual_seed(batch.seed)
        graph = batch.graph

        def draw(count: int) -> int:
            return int(torch.randint(count, (1,), generator=generator))

        share = SHARES[draw(len(SHARES))]
        begins = self.recipe.improvement.begins
        # Spread over the construction by what is left.
        due = sorted((graph.n - 1) * (i + float(torch.rand((), generator=generator))) / begins for i in range(begins))
        states: list[Fragments] = []

        def watch(left: int, fragments: Fragments) -> None:
            if due and left <= due[-1]:
                while due and left <= due[-1]:
                    due.pop()
                states.append(fragments.clone())

        with self.autocast():
            made = join(self.completes, self.policy, graph, share=share, watch=watch)
        assert made is not None
        seen, right = [], []
        for fragments in states:
            ends = self.policy.look(graph, fragments)
            partners = self.completed(graph, fragments, made.routes, batch.seed).to(ends.node.device)
            seen.append(ends)
            right.append((ends.partner.unsqueeze(-1) == partners.flatten(0, 1)[ends.node].unsqueeze(1)).any(dim=-1))
        ends, target = Ends.cat(seen), torch.cat(right)
        with self.autocast():
            logits = self.policy(ends).float()
        error = torch.nn.functional.binary_cross_entropy_with_logits(
            logits.masked_fill(~ends.allowed, 0.0), target.float(), reduction="none"
        )
        self.count(len(ends), batch)
        self.log("cost", made.cost.mean(), prog_bar=True)
        return (error * ends.allowed).sum() / len(ends)

    def completed(self, graph: Graph, fragments: Fragments, solutions: list[Routes], seed: int) -> Tensor:
        """``[B, n, 2]`` the neighbours of each end in the best completion, as ``row * n + node``; -1 for none."""
        kicks = self.recipe.improvement.kicks

        def search(instance: Instance, paths: Ints, routes: Routes) -> Routes:
            return complete(instance, paths, routes, seed=seed, iterations=math.ceil(kicks * instance.n))

        cpu = graph.to("cpu")
        found = torch.stack(
            [
                self.completes.completed(cpu, row, fragments, [list(route) for route in routes], search)
                for row, routes in enumerate(solutions)
            ]
        )
        start = torch.arange(len(found)).view(-1, 1, 1) * graph.n
        return torch.where(found < 0, -1, found + start)

    def greedy(self, graph: Graph) -> Tensor:
        """``[B]`` costs of what the averaged weights join."""
        made = join(self.completes, cast(Policy, self.averaged.module), graph)
        assert made is not None
        return made.cost
