"""The min-max mTSP: costs by hand and by enumeration, and the decision process on top of them."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from l2o import problems
from l2o.problems.base import Graph, State
from l2o.problems.instance import Infeasible, Instance, InvalidInstance, Routes

MTSP = problems.find("mtsp")


def made(customers: int, vehicles: int, seed: int = 0) -> Instance:
    coords = np.random.default_rng(seed).random((customers + 1, 2))
    return Instance("made", "mtsp", "EUC_2D", "none", np.arange(1, customers + 2), coords=coords, vehicles=vehicles)


def length(instance: Instance, route: tuple[int, ...]) -> float:
    assert instance.coords is not None
    points = instance.coords[[0, *route, 0]].tolist()
    return sum(math.dist(a, b) for a, b in itertools.pairwise(points))


def every(customers: int, vehicles: int) -> set[Routes]:
    """All ways to serve the customers, the direction of a route told apart, the number of its vehicle not."""
    found = set()
    for order in itertools.permutations(range(1, customers + 1)):
        for cuts in itertools.combinations_with_replacement(range(customers + 1), vehicles - 1):
            bounds = [0, *cuts, customers]
            found.add(tuple(sorted(order[i:j] for i, j in itertools.pairwise(bounds) if i < j)))
    return found


def optimum(instance: Instance) -> float:
    assert instance.vehicles is not None
    return min(max(length(instance, route) for route in routes) for routes in every(instance.n - 1, instance.vehicles))


@settings(max_examples=50, deadline=None)
@given(data=st.data(), customers=st.integers(1, 9), vehicles=st.integers(1, 9))
def test_cost_and_check_are_the_longest_route(data: st.DataObject, customers: int, vehicles: int) -> None:
    instance = made(customers, min(vehicles, customers))
    order = data.draw(st.permutations(range(1, customers + 1)))
    cuts = data.draw(st.lists(st.integers(0, customers), max_size=min(vehicles, customers) - 1).map(sorted))
    routes = tuple(tuple(order[i:j]) for i, j in itertools.pairwise([0, *cuts, customers]))
    by_hand = max(length(instance, route) for route in routes)
    assert MTSP.check(instance, routes) == pytest.approx(by_hand, rel=1e-12)
    assert MTSP.cost(instance, routes) == pytest.approx(by_hand, rel=1e-12)


def test_more_routes_than_vehicles_are_refused_but_not_for_being_empty() -> None:
    instance = made(3, 2)
    with pytest.raises(Infeasible, match="3 routes found, there are 2 vehicles"):
        MTSP.check(instance, ((1,), (2,), (3,)))
    assert MTSP.check(instance, ((), (1,), (), (2, 3))) == MTSP.check(instance, ((1,), (2, 3)))


@pytest.mark.parametrize("vehicles", [0, -1, 5])
def test_impossible_fleets_are_refused(vehicles: int) -> None:
    with pytest.raises(InvalidInstance, match=f"found {vehicles} vehicles for 4 customers, expected at least one and"):
        made(4, vehicles)


def test_a_tour_problem_is_shared_out_and_others_are_not() -> None:
    tour = dataclasses.replace(made(4, 1), problem="tsp", vehicles=None, best_known=3.0, best_known_source="x")
    shared = tour.shared(3)
    assert (shared.problem, shared.vehicles, shared.best_known, shared.best_known_source) == ("mtsp", 3, None, "")
    assert not tour.has_depot and shared.has_depot
    assert shared.shared(2).vehicles == 2
    routes = dataclasses.replace(tour, problem="cvrp", demand=np.zeros(5), capacity=1.0)
    with pytest.raises(InvalidInstance, match="found 2 vehicles for a cvrp, expected a tsp"):
        routes.shared(2)


def graph_of(instance: Instance) -> Graph:
    return MTSP.graph(instance)


def begin(graph: Graph) -> State:
    return MTSP.start(graph, torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64))


def walk(graph: Graph, nodes: list[int], moves: list[int]) -> tuple[State, float]:
    """The state after these decisions and what they have cost."""
    state, total = begin(graph), 0.0
    for node, move in zip(nodes, moves, strict=True):
        there = torch.tensor([node])
        assert state.unvisited[0, node] and MTSP.allowed(graph, state, there[None])[0, 0, move]
        total += float(MTSP.legs(graph, state, there[None])[0, 0, move])
        state = MTSP.step(graph, state, there, torch.tensor([move]))
    return state, total


@pytest.mark.parametrize(("customers", "vehicles"), [(3, 2), (3, 3), (4, 2)])
def test_decisions_reach_every_solution_at_its_cost(customers: int, vehicles: int) -> None:
    instance = made(customers, vehicles, seed=customers + vehicles)
    graph = graph_of(instance)
    unit = float(torch.dist(graph.pos[0, 0], graph.pos[0, 1])) / length(instance, (1,)) * 2
    found, best = set(), math.inf
    for nodes in itertools.permutations(range(1, customers + 1)):
        for moves in itertools.product(range(vehicles), repeat=customers):
            routes = MTSP.routes([0], list(nodes), list(moves))
            found.add(tuple(sorted(routes)))
            state, total = walk(graph, list(nodes), list(moves))
            assert state.left == 0 and float(MTSP.closing(graph, state)) == 0
            assert total == pytest.approx(unit * MTSP.check(instance, routes), rel=1e-12)
            best = min(best, total)
    assert found == every(customers, vehicles)
    assert best == pytest.approx(unit * optimum(instance), rel=1e-12)


@settings(max_examples=30, deadline=None)
@given(data=st.data(), seed=st.integers(0, 1000))
def test_in_what_order_vehicles_took_turns_is_no_part_of_the_state(data: st.DataObject, seed: int) -> None:
    graph = graph_of(made(7, 3, seed))
    moves = data.draw(st.lists(st.integers(0, 2), min_size=5, max_size=5))
    again = data.draw(st.permutations(moves))
    nodes = data.draw(st.permutations(range(1, 8)))[:5]
    stops = {vehicle: iter([n for n, m in zip(nodes, moves, strict=True) if m == vehicle]) for vehicle in range(3)}
    state, cost = walk(graph, nodes, moves)
    other, same = walk(graph, [next(stops[vehicle]) for vehicle in again], again)
    assert cost == pytest.approx(same, rel=1e-12)
    for name in ("current", "anchor", "unvisited"):
        assert torch.equal(getattr(state, name), getattr(other, name))
    torch.testing.assert_close(state.load, other.load, atol=1e-12, rtol=0)


def test_how_long_routes_have_become_is_no_part_of_the_state_but_by_how_much_they_differ() -> None:
    def after(first: float, second: float) -> State:
        """One vehicle each to the left and to the right by way of customers so high up."""
        coords = torch.tensor([[0.0, 0], [-1, first], [1, second], [-2, 0], [2, 0], [5, 5]], dtype=torch.float64)
        return walk(Graph(coords[None], torch.zeros(1, 6), torch.tensor([2])), [1, 2, 3, 4], [0, 1, 0, 1])[0]

    low, high, uneven = after(1, 1), after(3, 3), after(1, 3)
    for name in ("current", "anchor", "unvisited", "load"):
        assert torch.equal(getattr(low, name), getattr(high, name))
    assert not low.load.any()
    assert uneven.load[0].tolist() == pytest.approx([2 * math.hypot(1, 3) - 2 * math.hypot(1, 1), 0])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 40), batch=st.integers(1, 3))
def test_random_fleets_have_work_to_do(seed: int, n: int, batch: int) -> None:
    graph = MTSP.sample(torch.Generator().manual_seed(seed), batch, n, "uniform")
    assert graph.pos.shape == (batch, n + 1, 2) and graph.vehicles is not None
    (vehicles,) = set(graph.vehicles.tolist())
    assert 1 <= vehicles <= max(1, min(10, n // 3)) and (vehicles > 1 or n < 6)


def test_parts_of_a_batch_keep_their_fleets() -> None:
    few, many = (dataclasses.replace(graph_of(made(6, v)), pos=torch.rand(1, 7, 2)) for v in (2, 5))
    both = Graph.cat([few, many, few])
    assert both.vehicles is not None and both.vehicles.tolist() == [2, 5, 2]
    assert [both.instance("mtsp", i).vehicles for i in range(3)] == [2, 5, 2]
    part = both.at(torch.tensor([1, 0]))
    assert part.vehicles is not None and part.vehicles.tolist() == [5, 2]
    assert begin(both).current.shape == (1, 5)
    assert both.present(torch.tensor([0, 1]), 5).sum(dim=1).tolist() == [2, 5]
