"""Weights as plain data: they come back as they were, and whatever is wrong with them is one line."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from l2o import problems, weights
from l2o.checkpoint import load, save
from l2o.models.local import Policy
from l2o.recipe import Recipe, from_dict
from l2o.weights import InvalidCheckpoint

RECIPE: Recipe = from_dict({"budget": {"minutes": 1}, "model": {"width": 16, "message": 8}})


def fresh(problem: str = "tsp") -> Policy:
    rules = problems.find(problem)
    return Policy(RECIPE.model, features=rules.features, moves=rules.moves)


def test_round_trip(tmp_path: Path) -> None:
    policy = fresh()
    save(tmp_path / "mine", policy, RECIPE, {"minutes": 3})
    loaded = load(str(tmp_path / "mine"))
    assert (loaded.name, loaded.problem, loaded.recipe, loaded.record) == ("mine", "tsp", RECIPE, {"minutes": 3})
    assert not loaded.policy.training
    for name, tensor in policy.state_dict().items():
        assert torch.equal(loaded.policy.state_dict()[name], tensor)
    assert sorted(p.name for p in (tmp_path / "mine").iterdir()) == [
        "recipe.toml",
        "record.json",
        "weights.safetensors",
    ]


@pytest.mark.parametrize("name", weights.names())
def test_shipped_weights_load_and_tell_their_story(name: str) -> None:
    loaded = load(name)
    assert loaded.problem == name.partition("-")[0]
    for key in ("instances", "decisions", "minutes", "hardware", "commit", "seed", "curve", "loss"):
        assert loaded.record[key] or key == "seed", key
    size = (weights.SHIPPED / name / weights.WEIGHTS).stat().st_size
    assert size < 3_000_000


def test_which_problems_have_shipped_weights() -> None:
    assert [weights.default(problem) for problem in ("cvrp", "tsp")] == ["cvrp", "tsp"]
    with pytest.raises(InvalidCheckpoint, match=r"'mtsp' is left to search; .*--model mtsp-reinforce"):
        weights.default("mtsp")
    with pytest.raises(InvalidCheckpoint, match=r"no weights ship for problem 'atsp'.*--model"):
        weights.default("atsp")


def test_what_is_wrong_is_one_line(tmp_path: Path) -> None:
    def refused(name: str) -> str:
        with pytest.raises(InvalidCheckpoint) as error:
            load(name)
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "did you mean 'tsp'?" in refused("tps")
    folder = tmp_path / "weights"
    save(folder, fresh(), RECIPE, {})
    (folder / "weights.safetensors").write_bytes(b"junk")
    assert "not readable as weights" in refused(str(folder))
    save(folder, fresh("cvrp"), RECIPE, {})
    assert "does not fit the network" in refused(str(folder))
    save(folder, fresh(), RECIPE, {})
    (folder / "recipe.toml").write_text("problem = 'tsp'\nnonsense = 1\n")
    assert "unknown key nonsense" in refused(str(folder))
    save(folder, fresh(), RECIPE, {})
    (folder / "record.json").unlink()
    assert "not readable as weights" in refused(str(folder))
    with pytest.raises(InvalidCheckpoint, match="no weights ship for problem 'knapsack'"):
        weights.default("knapsack")


class Bomb:
    """Leaves a trace if anybody unpickles it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


def test_loading_executes_nothing(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    folder = tmp_path / "weights"
    save(folder, fresh(), RECIPE, {})
    (folder / "weights.safetensors").write_bytes(pickle.dumps(Bomb(trace)))
    torch.save({"a": Bomb(trace)}, folder / "last.ckpt")
    with pytest.raises(InvalidCheckpoint):
        load(str(folder))
    assert not trace.exists()
