"""Comparing: arithmetic by hand, equal time, and every accident of a solver a row of its own."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from l2o import checkpoint, fresh, problems
from l2o.compare import FAILED, OK, SKIPPED, Row, TimeLimit, common, compare, judged, summarise, with_gaps
from l2o.files import read
from l2o.fresh import Answer
from l2o.models.local import Policy
from l2o.problems.instance import Instance, Solution
from l2o.recipe import Budget, Recipe
from l2o.solvers import find

DATA = Path(__file__).parent / "data"
SOLVERS = """
import os, signal, time
from l2o.problems.instance import Solution

def order(instance, **_):
    return Solution((tuple(range(instance.n)),), 0.0, "by number")

def noisy(instance, **_):
    print("x" * 100_000)
    return order(instance)

def twice(instance, **_):
    return Solution(((0, 0, *range(2, instance.n)),), 1.0)

def nonsense(instance, **_):
    return Solution(None, 1.0)

def nothing(instance, **_):
    return None

def crash(instance, **_):
    raise ZeroDivisionError("one\\ntwo")

def killed(instance, **_):
    os.kill(os.getpid(), signal.SIGKILL)

def quits(instance, **_):
    os._exit(3)

def deaf(instance, **_):
    time.sleep(60)

def told(instance, *, time_limit, seed, threads, started):
    late = time.monotonic() - started
    raise RuntimeError(f"{time_limit} {seed} {threads} {os.environ['OMP_NUM_THREADS']} {late:.1f}")
