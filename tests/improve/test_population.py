"""Edge assembly crossover: children are tours, cost what is said, keep what is held, and reach optima."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l2o.files import read
from l2o.improve.population import Population, evolve, parents
from l2o.improve.space import Space, chains, scattered, space
from l2o.improve.tsp import length
from l2o.problems.instance import Instance, Ints

DATA = Path(__file__).parents[1] / "data"


def made(n: int, seed: int, *, lattice: bool = False) -> Instance:
    rng = np.random.default_rng(seed)
    coords = rng.integers(0, 6, (n, 2)).astype(float) if lattice else 1000 * rng.random((n, 2))
    return Instance("made", "tsp", "EUC_2D", "nearest", np.arange(n), coords=coords)


def never() -> bool:
    return False


def held_edges(n: int, seed: int) -> Ints:
    """Some edges of a random tour."""
    rng = np.random.default_rng(seed)
    tour = rng.permutation(n)
    held = np.full((n, 2), -1, np.int64)
    for i in np.flatnonzero(rng.random(n - 1) < 0.4).tolist():
        held[tour[i], 1], held[tour[i + 1], 0] = tour[i + 1], tour[i]
    return held


def edges(tour: Ints) -> set[frozenset[int]]:
    return {frozenset(edge) for edge in zip(tour.tolist(), np.roll(tour, -1).tolist(), strict=True)}


def random_population(where: Space, instance: Instance, number: int, seed: int, threads: int = 1) -> Population:
    """Tours that no search has made alike."""
    paths = chains(where.held, instance.n)
    tours = [scattered(paths, Random(f"{seed} {i}")) for i in range(number)]
    return Population(where, [(length(instance, tour), tour) for tour in tours], seed, threads)


@given(
    n=st.integers(5, 60),
    seed=st.integers(0, 10**6),
    lattice=st.booleans(),
    holding=st.booleans(),
    threads=st.integers(1, 3),
)
@settings(max_examples=60, deadline=None)
def test_children_are_tours_that_cost_what_is_said_and_keep_what_is_held(
    n: int, seed: int, lattice: bool, holding: bool, threads: int
) -> None:
    instance = made(n, seed, lattice=lattice)
    where = space(instance, 8, held=held_edges(n, seed) if holding else np.zeros((0, 2), np.int64))
    assert where is not None
    population = random_population(where, instance, 6, seed, threads)
    kept = {frozenset({i, j}) for i, pair in enumerate(where.held.tolist()) for j in pair if j >= 0}
    before = population.costs.copy()
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(4):
            population.generation(pool, never)
            assert (population.costs <= before + 1e-9).all()
            before = population.costs.copy()
            for tour, cost in zip(population.tours, before, strict=False):
                assert sorted(tour.tolist()) == list(range(n))
                assert length(instance, tour) == pytest.approx(cost, abs=1e-6)
                assert kept <= edges(tour)


def test_crossing_finds_the_shortest_tour_of_few_nodes() -> None:
    reached = 0
    for seed in range(10):
        instance = made(8, seed)
        where = space(instance, 7)
        assert where is not None
        shortest = min(length(instance, np.array([0, *rest])) for rest in itertools.permutations(range(1, 8)))
        population = random_population(where, instance, 30, seed)
        with ThreadPoolExecutor(1) as pool:
            evolve(population, pool, never, lambda cost, tour: None)
        cost, tour = population.best()
        assert cost == length(instance, tour) >= shortest
        reached += cost == shortest
    assert reached >= 9


@pytest.mark.parametrize(("name", "optimal"), [("berlin52", 7542), ("att48", 10628)])
def test_published_optima_are_reached(name: str, optimal: int) -> None:
    instance = read(DATA / f"{name}.tsp")
    where = space(instance, 10)
    assert where is not None
    told: list[float] = []
    with ThreadPoolExecutor(1) as pool:
        members = list(itertools.islice(parents(where, 0, 0, pool, 1, never), 30))
        population = Population(where, members, 0, 1)
        evolve(population, pool, never, lambda cost, tour: told.append(cost))
    assert population.best()[0] == optimal
    assert told == sorted(told, reverse=True)


def test_equal_seeds_give_equal_populations_and_threads_do_not_race() -> None:
    instance = made(200, 3)
    where = space(instance, 10)
    assert where is not None
    found = []
    for _ in range(3):
        with ThreadPoolExecutor(2) as pool:
            population = Population(where, list(itertools.islice(parents(where, 5, 0, pool, 2, never), 12)), 5, 2)
            evolve(population, pool, never, lambda cost, tour: None)
        found.append(population.tours[:12].copy())
    assert all((tours == found[0]).all() for tours in found)


def test_a_search_that_is_over_leaves_tours() -> None:
    instance = made(100, 1)
    where = space(instance, 10)
    assert where is not None
    population = random_population(where, instance, 5, 0)
    left = iter([False] * 3 + [True] * 1000)
    with ThreadPoolExecutor(1) as pool:
        evolve(population, pool, lambda: next(left), lambda cost, tour: None)
    assert all(sorted(tour.tolist()) == list(range(100)) for tour in population.tours[:5])


@given(n=st.integers(2, 40), seed=st.integers(0, 10**6))
def test_a_scattered_tour_has_what_is_held(n: int, seed: int) -> None:
    held = held_edges(n, seed)
    tour = scattered(chains(held, n), Random(seed))
    assert sorted(tour.tolist()) == list(range(n))
    assert {frozenset({i, j}) for i, pair in enumerate(held.tolist()) for j in pair if j >= 0} <= edges(tour)


def test_a_ring_of_held_edges_is_refused() -> None:
    ring = np.array([[2, 1], [0, 2], [1, 0], [-1, -1]])
    with pytest.raises(ValueError, match="ring"):
        chains(ring, 4)
