"""The policy for fleets: it permutes with the vehicles, is invariant under E(n) and scale, and each can do its part."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from l2o import problems
from l2o.construct import construct
from l2o.models.patch import CURRENT
from l2o.models.vehicles import FAR, Config, Policy
from l2o.problems.base import Graph, State
from l2o.problems.maps import MAPS

MTSP = problems.find("mtsp")
VEHICLES = 4


def make(config: Config | None = None) -> Policy:
    """In float64, with weights so large that everything in the network matters."""
    torch.manual_seed(0)
    policy = Policy(config or Config(width=16, message=8, reach=12), features=0, moves=1).double()
    for parameter in policy.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return policy


def sample(n: int = 25, batch: int = 3, distribution: str = "uniform", vehicles: int = VEHICLES) -> Graph:
    graph = MTSP.sample(torch.Generator().manual_seed(0), batch, n, distribution)
    return Graph(graph.pos.double(), graph.demand, torch.full((batch,), vehicles))


def play(graph: Graph, steps: int, seed: int = 0) -> State:
    """A state so many random decisions in, one for each instance."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.arange(len(graph.pos))
    state = MTSP.start(graph, rows, torch.zeros_like(rows))
    assert graph.vehicles is not None
    for _ in range(steps):
        node = (torch.rand(state.unvisited.shape, generator=generator) * state.unvisited).argmax(dim=1)
        move = (torch.rand(len(rows), generator=generator) * graph.vehicles).long()
        state = MTSP.step(graph, state, node, move)
    return state


def scores(policy: Policy, graph: Graph, state: State) -> Tensor:
    """``[P, V, n]`` the logit of each vehicle for each node, ``-inf`` where it is none of its candidates."""
    view = policy.sight(MTSP, graph)(state)
    logits = policy(view).transpose(1, 2)
    full = logits.new_full((*logits.shape[:2], graph.n), -torch.inf)
    found: Tensor = full.scatter_reduce(2, view.choices.unsqueeze(1).expand_as(logits), logits, "amax")
    return found


@pytest.mark.parametrize("steps", [0, 9, 24])
def test_vehicles_that_change_places_change_logits(steps: int) -> None:
    policy, graph = make(), sample()
    state = play(graph, steps)
    order = torch.tensor([2, 0, 3, 1])
    other = dataclasses.replace(state, current=state.current[:, order], load=state.load[:, order])
    plain = scores(policy, graph, state)
    torch.testing.assert_close(scores(policy, graph, other), plain[:, order], atol=1e-9, rtol=0)
    assert steps == 0 or (plain != plain[:, order]).any()


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("dim", [2, 3, 5])
def test_logits_are_invariant_under_isometries_and_scale_in_any_dimension(scale: float, dim: int) -> None:
    policy, graph = make(), sample()
    state = play(graph, 9)
    turn = torch.linalg.qr(torch.randn(dim, dim, generator=torch.Generator().manual_seed(3), dtype=torch.float64))[0]
    for mirror in (1.0, -1.0):
        matrix = turn * torch.tensor([mirror] + [1.0] * (dim - 1), dtype=torch.float64)
        pos = (nn.functional.pad(graph.pos, (0, dim - 2)) @ matrix + 7.0) * scale
        moved = Graph.of(pos, vehicles=graph.vehicles, dtype=torch.float64)
        # What is left of the budget is a length, in units of the graph.
        unit = (moved.pos[:, 1] - moved.pos[:, 0]).norm(dim=1) / (graph.pos[:, 1] - graph.pos[:, 0]).norm(dim=1)
        there = dataclasses.replace(state, load=state.load * unit.unsqueeze(1))
        torch.testing.assert_close(scores(policy, moved, there), scores(policy, graph, state), atol=1e-6, rtol=0)


