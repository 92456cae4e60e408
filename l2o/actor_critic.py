"""PPO and A2C on vectorised environments, as a Lightning module.

Observations are arrays, or dictionaries of them. Actions ``[N, A]`` of ``A`` agents with one reward are learned as one
joint action, whose likelihood is the product of the agents'.

Sources: J. Schulman and others, "Proximal policy optimization algorithms", 2017; V. Mnih and others, "Asynchronous
methods for deep reinforcement learning", 2016; J. Schulman and others, "High-dimensional continuous control using
generalized advantage estimation", 2016.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import lightning
import numpy as np
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn

from l2o.models.fixable import fixed


@dataclass(frozen=True)
class Settings:
    """Of one way of learning."""

    rate: float
    steps: int
    """Of every environment in one roll-out."""
    passes: int = 1
    """How often a roll-out is learned from; with one pass and one part this is A2C."""
    parts: int = 1
    """That it is dealt out to, a step of the optimizer each."""
    clip: float = 0.2
    """By how much the probability of an action may change before it stops to count; matters from the second step on."""
    discount: float = 0.99
    trace: float = 0.95
    """Lambda of the advantage estimates."""
    entropy: float = 0.01
    value: float = 0.5
    """Weight of the value's squared error."""
    gradient: float = 0.5
    """Largest norm."""


Seen = Tensor | dict[str, Tensor]


def tensors(seen: Any) -> Seen:
    """Observations of environments as float32."""
    if isinstance(seen, dict):
        return {name: torch.from_numpy(np.asarray(part, np.float32)) for name, part in seen.items()}
    return torch.from_numpy(np.asarray(seen, np.float32))


def choose(seen: Seen, which: Tensor) -> Seen:
    """Some of them."""
    return {name: part[which] for name, part in seen.items()} if isinstance(seen, dict) else seen[which]


def join(seen: list[Any]) -> Seen:
    """One behind the other, all of one kind."""
    if isinstance(seen[0], dict):
        return {name: torch.cat([part[name] for part in seen]) for name in seen[0]}
    return torch.cat(seen)


def likelihood(logs: Tensor, action: Tensor) -> Tensor:
    """``[B]`` logarithms, of ``logs [B, ..., actions]`` and ``action [B, ...]``."""
    return logs.gather(-1, action.unsqueeze(-1)).flatten(1).sum(dim=1)


@dataclass(frozen=True)
class Rollout:
    """``T`` steps of ``N`` environments; some of the ``T N`` only begin an episode and are left out."""

    seen: Seen
    action: Tensor
    likelihood: Tensor
    advantage: Tensor
    goal: Tensor
    """What the value should have been."""


class ActorCritic(lightning.LightningModule):
    """Learns while it plays. A batch is the number of a roll-out; environments go on from one to the next."""

    def __init__(
        self,
        network: nn.Module,
        environments: Any,
        settings: Settings,
        *,
        seed: int,
        augment: Callable[[torch.Generator, Seen, Tensor], tuple[Seen, Tensor]] | None = None,
    ) -> None:
        """``augment(generator, observations, actions)`` says how minibatches are changed before they are learned."""
        super().__init__()
        self.network, self.environments, self.settings, self.augment = network, environments, settings, augment
        self.automatic_optimization = False
        self.generator = torch.Generator().manual_seed(seed)
        self.played = 0
        """Steps of all environments together."""
        self.returns: list[tuple[int, float]] = []
        """When an episode ended, in steps played, and what it earned."""
        seen, _ = environments.reset(seed=seed)
        self._seen = tensors(seen)
        self._fresh = np.zeros(environments.num_envs, bool)
        self._earned = np.zeros(environments.num_envs)

    @torch.no_grad()
    def play(self) -> Rollout:
        """One roll-out and the advantages of its actions."""
        steps, count = self.settings.steps, len(self._fresh)
        seen, actions, likelihoods, values, rewards, over, ended, real = [], [], [], [], [], [], [], []
        for _ in range(steps):
            logits, value = self.network(self._seen)
            logs = logits.log_softmax(dim=-1)
            drawn = torch.multinomial(logs.exp().flatten(0, -2), 1, generator=self.generator)
            action = drawn.view(logs.shape[:-1])
            following, reward, terminated, truncated, _ = self.environments.step(action.numpy())
            seen.append(self._seen)
            actions.append(action)
            likelihoods.append(likelihood(logs, action))
            values.append(value)
            rewards.append(torch.from_numpy(np.asarray(reward, np.float32)))
            over.append(torch.from_numpy(terminated.copy()))
            ended.append(torch.from_numpy(terminated | truncated))
            real.append(torch.from_numpy(~self._fresh))
            self.played += int((~self._fresh).sum())
            self._earned += reward
            for i in np.flatnonzero(terminated | truncated).tolist():
                self.returns.append((self.played, float(self._earned[i])))
                self._earned[i] = 0.0
            # The step after an end only begins the next episode, whatever was chosen.
            self._fresh = terminated | truncated
            self._seen = tensors(following)
        values.append(self.network(self._seen)[1])
        advantage = torch.zeros(steps, count)
        following_advantage = torch.zeros(count)
        for t in reversed(range(steps)):
            # After an end that was no failure the last thing seen still has a value.
            to_come = values[t + 1] * (~over[t])
            error = rewards[t] + self.settings.discount * to_come - values[t]
            decay = self.settings.discount * self.settings.trace
            following_advantage = error + decay * following_advantage * (~ended[t])
            advantage[t] = following_advantage
        keep = torch.stack(real).flatten()
        goal = advantage + torch.stack(values[:-1])
        flat = (torch.cat(actions), torch.cat(likelihoods), advantage.flatten(), goal.flatten())
        return Rollout(choose(join(seen), keep), *(part[keep] for part in flat))

    def training_step(self, batch: Any, number: int) -> None:
        """Play, then learn from it."""
        settings = self.settings
        with fixed(self.network):
            rollout = self.play()
        optimizer = cast(LightningOptimizer, self.optimizers())
        advantage = (rollout.advantage - rollout.advantage.mean()) / (rollout.advantage.std() + 1e-8)
        for _ in range(settings.passes):
            order = torch.randperm(len(advantage), generator=self.generator)
            for part in order.tensor_split(settings.parts):
                seen, action = choose(rollout.seen, part), rollout.action[part]
                if self.augment is not None:
                    seen, action = self.augment(self.generator, seen, action)
                logits, value = self.network(seen)
                logs = logits.log_softmax(dim=-1)
                ratio = (likelihood(logs, action) - rollout.likelihood[part]).exp()
                bounded = ratio.clamp(1 - settings.clip, 1 + settings.clip)
                gain = torch.minimum(ratio * advantage[part], bounded * advantage[part]).mean()
                entropy = -(logs.exp() * logs).flatten(1).sum(dim=1).mean()
                error = (value - rollout.goal[part]).square().mean()
                optimizer.zero_grad()
                self.manual_backward(settings.value * error - gain - settings.entropy * entropy)
                torch.nn.utils.clip_grad_norm_(self.network.parameters(), settings.gradient)
                optimizer.step()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(self.network.parameters(), lr=self.settings.rate, eps=1e-5, fused=True)
