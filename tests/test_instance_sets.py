"""Files with an instance per line."""

import csv
import gzip
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l2o.instance_sets import read_set
from l2o.problems.instance import Infeasible, InvalidInstance, Unsupported

BENCHMARKS = os.environ.get("L2O_DATA")
SQUARE = "0 0 0 3 4 3 4 0"
DELIVERY: dict[str, Any] = {
    "depot": [0, 0],
    "xy": [[0, 3], [4, 3], [4, 0]],
    "demand": [5, 6, 7],
    "capacity": 12,
    "cost": 20,
    "routes": [[1, 2], [3]],
}


@pytest.mark.skipif(BENCHMARKS is None, reason="set L2O_DATA to the folder of benchmark files")
def test_mean_costs_of_the_benchmark_sets() -> None:
    root, checked = Path(BENCHMARKS or ""), 0
    with (root / "index.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["path"].startswith("neural")]
    for row in rows:
        if row["problem"].startswith("VRPTW"):
            with pytest.raises(Unsupported, match="field 'due'"):
                read_set(root / row["path"])
            continue
        instances = read_set(root / row["path"])
        assert {instance.n for instance in instances} == {int(row["n"])}
        assert f"({len(instances)} instances)" in row["problem"]
        known = [instance.best_known for instance in instances if instance.best_known is not None]
        if row["best_known"]:
            assert len(known) == len(instances)
            assert np.mean(known) == pytest.approx(float(row["best_known"]), abs=1e-6), row["path"]
            checked += 1
        else:
            assert known == []
    assert checked >= 17


def write(folder: Path, text: str) -> Path:
    path = folder / "some.txt"
    path.write_text(text)
    return path


def test_tours_with_and_without_a_solution(tmp_path: Path) -> None:
    path = write(tmp_path, f"{SQUARE} output 1 2 3 4 1\n\n{SQUARE} output 1 3 2 4\n{SQUARE}\n")
    first, second, third = read_set(path)
    assert (first.problem, first.metric, first.rounding, first.n) == ("tsp", "EUC_2D", "none", 4)
    assert [first.best_known, second.best_known, third.best_known] == [14, 5 + 4 + 5 + 4, None]
    assert (first.name, third.name) == ("some:1", "some:4")


def test_routes_gzip_rounding_and_names(tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps({**DELIVERY, "name": "first"}).encode()))
    (instance,) = read_set(path)
    assert (instance.name, instance.problem, instance.capacity) == ("first", "cvrp", 12)
    assert instance.coords is not None
    assert instance.coords.tolist() == [[0, 0], [0, 3], [4, 3], [4, 0]]
    assert instance.demand is not None
    assert instance.demand.tolist() == [0, 5, 6, 7]
    assert instance.best_known == 3 + 4 + 5 + 4 + 4
    assert read_set(path, rounding="nearest")[0].rounding == "nearest"
    with pytest.raises(InvalidInstance, match="rounding 'up'"):
        read_set(path, rounding="up")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "no instance"),
        ("1 2 3", "3 coordinates, expected pairs"),
        ("output 1 2", "0 coordinates"),
        ("1 2 x 3", "coordinates that hold no number"),
        ("1 2 nan 3", "coordinates that hold no number"),
        (f"{SQUARE} output 1 2 3 1", "misses or repeats a node"),
        (f"{SQUARE} output 1 2 3 5 1", "misses or repeats a node"),
        (f"{SQUARE} output 1 2 3 x", "a tour that hold no number"),
        ("{", "broken JSON"),
        ("{" * 100_000, "broken JSON"),
        ('{"a": ' * 100_000, "broken JSON"),
        ("{}", "no field capacity"),
        (json.dumps({**DELIVERY, "xy": 3}), "of shapes"),
        (json.dumps({**DELIVERY, "xy": [[1, 2]]}), "of shapes"),
        (json.dumps({**DELIVERY, "xy": [[1, 2], [3]]}), "xy that hold no number"),
        (json.dumps({**DELIVERY, "demand": 3}), "of shapes"),
        (json.dumps({**DELIVERY, "demand": [1, 2, float("nan")]}), "demand that hold no number"),
        (json.dumps({**DELIVERY, "demand": [1, 2, -3]}), "a negative demand"),
        (json.dumps({**DELIVERY, "capacity": 0}), "no capacity"),
        (json.dumps({**DELIVERY, "routes": 3}), "routes that are no list"),
        (json.dumps({**DELIVERY, "routes": [3, [1, 2]]}), ""),
        (json.dumps({**DELIVERY, "routes": [[1, 2]]}), "misses or repeats a node"),
        (json.dumps({**DELIVERY, "routes": [[1, 2, 3]]}), "a load of 18, expected at most 12"),
        (json.dumps({**DELIVERY, "due": [1]}), "field 'due'"),
    ],
)
def test_malformed_lines(tmp_path: Path, line: str, words: str) -> None:
    path = write(tmp_path, line)
    if not words:
        assert len(read_set(path)) == 1
        return
    with pytest.raises(InvalidInstance) as raised:
        read_set(path)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_demand_above_the_capacity_is_infeasible(tmp_path: Path) -> None:
    with pytest.raises(Infeasible, match=r"some\.txt:1: customer 3 demands 13, more than the capacity 12"):
        read_set(write(tmp_path, json.dumps({**DELIVERY, "demand": [1, 2, 13]})))


nonsense = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4),
)


@settings(max_examples=200, deadline=None)
@given(field=st.sampled_from(sorted(DELIVERY)), value=nonsense)
def test_any_value_in_any_field_gives_instances_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, field: str, value: object
) -> None:
    path = write(tmp_path_factory.mktemp("sets"), json.dumps({**DELIVERY, field: value}))
    try:
        read_set(path)
    except (InvalidInstance, Infeasible) as error:
        assert str(error).startswith(str(path))
        assert "\n" not in str(error)