"""


@pytest.fixture
def own_solvers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.py").write_text(SOLVERS)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("weights") / "untrained"
    recipe = Recipe(problem="tsp", budget=Budget(minutes=1.0))
    rules = problems.find("tsp")
    checkpoint.save(folder, Policy(recipe.model, features=rules.features, moves=rules.moves), recipe, {})
    return str(folder)


def cities(n: int) -> Instance:
    coords = np.random.default_rng(n).random((n, 2))
    return Instance(f"random{n}", "tsp", "EUC_2D", "none", np.arange(1, n + 1), coords=coords)


def row(solver: str, cost: float | None, best_known: float | None = None, seconds: float = 1.0) -> Row:
    status = OK if cost is not None else FAILED
    return Row("i", "tsp", 9, solver, status, cost, best_known, None, "", seconds, "", "")


def test_gaps_by_hand() -> None:
    known = with_gaps([row("a", 110, 100), row("b", 100, 100), row("c", None, 100), row("d", 99, 100)])
    assert [r.gap for r in known] == [pytest.approx(10), 0, None, pytest.approx(-1)]
    assert [r.gap_to for r in known] == ["best known", "best known", "", "best known"]
    unknown = with_gaps([row("a", 60), row("b", 50), row("c", None)])
    assert [r.gap for r in unknown] == [pytest.approx(20), 0, None]
    assert [r.gap_to for r in unknown] == ["best found", "best found", ""]
    assert [r.gap for r in with_gaps([row("a", None), row("b", None)])] == [None, None]
    assert [r.gap for r in with_gaps([row("a", 0), row("b", 1)])] == [None, None]


def test_summary_by_hand() -> None:
    solvers = ("a", "b", "c")
    first = with_gaps([row("a", 110, 100, 1), row("b", 100, 100, 5), row("c", None, 100)])
    second = with_gaps([row("a", 120, 100, 2), row("b", 120 * (1 + 1e-12), 100, 6), row("c", None, 100)])
    third = with_gaps([row("a", 150, 100, 6), row("b", None, 100), replace(row("c", None, 100), status=SKIPPED)])
    a, b, c = summarise([*first, *second, *third], solvers)
    assert (a.solved, a.failed, a.skipped, a.wins) == (3, 0, 0, 2)
    assert (a.mean, a.median, a.worst) == pytest.approx((80 / 3, 20, 50))
    assert (a.seconds, a.longest) == (3, 6)
    assert (b.solved, b.failed, b.skipped, b.wins) == (2, 1, 0, 2)
    assert (b.mean, b.worst) == pytest.approx((10, 20))
    assert (c.solved, c.failed, c.skipped, c.wins) == (0, 2, 1, 0)
    assert math.isnan(c.mean) and math.isnan(c.seconds)
    assert common([*first, *second, *third], solvers) == []
    pair = [r for r in (*first, *second, *third) if r.solver != "c"]
    assert [r.cost for r in common(pair, ("a", "b"))] == [110, 100, 120, 120 * (1 + 1e-12)]


def test_only_checked_costs_count() -> None:
    instance = read(DATA / "berlin52.tsp")
    tour = (tuple(range(52)),)
    true = problems.find("tsp").check(instance, tour)
    assert judged(instance, "liar", Answer(Solution(tour, 1.0), 1.0)).cost == true
    for routes in (((0, 1),), ((*range(51), 60),), tour + tour, (), ((0.5,) * 52,), 7):
        wrong = judged(instance, "s", Answer(Solution(routes, true), 1.0))  # type: ignore[arg-type]
        assert (wrong.status, wrong.cost, wrong.gap) == (FAILED, None, None) and wrong.reason


@pytest.mark.usefixtures("own_solvers")
@pytest.mark.parametrize("in_process", [False, True], ids=["fresh", "in-process"])
def test_accidents_are_rows_and_the_comparison_goes_on(in_process: bool) -> None:
    reasons = {
        "own:twice": "visits node 1 twice",
        "own:nonsense": "no solution",
        "own:nothing": "NoneType instead of a solution",
        "own:crash": "ZeroDivisionError: one two",
    }
    if not in_process:
        reasons |= {"own:killed": "ended with code -9", "own:quits": "ended with code 3"}
    solvers = ["own:order", *reasons, "own:noisy"]
    rows = compare([cities(9)], solvers, time_limit=1.0, in_process=in_process)
    assert [r.solver for r in rows] == solvers
    assert [r.status for r in rows] == [OK, *[FAILED] * len(reasons), OK]
    assert rows[0].cost == rows[-1].cost and rows[0].found_by == "by number"
    for failed, reason in zip(rows[1:-1], reasons.values(), strict=True):
        assert reason in failed.reason and "\n" not in failed.reason


@pytest.mark.usefixtures("own_solvers")
def test_a_solver_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh, "GRACE", 0.5)
    (only,) = compare([cities(9)], ["own:deaf"], time_limit=1.0)
    assert only.status == FAILED and "no answer 0.5 s after the time limit" in only.reason
    assert 1.5 <= only.seconds < 3


@pytest.mark.usefixtures("own_solvers")
def test_large_instances_reach_a_process_that_starts_slowly() -> None:
    (only,) = compare([cities(30_000)], ["own:order"], time_limit=20.0)
    assert only.status == OK


@pytest.mark.usefixtures("own_solvers")
def test_everybody_is_told_the_same() -> None:
    (only,) = compare([cities(9)], ["own:told"], time_limit=4.5, seed=7, threads=2)
    *settings, late = only.reason.split()
    assert settings == ["RuntimeError:", "4.5", "7", "2", "2"]
    assert 0.0 < float(late) < 4.5  # the interpreter's start-up is part of the time


def test_equal_time_start_up_included(untrained: str) -> None:
    solvers = ["ortools", "search", "l2o"]
    rows = compare([cities(60)], solvers, time_limit=4.0, model=untrained)
    assert [r.status for r in rows] == [OK] * 3
    for r in rows:
        assert 3.9 <= r.seconds <= 4.0 + 1.0, r


def test_in_one_process_start_up_does_not_count(untrained: str) -> None:
    rows = compare([cities(20), cities(21)], ["policy", "nearest"], time_limit=30.0, model=untrained, in_process=True)
    assert [r.status for r in rows] == [OK] * 4
    assert rows[2].seconds < 1.0 and rows[2].found_by == "policy, greedy"
    assert {r.gap_to for r in rows} == {"best found"} and min(rows[0].gap or 0, rows[1].gap or 0) == 0


def test_the_policy_alone_is_never_replaced_by_something_else(untrained: str) -> None:
    (only,) = compare([cities(300)], ["policy"], time_limit=0.01, model=untrained, in_process=True)
    assert only.status == FAILED and "not ready within 0.01 s" in only.reason


def test_skipped_is_no_failure(untrained: str) -> None:
    large = cities(9_500)
    delivery = read(DATA / "P-n16-k8.vrp")
    rows = compare([large], ["ortools"], time_limit=5.0, in_process=True)
    rows += compare([delivery], ["policy", "insertion"], time_limit=5.0, model=untrained, in_process=True)
    assert [r.status for r in rows] == [SKIPPED] * 3
    assert "GB are allowed" in rows[0].reason and "is for tsp" in rows[1].reason and "tours" in rows[2].reason


def test_stop_leaves_the_rows_so_far() -> None:
    seen: list[Row] = []
    rows = compare(
        [cities(100), cities(10)],
        ["nearest", "search"],
        time_limit=20.0,
        stop=lambda: len(seen) > 0,
        report=seen.append,
    )
    assert [(r.instance, r.solver, r.gap) for r in rows] == [("random100", "nearest", 0.0)]


def test_unknown_solvers_are_refused_with_advice() -> None:
    for name, advice in (("ortool", "did you mean 'ortools'"), ("no.such:thing", "No module"), ("math:nil", "'nil'")):
        with pytest.raises(ValueError, match=advice):
            find(name)


@pytest.mark.usefixtures("own_solvers")
def test_a_time_limit_may_depend_on_the_nodes() -> None:
    assert TimeLimit.parse("2.5")(7) == TimeLimit.parse("2.5")(70) == 2.5
    assert TimeLimit.parse("n/100")(250) == 2.5
    assert str(TimeLimit.parse("n / 10")) == "n/10 s" and str(TimeLimit.parse("3")) == "3 s"
    for text in ("0", "-1", "inf", "nan", "n/0", "n/-5", "soon", "m/3", ""):
        with pytest.raises((ValueError, ZeroDivisionError)):
            TimeLimit.parse(text)
    (only,) = compare([cities(45)], ["own:told"], time_limit=TimeLimit.parse("n/10"), seed=7, threads=2)
    assert only.reason.startswith("RuntimeError: 4.5 7 2 2")
