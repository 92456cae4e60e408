"""Regions: a partition has every node once, and what regions change leaves one tour that is shorter by it."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l2o.heuristics import greedy_edge
from l2o.improve import improve, tsp, warm_up
from l2o.improve.regions import Region, adopt, partition
from l2o.improve.space import space
from l2o.improve.tsp import length
from l2o.problems.instance import Instance


def made(n: int, seed: int) -> Instance:
    coords = 1000 * np.random.default_rng(seed).random((n, 2))
    return Instance("made", "tsp", "EUC_2D", "none", np.arange(n), coords=coords)


@given(n=st.integers(1, 300), size=st.integers(3, 50), seed=st.integers(0, 99), spot=st.booleans())
def test_a_partition_has_every_node_once(n: int, size: int, seed: int, spot: bool) -> None:
    points = np.ones((n, 2)) if spot else np.random.default_rng(seed).random((n, 2))
    boxes = partition(points, size, np.random.default_rng(seed))
    assert all(0 < len(box) <= size for box in boxes)
    assert sorted(np.concatenate(boxes).tolist()) == list(range(n))


@given(n=st.integers(12, 120), seed=st.integers(0, 10**6), regions=st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_any_tours_of_regions_make_a_tour_of_all(n: int, seed: int, regions: int) -> None:
    """Even the worst that a region could come up with, as long as it keeps what is held."""
    rng = np.random.default_rng(seed)
    instance, tour = made(n, seed), rng.permutation(n)
    where = space(instance, 8)
    assert where is not None
    place = np.argsort(tour)
    boxes = partition(np.asarray(instance.coords), max(5, n // regions), rng)
    changes, gain = [], 0.0
    for box in boxes:
        region = Region.cut(place, box)
        inner = instance.part(region.nodes)
        m = len(box)
        new = np.arange(m)
        free = [i for i in range(m) if not len(region.held) or region.held[i, 1] < 0]
        if len(free) >= 2:
            # A 2-opt move between two edges that may go.
            i, j = sorted(rng.choice(free, 2, replace=False).tolist())
            new[i + 1 : j + 1] = new[i + 1 : j + 1][::-1].copy()
        gain += length(inner, np.arange(m)) - length(inner, new)
        changes.append(region.changes(new))
    after = adopt(where, tour, changes)
    assert sorted(after.tolist()) == list(range(n))
    if len(boxes) == 1:
        assert length(instance, after) == pytest.approx(length(instance, tour) - gain)


@pytest.mark.parametrize("threads", [1, 2])
def test_large_maps_are_searched_by_regions(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    warm_up("tsp")
    monkeypatch.setattr(tsp, "WHOLE", 500)
    monkeypatch.setattr(tsp, "REGION", 1_000)
    n = 2_000
    instance = made(n, 0)
    given = (tuple(range(n)),)
    told: list[float] = []
    begun = time.monotonic()
    found = improve(
        instance, given, deadline=begun + 4, seed=0, threads=threads, report=lambda cost, routes: told.append(cost)
    )
    assert time.monotonic() - begun < 4.5
    assert sorted(found[0]) == list(range(n))
    assert length(instance, np.array(found[0])) < 0.93 * length(instance, np.array(greedy_edge(instance)[0]))
    assert told == sorted(told, reverse=True)
