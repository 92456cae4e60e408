"""Fresh random instances for training, and the fixed validation set, as a Lightning data module.

A batch depends on the seed and its number alone, the noise of the roll-out included: a resumed run continues the same
stream, and several processes share one batch by each taking its part.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast

import lightning
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from l2o.problems.base import Graph, Problem
from l2o.recipe import Data
from l2o.validation import ValidationSet, validation_sets


@dataclass(frozen=True)
class Batch:
    """Instances of one size with the random numbers of their roll-out, ``P = B * starts`` solutions in ``T`` steps."""

    graph: Graph
    row: Tensor
    """``[P]`` instances, each ``starts`` times in a row."""
    first: Tensor
    """``[P]`` nodes begun with."""
    noise: Tensor
    """``[T, P]`` uniform in [0, 1)."""
    lots: Tensor
    """``[T, P]`` uniform in [0, 1): decides which decisions are scored again."""
    seed: int
    """Of whatever else is drawn."""

    def to(self, device: torch.device | str) -> Batch:
        """The same on another device."""
        row, first, noise, lots = (t.to(device) for t in (self.row, self.first, self.noise, self.lots))
        return Batch(self.graph.to(device), row, first, noise, lots, self.seed)


def draw_batch(problem: Problem, data: Data, seed: int, number: int, part: int, parts: int) -> Batch:
    """Batch ``number`` of the stream ``seed``; of its instances only those of process ``part`` of ``parts``."""
    key = np.random.SeedSequence([seed, number]).generate_state(2, np.uint32)
    generator = torch.Generator().manual_seed(int(key[0]) << 32 | int(key[1]))

    def pick(count: int) -> int:
        return int(torch.randint(count, (1,), generator=generator))

    n = data.sizes[pick(len(data.sizes))]
    share = max(1, round(data.decisions / (data.starts * n * parts)))
    names = [
        "uniform"
        if float(torch.rand((), generator=generator)) < data.uniform
        else data.distributions[pick(len(data.distributions))]
        for _ in range(share * parts)
    ]
    graphs = {name: problem.sample(generator, names.count(name), n, name) for name in dict.fromkeys(names)}
    graph = Graph.cat(list(graphs.values()))
    if data.turned:
        graph = replace(graph, pos=turned(generator, graph.pos))
    # Interleaved, so that every process gets its share of every distribution.
    mine = torch.arange(part, share * parts, parts)
    solutions = (mine.unsqueeze(1) * data.starts + torch.arange(data.starts)).flatten()
    every = problem.random_starts(generator, graph, data.starts)
    steps = problem.start(graph, torch.zeros(1, dtype=torch.int64), every[:1, 0]).left
    noise = torch.rand(steps, len(names) * data.starts, generator=generator)
    lots = torch.rand(steps, len(names) * data.starts, generator=generator)
    return Batch(
        graph.at(mine),
        torch.arange(share).repeat_interleave(data.starts),
        every[mine].flatten(),
        noise[:, solutions],
        lots[:, solutions],
        seed=int(key[0]) ^ part,
    )


def turned(generator: torch.Generator, pos: Tensor) -> Tensor:
    """``pos [B, n, 2]``, each map turned by an angle of its own, and every other one mirrored."""
    angle = 2 * torch.pi * torch.rand(len(pos), generator=generator)
    mirror = torch.where(torch.rand(len(pos), generator=generator) < 0.5, -1.0, 1.0)
    cos, sin = angle.cos(), angle.sin()
    rows = [torch.stack([cos, -sin], dim=-1), torch.stack([sin * mirror, cos * mirror], dim=-1)]
    return pos @ torch.stack(rows, dim=1).to(pos.dtype)


class Stream(IterableDataset[Batch]):
    """Batches without end, from number ``begin`` on."""

    def __init__(self, problem: Problem, data: Data, seed: int, *, part: int, parts: int, begin: int = 0) -> None:
        self.problem, self.data, self.seed = problem, data, seed
        self.part, self.parts, self.begin = part, parts, begin

    def __iter__(self) -> Iterator[Batch]:
        number = self.begin
        while True:
            yield draw_batch(self.problem, self.data, self.seed, number, self.part, self.parts)
            number += 1


class RandomInstances(lightning.LightningDataModule):
    """The stream for training and the fixed sets for validation."""

    def __init__(self, problem: Problem, data: Data, seed: int, *, most: float = math.inf) -> None:
        """``most``: nodes of the largest maps to validate on."""
        super().__init__()
        self.problem, self.data, self.seed, self.most = problem, data, seed, most
        self.begin = 0

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches as they are drawn; each of several processes gets its own part."""
        assert self.trainer is not None
        stream = Stream(
            self.problem,
            self.data,
            self.seed,
            part=self.trainer.global_rank,
            parts=self.trainer.world_size,
            begin=self.begin,
        )
        return DataLoader(stream, batch_size=None)

    def val_dataloader(self) -> DataLoader[ValidationSet]:
        """The fixed sets, one a batch."""
        sets = validation_sets(self.problem, most=self.most)
        return DataLoader(cast(Dataset[ValidationSet], sets), batch_size=None)

    def state_dict(self) -> dict[str, int]:
        """How many batches were taken, for resuming."""
        assert self.trainer is not None
        return {"begin": self.trainer.fit_loop.epoch_loop.batch_progress.current.completed}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue the stream where it was left."""
        self.begin = state["begin"]
