"""What every way of learning shares, as a Lightning module: the budget and its rate, gradients in chunks, averages."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, cast

import lightning
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from l2o import models
from l2o import recipe as recipes
from l2o.construct import construct
from l2o.data import Batch
from l2o.models.base import Policy, View
from l2o.problems.base import Graph, Problem
from l2o.recipe import Recipe
from l2o.validation import ValidationSet

SPENT = ("decisions", "instances", "seconds", "skipped")
"""What a learner counts."""


class Learner(lightning.LightningModule):
    """A policy, its average, and how far the budget is spent; a way of learning adds ``training_step``."""

    loss: str
    """What it minimises, for the record of the weights."""

    clock: Callable[[], float] = staticmethod(time.monotonic)
    """Seconds as they are charged to the budget."""

    dynamic = False
    """Whether the network is given graphs of all sizes, which its compiled form must allow for."""

    def __init__(self, problem: Problem, recipe: Recipe) -> None:
        super().__init__()
        self.problem, self.recipe = problem, recipe
        self.policy: Any = models.policy(recipe.model, problem)
        decay = recipe.optimizer.average
        self.averaged = AveragedModel(self.policy, multi_avg_fn=_moving_average(decay)).requires_grad_(False)
        self.decisions = self.instances = self.skipped = 0
        self.seconds = 0.0
        self._since: float | None = None

    def progress(self) -> float:
        """Share of the budget that is spent, 0 to 1."""
        budget = self.recipe.budget
        spent = max(
            self.seconds / 60 / budget.minutes,
            self.decisions / budget.decisions,
            self.instances / budget.instances,
        )
        return min(1.0, spent)

    def rate(self) -> float:
        """Learning rate now: linear warm-up, cosine decay to zero at the end of the budget."""
        optimizer = self.recipe.optimizer
        warm = min(1.0, (self.global_step + 1) / max(1, optimizer.warmup))
        return optimizer.rate * warm * (1 + math.cos(math.pi * self.progress())) / 2

    @torch.no_grad()
    def validation_step(self, batch: ValidationSet, number: int) -> None:
        """How far greedy solutions are from the best known."""
        with self.autocast():
            cost = self.greedy(batch.graph)
        self.log(f"gap/{batch.name}", batch.gap(cost), batch_size=len(cost), sync_dist=True)

    def greedy(self, graph: Graph) -> Tensor:
        """``[B]`` costs of greedy constructions from one start with the averaged weights."""
        policy = cast(Policy[Any], self.averaged.module)
        rows = torch.arange(len(graph.pos), device=self.device)
        made = construct(self.problem, policy, graph, rows, self.problem.starts(graph, 1)[:, 0])
        assert made is not None
        return made.cost

    def gradients(self, graph: Graph, views: View, loss: Callable[[Tensor, Tensor], Tensor]) -> list[Tensor]:
        """Gradient, for each parameter of the policy, of the sum of ``loss`` over chunks of the decisions in ``views``.

        ``loss(logs, part)`` is given log-probabilities ``[C, k * moves]`` of the decisions numbered ``part [C]``.
        """
        with torch.enable_grad(), self.autocast():
            memory = self.policy.encode(graph)
        # Chunks stop at the encoder's output, whose gradient is collected and passed on once.
        leaf = None if memory is None else memory.detach().requires_grad_()
        weights = [p for name, p in self.policy.named_parameters() if not name.startswith("encoder.")]
        inputs = weights if leaf is None else [*weights, leaf]
        total = [torch.zeros_like(p) for p in inputs]
        chunk = self.recipe.objective.chunk
        for begin in range(0, len(views), chunk):
            part = torch.arange(begin, min(begin + chunk, len(views)), device=views.row.device)
            # Always a full chunk, or the compiled form would be made anew for every number of decisions.
            padded = torch.cat([part, part[-1:].expand(chunk - len(part))])
            with torch.enable_grad():
                with self.autocast():
                    logits = self.policy(views[padded], leaf)
                logs = logits.float().flatten(1).log_softmax(1)[: len(part)]
                slopes = torch.autograd.grad(loss(logs, part), inputs)
            for sum_, slope in zip(total, slopes, strict=True):
                sum_ += slope
        by_weight = dict(zip(weights, total, strict=False))
        if memory is not None and self.policy.encoder is not None:
            encoder = list(self.policy.encoder.parameters())
            by_weight |= zip(encoder, torch.autograd.grad(memory, encoder, total[-1].to(memory.dtype)), strict=True)
        return [by_weight[p] for p in self.policy.parameters()]

    def linear(self, gradients: list[Tensor]) -> Tensor:
        """A loss that is linear in the parameters with just these slopes.

        Memory never holds more than one chunk's graph, while Lightning sees an ordinary loss, with its gradient
        clipping and its averaging over processes.
        """
        return torch.stack([(p * g).sum() for p, g in zip(self.policy.parameters(), gradients, strict=True)]).sum()

    def autocast(self) -> torch.autocast:
        """bf16 matrix products where the recipe says so."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.recipe.precision == "bf16")

    def count(self, decisions: int, batch: Batch) -> None:
        """Charge the budget with a batch and with the time since the last one; the first one's time is compiling."""
        self.charge()
        if self._since is None:
            self._since = self.clock()
        world = self.trainer.world_size
        self.decisions += decisions * world
        self.instances += len(batch.graph.pos) * world

    def charge(self) -> None:
        """Charge the budget with the time that has passed."""
        if self._since is not None:
            now = self.clock()
            # Every process must see the same rate and stop at the same step.
            self.seconds += float(self.trainer.strategy.broadcast(now - self._since))
            self._since = now

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip. A gradient that is not finite teaches nothing, and one step along it would lose all the others."""
        norm = torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.recipe.optimizer.clip)
        if not norm.isfinite():
            self.skipped += 1
            for p in self.policy.parameters():
                if p.grad is not None:
                    p.grad.zero_()

    def on_train_batch_start(self, batch: Batch, number: int) -> int | None:
        """-1, Lightning's sign to leave this batch out and not to validate either, where training is to stop."""
        return -1 if self.trainer.should_stop else None

    def on_train_batch_end(self, outputs: Any, batch: Batch, number: int) -> None:
        """After the one step of a batch; stop when the budget is spent."""
        if self.automatic_optimization:
            self.step_taken()
        if self.progress() >= 1:
            self.trainer.should_stop = True

    def take_step(self, loss: Tensor) -> None:
        """A step along the gradient of ``loss``, for a way of learning that takes several with one batch."""
        optimizer = cast(LightningOptimizer, self.optimizers())
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        self.step_taken()

    def step_taken(self) -> None:
        """Average the weights, set the next rate."""
        self.averaged.update_parameters(self.policy)
        for group in self.optimizers().param_groups:  # type: ignore[union-attr]
            group["lr"] = self.rate()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW on the policy alone; the averaged copy follows."""
        optimizer = self.recipe.optimizer
        return torch.optim.AdamW(
            self.policy.parameters(), lr=self.rate(), weight_decay=optimizer.weight_decay, betas=(0.9, 0.99)
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What is spent, and of which recipe."""
        checkpoint["recipe"] = recipes.flat(self.recipe)
        checkpoint["spent"] = {key: getattr(self, key) for key in SPENT}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from there."""
        for key, value in checkpoint["spent"].items():
            setattr(self, key, value)

    def transfer_batch_to_device(
        self, batch: Batch | ValidationSet, device: torch.device, dataloader_idx: int
    ) -> Batch | ValidationSet:
        """Lightning's hook for batches that are not tensors."""
        return batch.to(device)

    def on_validation_start(self) -> None:
        """What was learned before validation is charged to the budget."""
        self.charge()

    def on_validation_end(self) -> None:
        """Validation is not."""
        if self._since is not None:
            self._since = self.clock()


def _moving_average(decay: float) -> Any:
    """Exponential average that forgets the random start: the decay rises as ``(1 + steps) / (10 + steps)``."""

    def update(averaged: list[Tensor], current: list[Tensor], steps: Tensor) -> None:
        now = float((1 + steps) / (10 + steps))
        get_ema_multi_avg_fn(min(decay, now))(averaged, current, steps)  # type: ignore[no-untyped-call]

    return update
