"""From an instance to a checked solution: always one, never a wrong one, the same for the same seed."""

import itertools
import math
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from l2o import constructions as building
from l2o import problems
from l2o import solve as solving
from l2o.bound import Bound
from l2o.clock import attend
from l2o.files import read, read_solution
from l2o.models.local import Config, Policy
from l2o.models.patch import Patch, PatchSight
from l2o.problems import rules
from l2o.problems.base import Graph, Problem
from l2o.problems.instance import Infeasible, Instance, Solution, Unsupported
from l2o.solve import default_time_limit, solve

DATA = Path(__file__).parent / "data"


def untrained(problem: str) -> Policy:
    torch.manual_seed(0)
    rules = problems.find(problem)
    return Policy(Config(), features=rules.features, moves=rules.moves).eval()


def cities(n: int, seed: int = 0, metric: str = "EUC_2D") -> Instance:
    coords = np.random.default_rng(seed).uniform(0, 1000, (n, 2)).round()
    return Instance(f"random{n}", "tsp", metric, "nearest", np.arange(1, n + 1), coords=coords)


def customers(n: int, seed: int = 0) -> Instance:
    rng = np.random.default_rng(seed)
    return Instance(
        f"customers{n}",
        "cvrp",
        "EUC_2D",
        "nearest",
        np.arange(1, n + 2),
        coords=rng.uniform(0, 1000, (n + 1, 2)).round(),
        demand=np.concatenate([[0.0], rng.integers(1, 10, n).astype(float)]),
        capacity=15.0,
    )


def distance(instance: Instance, a: int, b: int) -> float:
    """EUC_2D by the book."""
    assert instance.coords is not None
    (x, y), (u, v) = instance.coords[a].tolist(), instance.coords[b].tolist()
    return math.floor(math.sqrt((x - u) ** 2 + (y - v) ** 2) + 0.5)


def length(instance: Instance, tour: tuple[int, ...]) -> float:
    return sum(distance(instance, a, b) for a, b in zip(tour, tour[1:] + tour[:1], strict=True))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 13])
@pytest.mark.parametrize("improve", [False, True])
def test_smallest_tours(n: int, improve: bool) -> None:
    instance = cities(n)
    solution = solve(instance, untrained("tsp"), starts=3, samples=2, improve=improve, iterations=50)
    (tour,) = solution.routes
    assert sorted(tour) == list(range(n))
    assert solution.cost == length(instance, tour)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 13])
@pytest.mark.parametrize("improve", [False, True])
def test_fewest_customers(n: int, improve: bool) -> None:
    instance = customers(n)
    assert instance.demand is not None and instance.capacity is not None
    solution = solve(instance, untrained("cvrp"), starts=3, samples=2, improve=improve, iterations=50)
    assert sorted(itertools.chain(*solution.routes)) == list(range(1, n + 1))
    assert all(sum(instance.demand[node] for node in route) <= instance.capacity for route in solution.routes)
    assert solution.cost == sum(length(instance, (0, *route)) for route in solution.routes)


def test_the_optimum_of_seven_cities_is_found_and_never_undercut() -> None:
    for seed in range(5):
        instance = cities(7, seed)
        optimum = min(length(instance, (0, *rest)) for rest in itertools.permutations(range(1, 7)))
        assert solve(instance, untrained("tsp"), improve=False).cost >= optimum
        assert solve(instance, untrained("tsp"), iterations=200, seed=seed).cost == optimum


@pytest.mark.parametrize("file", ["gr17.tsp", "bays29.tsp", "burma14.tsp", "eil7.vrp", "P-n16-k8.vrp"])
def test_matrices_the_globe_and_other_metrics(file: str) -> None:
    instance = read(DATA / file)
    solution = solve(instance, untrained(instance.problem), starts=4, samples=4, improve=False)
    assert solution.cost == pytest.approx(problems.find(instance.problem).check(instance, solution.routes))
    if instance.best_known is not None:
        assert instance.best_known <= solution.cost < 1.6 * instance.best_known


@pytest.mark.parametrize("make", [cities, customers])
def test_same_arguments_same_solution(make: Callable[..., Instance]) -> None:
    instance = make(40)
    policy = untrained(instance.problem)

    def run(seed: int, **options: bool | int) -> Solution:
        return solve(instance, policy, samples=6, seed=seed, **options)  # type: ignore[arg-type]

    assert run(5, improve=False).routes == run(5, improve=False).routes
    assert run(5, iterations=20, threads=2).routes == run(5, iterations=20, threads=2).routes
    sampled = {solve(instance, policy, starts=0, samples=1, seed=seed, improve=False).routes for seed in range(4)}
    assert len(sampled) == 4