def test_logits_hang_on_the_tail_alone() -> None:
    policy, graph = make(), sample()
    state = play(graph, 12)
    matter = state.unvisited.scatter(1, state.current, True)
    matter[:, 0] = True
    elsewhere = torch.rand(graph.pos.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    moved = dataclasses.replace(graph, pos=torch.where(matter.unsqueeze(-1), graph.pos, elsewhere))
    assert not torch.equal(moved.pos, graph.pos)
    torch.testing.assert_close(scores(policy, moved, state), scores(policy, graph, state), atol=1e-12, rtol=0)


def test_vehicles_that_others_have_change_nothing() -> None:
    policy = make()
    few, state = sample(batch=1, vehicles=3), play(sample(batch=1, vehicles=3), 9)
    alone = scores(policy, few, state)
    both = Graph.cat([few, sample(batch=1, vehicles=5)])
    padded = dataclasses.replace(
        state,
        current=nn.functional.pad(state.current, (0, 2), value=4),
        load=nn.functional.pad(state.load, (0, 2), value=0.7),
    )
    together = scores(policy, both, padded)
    torch.testing.assert_close(together[:, :3], alone, atol=1e-12, rtol=0)
    assert together[:, 3:].isinf().all()


def test_each_vehicle_can_do_its_part_by_itself() -> None:
    """From its own patch, and from what the others tell in each round, it gets the logits that all together get."""
    policy, graph = make(), sample()
    view = policy.sight(MTSP, graph)(play(graph, 9))
    together = policy(view).view(3, VEHICLES, -1, VEHICLES)
    patches = [view.patch[torch.arange(3) * VEHICLES + own] for own in range(VEHICLES)]
    seen = [policy.look.read(patch) for patch in patches]
    told = [h[:, CURRENT] + policy.enter(view.vehicle[:, own]) for own, h in enumerate(seen)]
    for layer in policy.rounds:
        heard = []
        for own in range(VEHICLES):
            order = [own, *(other for other in range(VEHICLES) if other != own)]
            place = view.place[:, order]
            distance = torch.cdist(place, place)
            edge = torch.stack([torch.exp(-distance), torch.exp(-distance / FAR)], dim=-1)
            messages = torch.stack([told[other] for other in order], dim=1)
            mine, _ = layer(messages, place, view.present[:, order], edge, length=distance.log1p(), receivers=1)
            heard.append(mine[:, 0])
        told = heard
    late = policy.lateness(view)
    for own, (h, vehicle, patch) in enumerate(zip(seen, told, patches, strict=True)):
        bids = policy.look.judge(h, policy.norm(vehicle))[..., 0] - late[:, own]
        alone = torch.where(patch.allowed[..., 0], bids, -torch.inf)
        torch.testing.assert_close(alone, together[:, own, :, own], atol=1e-6, rtol=0)


def test_untrained_the_last_vehicle_goes_to_its_nearest_node() -> None:
    policy, graph = Policy(Config(), features=0, moves=1).double(), sample()
    state = play(graph, 9)
    found = scores(policy, graph, state)
    home = graph.distance(state.row.unsqueeze(1), state.current, state.anchor.unsqueeze(1))
    come = -(state.load + home)
    for row in range(3):
        vehicle, node = divmod(int(found[row].argmax()), graph.n)
        away = graph.distance(torch.tensor(row), state.current[row, vehicle], torch.arange(graph.n))
        assert node == int(away.masked_fill(~state.unvisited[row], torch.inf).argmin())
        assert float(come[row, vehicle] - come[row].min()) < 0.3, "it may be a little ahead of the last"


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 12),
    vehicles=st.integers(1, 12),
    greedy=st.booleans(),
    distribution=st.sampled_from(sorted(MAPS)),
)
def test_constructions_are_feasible_and_cost_what_they_say(
    seed: int, n: int, vehicles: int, greedy: bool, distribution: str
) -> None:
    graph = MTSP.sample(torch.Generator().manual_seed(seed), 2, n, distribution)
    graph = Graph(graph.pos.double(), graph.demand, torch.tensor([min(n, vehicles), 1]))
    row = torch.tensor([0, 1, 0])
    noise = None if greedy else torch.rand(n, 3, generator=torch.Generator().manual_seed(seed))
    made = construct(MTSP, make(), graph, row, torch.zeros_like(row), noise=noise)
    assert made is not None
    for solution, number in enumerate(row.tolist()):
        instance, routes = graph.instance("mtsp", number), made.routes(MTSP, solution)
        assert MTSP.check(instance, routes) == pytest.approx(float(made.cost[solution]), rel=1e-9)


@pytest.mark.parametrize("distribution", MAPS)
def test_what_vehicles_are_told_is_bounded_on_every_kind_of_map(distribution: str) -> None:
    policy, graph = make(), sample(40, 2, distribution)
    for steps in (0, 20, 39):
        view = policy.sight(MTSP, graph)(play(graph, steps))
        assert view.vehicle.isfinite().all() and view.vehicle.abs().max() <= 1
        assert view.patch.x.isfinite().all() and view.patch.x.abs().max() <= 1 + 1e-9
        assert not policy(view).isnan().any()


def test_points_in_one_place() -> None:
    graph = Graph.of(torch.full((2, 12, 2), 5.0), vehicles=torch.tensor([3, 2]), dtype=torch.float64)
    found = scores(make(), graph, play(graph, 3))
    assert not found.isnan().any() and found[:, :2].isfinite().any(dim=2).all()


def test_settings_are_checked() -> None:
    bad: list[dict[str, Any]] = [{"rounds": -1}, {"width": 0}, {"sight": 2}, {"context": -1}]
    for values in bad:
        with pytest.raises(ValueError, match=next(iter(values))):
            Config(**values)
