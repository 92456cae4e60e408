"""Improve tours: a population of local optima that take over each other's edges, or, where time is too short for one,
iterated local search of Lin-Kernighan moves, annealed; large maps region by region."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np

from l2o.heuristics import greedy_edge
from l2o.improve import improve as local_search
from l2o.improve import kernels_tail, kernels_tsp, random
from l2o.improve.neighbours import nearest
from l2o.improve.population import Population, evolve, parents
from l2o.improve.regions import Region, adopt, partition
from l2o.improve.run import Clock, Found, Task, pool_of
from l2o.improve.space import Space, space
from l2o.problems.instance import Floats, Instance, Ints, Routes

if TYPE_CHECKING:
    from concurrent.futures import Executor

NEIGHBOURS = 10
MENDING = 8
"""Near nodes among which a plan is mended."""
HEAT = 1.0
"""Temperature at the start, in units of what it costs to go to a near neighbour; it falls to 0 along a line."""
KICKS_PER_NODE = 10
"""A search that will make fewer kicks than this starts colder in proportion: it has no time to cool down."""
FIXED, TINY, ENOUGH = 3, 12, 1_000
"""See :class:`l2o.improve.Search`; iterations are kicks."""
LEAST, MOST = 12, 200
"""Tours of a population."""
MAKING = {True: 1 / 6, False: 1 / 20}
"""Share of the time left that making them may take: crossing them takes about five times as long, and much longer where
paths may not be turned, as few moves are left for a descent from a random tour."""
WHOLE, REGION = 20_000, 5_000
"""Up to so many nodes a map is searched as a whole, and else in regions of so many at most."""
FAR = 10.0
"""What is paid for giving up a path, in units of the longest way."""
_CHUNK = 100
"""Kicks between two looks at the clock: about 10 ms."""
_WORK = 5_000_000
"""Elementary operations between two looks at the clock: about 10 ms."""

Told = Callable[[float, Callable[[], Ints]], None]
"""Is told what the best tour so far costs, and how to get it."""


def improve(task: Task) -> Routes:
    """See :func:`l2o.improve.improve`; ``routes`` is one tour of all nodes. The instance must be symmetric."""
    where = space(task.instance, NEIGHBOURS, task.clock.over)
    if where is None:
        return task.routes
    return searched(task, where, read, lambda tour: (tuple(tour.tolist()),))


def read(routes: Routes) -> Ints:
    """The tour as an array."""
    return np.array(routes[0], np.int64)


def searched(
    task: Task, where: Space, read: Callable[[Routes], Ints], write: Callable[[Ints], Routes], less: float = 0.0
) -> Routes:
    """The best found in ``where``, whose tours ``read`` makes of the task's solutions, and ``write`` these of those;
    there they cost by so much ``less``."""
    instance, clock, seed, threads = task.instance, task.clock, task.seed, task.threads
    tour = read(task.routes)

    def cost(routes: Routes) -> float:
        return length(instance, np.array(routes[0]))

    def run(thread: int, found: Found) -> None:
        def told(claimed: float, best: Callable[[], Ints]) -> None:
            found(claimed + less, lambda: write(best()))

        if clock.iterations is not None:
            chained(where, tour, clock, seed, thread, told)
            return

        def others() -> Iterator[Ints]:
            return map(read, task.arrived())

        if instance.n <= WHOLE or instance.coords is None:
            best = anytime(where, tour, clock, seed, threads, told, others)
            # What was told last was one thread's.
            told(best[0], lambda: best[1])
        else:
            with pool_of(threads) as pool:
                by_regions(instance, where, tour, clock, seed, pool, threads, told, others)

    return task.best_of(run, 1 if clock.iterations is None else threads, cost)


def length(instance: Instance, tour: Ints) -> float:
    """Of the closed tour."""
    return float(instance.distance(tour, np.roll(tour, -1)).sum())


def anytime(
    where: Space,
    tour: Ints,
    clock: Clock,
    seed: int,
    threads: int,
    told: Told,
    others: Callable[[], Iterator[Ints]] = lambda: iter(()),
) -> tuple[float, Ints]:
    """The best tour found until the clock is over, and its cost: by populations where there is time for one."""

    def invited() -> Iterator[tuple[float, Ints]]:
        return (descended(where, other, clock, told) for other in others())

    best = descended(where, tour, clock, told)
    share = MAKING[where.turning]
    with pool_of(threads) as pool:
        epoch = 0
        while not clock.over():
            best = min(best, *invited(), best, key=itemgetter(0))
            # A second population begins with better tours, as the first one was there so early.
            kicks, making = (0, share) if epoch == 0 else (len(tour), 3 * share)
            members = gathered(where, best, clock, making * clock.left(), seed + epoch, kicks, pool, threads, told)
            if len(members) < LEAST:
                break
            population = Population(where, members, seed + epoch, threads)
            evolve(population, pool, clock.over, told, invited)
            best = population.best()
            epoch += 1

        def one(thread: int) -> tuple[float, Ints]:
            return chained(where, best[1], clock, seed + epoch, thread, told)

        best = min(best, *invited(), best, key=itemgetter(0))
        return min(pool.map(one, range(threads)), key=itemgetter(0))


def gathered(
    where: Space,
    first: tuple[float, Ints],
    clock: Clock,
    seconds: float,
    seed: int,
    kicks: int,
    pool: Executor,
    threads: int,
    told: Told,
) -> list[tuple[float, Ints]]:
    """``first`` and as many other local optima as can be made in the ``seconds``; none if too few could."""
    members = [first]
    begun = time.monotonic()
    for cost, tour in parents(where, seed, kicks, pool, threads, clock.over):
        members.append((cost, tour))
        told(cost, tour.copy)
        spent = time.monotonic() - begun
        if spent * (LEAST - 1) > seconds * (len(members) - 1):
            return []
        if spent > seconds or len(members) == MOST:
            break
    return members


def descend(search: kernels_tsp.Search, clock: Clock, told: Told) -> None:
    """Down to a local optimum, or as far as there is time."""
    done = False
    while not done and not clock.over():
        done = kernels_tsp.descend(search, _WORK)
        told(kernels_tsp.best_cost(search), lambda: kernels_tsp.best(search))


def descended(where: Space, tour: Ints, clock: Clock, told: Told) -> tuple[float, Ints]:
    """The local optimum that ``tour`` leads to."""
    search = kernels_tsp.search(where.metric, where.near, tour, random.state(0), where.held)
    descend(search, clock, told)
    return kernels_tsp.best_cost(search), kernels_tsp.best(search)


def chained(where: Space, tour: Ints, clock: Clock, seed: int, thread: int, told: Told) -> tuple[float, Ints]:
    """Iterated local search, annealed, until the clock is over."""
    n = len(tour)
    search = kernels_tsp.search(where.metric, where.near, tour, random.state(seed, thread), where.held)
    descend(search, clock, told)
    warm = HEAT * float(np.median(search.near_cost[:, :3]))
    kicks = 0
    while (chunk := clock.chunk(kicks, _CHUNK)) > 0:
        hurry = min(1.0, clock.expected(kicks) / (KICKS_PER_NODE * n))
        heat = warm * hurry * (1.0 - clock.progress(kicks))
        kernels_tsp.kicks(search, chunk, heat)
        kicks += chunk
        told(kernels_tsp.best_cost(search), lambda: kernels_tsp.best(search))
    return kernels_tsp.best_cost(search), kernels_tsp.best(search)


def by_regions(
    instance: Instance,
    where: Space,
    tour: Ints,
    clock: Clock,
    seed: int,
    pool: Executor,
    threads: int,
    told: Told,
    others: Callable[[], Iterator[Ints]],
) -> None:
    """Region after region, as many at once as there are threads: first to local optima, then as long as there is time
    for, in equal shares."""
    assert instance.coords is not None
    rng = np.random.default_rng(seed)
    # A tour that leaves every region at every other node leaves nothing to be changed there.
    other = np.array(greedy_edge(instance)[0], np.int64)
    if length(instance, other) < length(instance, tour):
        tour = other
    passes = 0
    while not clock.over():
        boxes = partition(instance.coords, REGION, rng)
        for begin in range(0, len(boxes), threads):
            if clock.over():
                return
            for other in others():
                if length(instance, other) < length(instance, tour):
                    tour = other
            place = np.argsort(tour)
            batch = [Region.cut(place, nodes) for nodes in boxes[begin : begin + threads]]
            remaining = sum(map(len, boxes[begin:]))
            share = clock.left() * sum(map(len, boxes[begin : begin + threads])) / remaining

            def better(region: Region, share: float = share, passes: int = passes) -> tuple[Ints, Ints] | None:
                inner = space(instance.part(region.nodes), NEIGHBOURS, clock.over, region.held)
                if inner is None:
                    return None
                own = clock.within(share if passes else math.inf)
                begun = np.arange(len(region.nodes))
                if passes == 0:
                    found = descended(inner, begun, own, ignore)
                else:
                    found = anytime(inner, begun, own, seed + passes, 1, ignore)
                return region.changes(found[1])

            changes = [made for made in pool.map(better, batch) if made is not None]
            tour = adopt(where, tour, changes)
            told(length(instance, tour), tour.copy)
        passes += 1


def ignore(cost: float, tour: Callable[[], Ints]) -> None:
    """Tell nobody."""


def complete(instance: Instance, paths: Ints, routes: Routes, *, seed: int, iterations: int) -> Routes:
    """See :func:`l2o.improve.complete`."""
    nodes = np.arange(instance.n)
    # All tours have equally many edges. Where each costs extra but those that are paths, none of these is given up.
    matrix = instance.distance(nodes[:, None], nodes)
    matrix = matrix + FAR * max(1e-9, matrix.max())
    matrix[paths[:, 0], paths[:, 1]] = matrix[paths[:, 1], paths[:, 0]] = 0.0
    np.fill_diagonal(matrix, 0.0)
    held = Instance.of_matrix(instance.name, instance.problem, matrix)
    return local_search(held, routes, deadline=math.inf, seed=seed, iterations=iterations)


def regrets(instance: Instance, plan: Routes, constructions: Ints) -> Floats:
    """See :func:`l2o.improve.regrets`."""
    n = instance.n
    nodes = np.arange(n)
    matrix = np.ascontiguousarray(instance.distance(nodes[:, None], nodes))
    near = nearest(instance, MENDING)
    assert near is not None
    result = np.empty((len(constructions), n - 1))
    path, position, queue = np.empty(n + 1, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    tours = np.ascontiguousarray(constructions)
    least = 1e-12 * float(matrix.max())
    kernels_tail.regrets(matrix, near, np.array(plan[0]), tours, path, position, queue, least, result)
    return result


def warm_up() -> None:
    """Compile everything by runs on few nodes."""
    coords = np.random.default_rng(0).random((24, 2))
    example = Instance("example", "tsp", "EUC_2D", "none", np.arange(24), coords=coords)
    where = space(example, NEIGHBOURS)
    assert where is not None
    tour = np.arange(24)
    clock = Clock(math.inf, None, 10)
    chained(where, tour, clock, 0, 0, ignore)
    with pool_of(1) as pool:
        members = gathered(where, (math.inf, tour), clock, math.inf, 0, 0, pool, 1, ignore)
        evolve(Population(where, members, 0, 1), pool, clock.over, ignore)
    region = Region.cut(np.argsort(greedy_edge(example)[0]), tour)
    adopt(where, region.nodes, [region.changes(members[1][1])])