def test_more_constructions_never_cost_more_and_split_into_batches_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    instance = cities(30)
    policy = untrained("tsp")
    one, few, many = (solve(instance, policy, starts=starts, improve=False) for starts in (1, 5, 1000))
    assert one.cost >= few.cost and one.cost >= many.cost
    assert "greedy" in many.solver and many.solver != one.solver
    monkeypatch.setattr(building, "AREA", 70)
    assert solve(instance, policy, starts=5, improve=False).routes == few.routes


def test_an_initial_solution_is_never_made_worse() -> None:
    instance = read(DATA / "eil51.tsp")
    optimum = read_solution(DATA / "eil51.opt.tour", instance)
    policy = untrained("tsp")
    for solution in (
        solve(instance, policy, initial=optimum, improve=False),
        solve(instance, policy, initial=optimum, starts=0, iterations=10),
        solve(instance, policy, initial=optimum, time_limit=0),
    ):
        assert (solution.cost, solution.solver) == (426, "initial solution")
    shuffled = (tuple(np.random.default_rng(0).permutation(instance.n).tolist()),)
    better = solve(instance, policy, initial=shuffled, starts=0, iterations=10)
    assert better.cost < problems.find("tsp").cost(instance, shuffled) / 2
    assert better.solver == "initial solution + local search"
    with pytest.raises(Infeasible, match="twice"):
        solve(instance, policy, initial=((0, *range(50)),))


@pytest.mark.parametrize("make", [cities, customers])
def test_without_any_time_there_is_a_solution_all_the_same(make: Callable[..., Instance]) -> None:
    instance = make(50)
    stopped = solve(instance, untrained(instance.problem), stop=lambda: True)
    assert stopped.solver == "nearest neighbour"
    solution = solve(instance, untrained(instance.problem), time_limit=0, improve=False)
    assert solution.routes == stopped.routes


def test_the_last_check_is_part_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("l2o.solve.CHECKING", 1.0)
    assert 2.6 < solve(cities(50), None, time_limit=3.0).seconds < 3.0


def test_the_first_local_optimum_does_not_wait_for_what_comes_later() -> None:
    code = """
import sys
import numpy as np
from l2o.solve import solve
from l2o.problems.instance import Instance
from l2o.progress import Watcher

LATER = {"concurrent.futures", "hashlib", "numba", "numpy.random", "scipy", "tomllib", "torch"}

class First(Watcher):
    def better(self, seconds, cost):
        print(*sorted(LATER & set(sys.modules)), sep=",")

points = np.arange(40) * 0.618 % 1, np.arange(40) * 0.414 % 1
instance = Instance("x", "tsp", "EUC_2D", "none", np.arange(40), coords=np.stack(points, axis=1))
solution = solve(instance, None, time_limit=0.5, threads=1, watcher=First())
print(solution.solver)
"""
    commands = [[sys.executable, "-c", code]] * 2  # the first compiles
    greedy, optimum, *_, by = [subprocess.check_output(each, text=True).splitlines() for each in commands][1]
    assert (greedy, optimum, by) == ("", "", "greedy edge + local search")


def test_a_limit_that_start_up_has_used_up_leaves_time_for_a_local_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("l2o.solve.LEAST", 0.5)
    solution = solve(cities(50), None, time_limit=1, started=time.monotonic() - 9)
    assert solution.solver == "greedy edge + local search"
    assert solution.trace[-1][0] > 9


def test_time_is_kept_and_a_policy_too_slow_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    instance = cities(200)

    class Slow(Policy):
        def forward(self, patch: Patch, memory: Tensor | None = None) -> Tensor:
            time.sleep(0.05)
            return super().forward(patch, memory)

    torch.manual_seed(0)
    slow = Slow(Config(), features=0, moves=1)
    solve(cities(20), untrained("tsp"), iterations=1)  # compiled from here on
    begun = time.monotonic()
    solution = solve(instance, slow, time_limit=3.0)
    assert 2.9 < time.monotonic() - begun < 4.5
    assert solution.solver == "greedy edge + local search"
    begun = time.monotonic()
    solution = solve(instance, slow, time_limit=1.0, improve=False)
    assert 0.9 < time.monotonic() - begun < 2.5
    assert solution.solver == "nearest neighbour"


def test_work_that_does_not_listen_is_left_behind() -> None:
    class Deaf(Policy):
        def sight(self, problem: Problem, graph: Graph) -> PatchSight:
            time.sleep(3)
            return super().sight(problem, graph)

    begun = time.monotonic()
    solution = solve(cities(20), Deaf(Config(), features=0, moves=1), time_limit=0.2, starts=1, threads=1)
    assert time.monotonic() - begun < 2
    assert solution.solver == "greedy edge"


