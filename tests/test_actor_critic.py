"""PPO and A2C: advantages against their definition, the step that begins an episode is left out, and it learns."""

from __future__ import annotations

from typing import Any

import lightning
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from l2o.actor_critic import ActorCritic, Settings, likelihood
from l2o.train import silence


class Corridor:
    """Go right five times, then it ends; a wrong step ends it too. As Gymnasium's vectorised kind."""

    def __init__(self, count: int) -> None:
        self.num_envs = count
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


class Signals:
    """Two agents see a lamp each; they earn 1 if each says what the other sees. Every fifth step only begins anew."""

    def __init__(self, count: int) -> None:
        self.num_envs, self.time = count, 0
        self.random = np.random.default_rng(0)

    def reset(self, *, seed: int) -> tuple[Any, dict[str, Any]]:
        return self.seen(), {}

    def seen(self) -> dict[str, Any]:
        self.lamps = self.random.integers(2, size=(self.num_envs, 2))
        return {"own": self.lamps, "other": self.lamps[:, ::-1]}

    def step(self, action: Any) -> tuple[Any, ...]:
        self.time = (self.time + 1) % 5
        reward = (action == self.lamps[:, ::-1]).all(axis=1) * float(self.time > 0)
        return self.seen(), reward, np.full(self.num_envs, self.time == 4), np.zeros(self.num_envs, bool), {}


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.policy, self.value = nn.Linear(2, 2), nn.Linear(2, 1)

    def forward(self, seen: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        features = torch.stack([seen["own"], seen["other"]], dim=2)
        return self.policy(features), self.value(features).mean(dim=(1, 2))


@pytest.mark.filterwarnings("ignore")
def test_agents_with_one_reward_learn_from_dictionaries() -> None:
    torch.manual_seed(0)
    learner = ActorCritic(Pair(), Signals(8), Settings(rate=0.05, steps=8, passes=2, parts=2), seed=1)
    rollout = learner.play()
    assert isinstance(rollout.seen, dict)
    assert {name: part.shape for name, part in rollout.seen.items()} == {"own": (56, 2), "other": (56, 2)}
    assert rollout.action.shape == (56, 2) and rollout.likelihood.shape == (56,)
    fit(learner, 40)
    returns = [value for _, value in learner.returns]
    assert np.mean(returns[:60]) < 2 and np.mean(returns[-60:]) > 3.5


def test_a_joint_action_is_as_likely_as_its_parts_together() -> None:
    logs = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(2)).log_softmax(dim=2)
    joint = torch.cartesian_prod(*[torch.arange(4)] * 3)
    each = torch.stack([likelihood(logs, action.expand(5, 3)) for action in joint], dim=1).exp()
    torch.testing.assert_close(each.sum(dim=1), torch.ones(5))
    product = logs[2, 0, joint[:, 0]] + logs[2, 1, joint[:, 1]] + logs[2, 2, joint[:, 2]]
    torch.testing.assert_close(each[2].log(), product)
    alone = likelihood(logs[:, 0], torch.tensor([0, 1, 2, 3, 0]))
    torch.testing.assert_close(alone, logs[range(5), 0, [0, 1, 2, 3, 0]])
