"""PPO and A2C: advantages against their definition, the step that begins an episode is left out, and it learns."""

from __future__ import annotations

from typing import Any

import lightning
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from l2o.actor_critic import ActorCritic, Settings
from l2o.train import silence


class Corridor:
    """Go right five times, then it ends; a wrong step ends it too. As Gymnasium's vectorised kind."""

    def __init__(self, count: int) -> None:
        self.place = np.zeros(count, np.int64)
        self.fresh = np.zeros(count, bool)

    def reset(self, *, seed: int) -> tuple[Any, dict[str, Any]]:
        return self.seen(), {}

    def seen(self) -> Any:
        return np.eye(8, dtype=np.float32)[self.place]

    def step(self, action: Any) -> tuple[Any, ...]:
        beginning = self.fresh.copy()
        self.place = np.where(beginning, 0, self.place + (action == 1))
        terminated = (action == 0) & ~beginning
        truncated = (self.place >= 5) & ~terminated & ~beginning
        reward = np.where(beginning, 0.0, (action == 1) * 1.0)
        self.fresh = terminated | truncated
        return self.seen(), reward, terminated, truncated, {}


class Table(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.policy = nn.Linear(8, 2, bias=False)
        self.value = nn.Linear(8, 1, bias=False)

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        return self.policy(seen), self.value(seen)[:, 0]


def module(**settings: Any) -> ActorCritic:
    torch.manual_seed(0)
    return ActorCritic(Table(), Corridor(6), Settings(**{"rate": 0.05, "steps": 12} | settings), seed=3)


def fit(learner: ActorCritic, rollouts: int) -> None:
    silence()
    trainer = lightning.Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(learner, torch.utils.data.DataLoader(range(rollouts), batch_size=None))  # type: ignore[arg-type]


@pytest.mark.parametrize(("passes", "parts"), [(1, 1), (4, 3)])
@pytest.mark.filterwarnings("ignore")
def test_it_learns_to_go_right(passes: int, parts: int) -> None:
    learner = module(passes=passes, parts=parts)
    fit(learner, 60)
    returns = [value for _, value in learner.returns]
    assert np.mean(returns[:20]) < 2.5 and np.mean(returns[-20:]) > 3.5


def test_advantages_are_what_their_definition_says() -> None:
    learner = module(discount=0.9, trace=0.8)
    with torch.no_grad():
        learner.network.value.weight.copy_(torch.linspace(0, 3, 8))  # type: ignore[union-attr, operator]
    seen, rewards, terminal, final, begins = [], [], [], [], []
    real_step = learner.environments.step

    def spy(action: Any) -> tuple[Any, ...]:
        seen.append(learner.environments.place.copy())
        begins.append(learner.environments.fresh.copy())
        result = real_step(action)
        rewards.append(result[1])
        terminal.append(result[2])
        final.append(result[2] | result[3])
        return tuple(result)

    learner.environments.step = spy
    rollout = learner.play()
    last = learner.environments.place
    value = np.linspace(0, 3, 8)
    expected = []
    for i in range(6):
        for t in range(12):
            if begins[t][i]:
                continue
            total, weight = 0.0, 1.0
            for u in range(t, 12):
                following = seen[u + 1][i] if u + 1 < 12 else last[i]
                bootstrap = 0.0 if terminal[u][i] else value[following]
                total += weight * (rewards[u][i] + 0.9 * bootstrap - value[seen[u][i]])
                weight *= 0.9 * 0.8
                if final[u][i]:
                    break
            expected.append((t, i, total))
    by_step = [total for _, _, total in sorted(expected)]
    np.testing.assert_allclose(rollout.advantage.numpy(), by_step, atol=1e-5)
    assert len(rollout.action) == learner.played == len(by_step) < 72


def test_equal_seeds_play_alike() -> None:
    one, two = module().play(), module().play()
    assert torch.equal(one.action, two.action) and torch.equal(one.advantage, two.advantage)