def test_what_goes_wrong_inside_is_raised_outside() -> None:
    class Broken(Policy):
        def forward(self, patch: Patch, memory: Tensor | None = None) -> Tensor:
            raise ZeroDivisionError("broken")

    with pytest.raises(ZeroDivisionError, match="broken"):
        solve(cities(20), Broken(Config(), features=0, moves=1))


def test_a_cost_that_the_check_does_not_confirm_never_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    tours = type(rules.find("tsp"))
    honest = tours.cost
    monkeypatch.setattr(tours, "cost", lambda self, instance, routes: honest(self, instance, routes) - 1)
    with pytest.raises(RuntimeError, match="the check says"):
        solve(cities(10), untrained("tsp"), improve=False)


@pytest.mark.parametrize("problem", ["tsp", "atsp"])
def test_costs_below_zero_are_proven_too(problem: str) -> None:
    matrix = -np.random.default_rng(1).integers(0, 9, (6, 6)).astype(float)
    matrix = matrix + matrix.T if problem == "tsp" else matrix
    instance = Instance.of_matrix("below", problem, matrix)
    least = min(
        problems.rules.find(problem).check(instance, ((0, *rest),)) for rest in itertools.permutations(range(1, 6))
    )
    solution = solve(instance, None, time_limit=2.0, bound=True)
    assert solution.cost == solution.bound == least < 0


@pytest.mark.parametrize("n", [10, 20])
def test_costs_of_nothing_at_all(n: int) -> None:
    solution = solve(Instance.of_matrix("nothing", "atsp", np.zeros((n, n))), None, time_limit=1.0, bound=True)
    assert solution.cost == solution.bound == 0


def test_costs_of_both_signs_that_cancel() -> None:
    """What they add up to has no more digits than the legs have."""
    rng = np.random.default_rng(0)
    up = rng.integers(-(10**8), 10**8, 30)
    matrix = (rng.random((30, 30)) + up[:, None] - up).round(3)
    np.fill_diagonal(matrix, 0)
    solution = solve(Instance.of_matrix("cancel", "atsp", matrix), None, time_limit=1.0, bound=True)
    assert 0 < solution.cost < 30 and solution.bound is not None and solution.bound <= solution.cost


def test_a_bound_that_a_solution_contradicts_never_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_: object, told: Callable[[Bound], None], **__: object) -> None:
        told(Bound(1e9, "a guess"))

    monkeypatch.setattr(solving, "bounds", wrong)
    with pytest.raises(RuntimeError, match="a guess says that nothing costs less"):
        solve(cities(20), untrained("tsp"), time_limit=5.0, bound=True)


def test_a_bound_that_does_not_listen_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solving, "bounds", lambda *_, **__: time.sleep(5))
    monkeypatch.setattr(solving, "attend", partial(attend, grace=60))
    assert solve(cities(50), None, time_limit=0.3, threads=2, bound=True).seconds < 4


def test_a_bound_that_listens_has_ended_when_the_solution_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = []

    def listening(*_: object, over: Callable[[], bool], **__: object) -> None:
        while not over():
            time.sleep(0.01)
        time.sleep(0.05)  # to end a process
        ended.append(True)

    monkeypatch.setattr(solving, "bounds", listening)
    solve(cities(50), None, time_limit=0.3, threads=2, bound=True)
    assert ended


def test_what_goes_wrong_with_a_bound_is_raised_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solving, "bounds", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        solve(cities(50), None, time_limit=0.3, threads=2, bound=True)


def test_the_trace_tells_the_story() -> None:
    solution = solve(cities(100), untrained("tsp"), starts=5, iterations=100, started=time.monotonic() - 1000)
    seconds, costs = zip(*solution.trace, strict=True)
    assert list(seconds) == sorted(seconds) and seconds[0] > 1000 and solution.seconds >= seconds[-1]
    assert list(costs) == sorted(costs, reverse=True) and len(set(costs)) == len(costs)
    assert costs[-1] == solution.cost


def test_the_threads_of_the_caller_are_left_alone() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        solve(cities(10), untrained("tsp"), starts=2, improve=False, threads=1)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_default_time_limit() -> None:
    assert [default_time_limit(n) for n in (0, 500, 20_000)] == [3, 8, 203]


def test_a_slow_start_up_takes_nothing_from_the_default_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("l2o.solve.default_time_limit", lambda n: 0.5)
    solution = solve(cities(20), untrained("tsp"), started=time.monotonic() - 1000)
    assert solution.solver.endswith("local search") and 1000.5 <= solution.seconds < 1002


def test_an_unknown_problem_names_the_nearest() -> None:
    with pytest.raises(Unsupported, match=r"'cvpr'.*cvrp, mtsp, tsp.*did you mean 'cvrp'"):
        solve(replace(cities(4), problem="cvpr"), untrained("tsp"))
