"""Recipes: what is read is what was written, and what is wrong is named."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from l2o import checkpoint
from l2o.recipe import InvalidRecipe, Recipe, from_dict, load

MINIMAL = 'problem = "tsp"\n[budget]\nminutes = 1\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text)
    return path


def test_defaults_and_overrides(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL + "[model]\nwidth = 32\n")
    recipe = load(path, ["optimizer.rate=1e-3", "data.sizes=[10, 20]", "problem=cvrp", "budget.instances=7"])
    assert (recipe.model.width, recipe.optimizer.rate, recipe.data.sizes) == (32, 1e-3, (10, 20))
    assert (recipe.problem, recipe.budget.instances, recipe.budget.decisions) == ("cvrp", 7.0, math.inf)


def test_maps_in_space_by_themselves_are_fine(tmp_path: Path) -> None:
    recipe = load(write(tmp_path, MINIMAL), ["data.uniform=0", 'data.distributions=["cube", "sphere"]'])
    assert recipe.data.distributions == ("cube", "sphere")


def test_written_recipes_read_back_equal(tmp_path: Path) -> None:
    settings = [
        "model.encoder=2",
        "seed=5",
        "objective.keep=inf",
        "optimizer.clip=inf",
        'weights="/tmp/\U0001f600\\u007f"',
    ]
    recipe = load(write(tmp_path, MINIMAL), settings)
    assert recipe.objective.keep == recipe.optimizer.clip == math.inf
    assert load(write(tmp_path, checkpoint.toml(recipe))) == recipe


def test_a_run_need_not_be_validated_before_its_end(tmp_path: Path) -> None:
    assert load(write(tmp_path, MINIMAL), ["validation.every=1e6"]).validation.every == 1e6


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[1] / "recipes").glob("*.toml")), ids=lambda p: p.stem)
def test_recipes_of_the_project_are_valid(path: Path) -> None:
    assert load(path).problem == path.stem.partition("_")[0]


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        (MINIMAL + "[model]\nwidht = 3\n", [], "unknown key model.widht; did you mean 'width'?"),
        (MINIMAL, ["optimiser.rate=1"], "unknown key optimiser; did you mean 'optimizer'?"),
        (MINIMAL, ["optimizer.rate"], "expected key=value"),
        (MINIMAL, ["model.width=wide"], "model.width is 'wide'; it must be of type int"),
        (MINIMAL, ["model.width=true"], "model.width is True; it must be of type int"),
        (MINIMAL, ["model=3"], "model is 3; it is a table"),
        (MINIMAL, ["optimizer.rate=-1"], "optimizer.rate is -1.0; it must be positive"),
        (MINIMAL, ["optimizer.rate=inf"], "optimizer.rate is inf; it must be positive and finite"),
        (MINIMAL, ["optimizer.clip=0"], "optimizer.clip is 0.0; it must be positive"),
        (MINIMAL, ["optimizer.weight_decay=-1"], "optimizer.weight_decay is -1.0; it must be finite and not negative"),
        (MINIMAL, ["optimizer.warmup=-1"], "optimizer.warmup is -1; it must not be negative"),
        (
            MINIMAL,
            ["validation.every=inf"],
            "validation.every is inf; it must be positive, and 1e9 minutes at most",
        ),
        (MINIMAL, ["seed=-1"], "seed is -1; it must lie between 0 and 4294967295"),
        (MINIMAL, ["optimizer.rate=nan"], "optimizer.rate is not a number"),
        (MINIMAL, ['data.distributions=["unifrom"]'], "unknown 'unifrom'; did you mean 'uniform'?"),
        (MINIMAL, ['data.distributions=["cube"]'], "cube in three dimensions, the others in the plane"),
        (MINIMAL, ["data.uniform=0", 'data.distributions=["lines", "sphere"]'], "sphere in three dimensions"),
        (
            MINIMAL,
            ["data.uniform=0", 'data.distributions=["cube"]', "data.turned=true"],
            "data.turned is for maps in the",
        ),
        (MINIMAL, ["data.sizes=[]"], "data.sizes"),
        (MINIMAL, ["data.sizes=[2]"], "data.sizes"),
        (MINIMAL, ["data.starts=1"], "data.starts is 1"),
        (MINIMAL, ["objective.keep=0"], "objective.keep is 0.0"),
        (MINIMAL, ["budget.minutes=0"], "budget.minutes is 0.0; it must be positive"),
        (MINIMAL, ["validation.most=20"], "validation.most is 20; it must be at least 50"),
        (MINIMAL, ["problem.x=1"], "'problem' is a value, not a table"),
        ('problem = "tsp"\n', [], "budget: give one of"),
        ("problem = \n", [], "not TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, settings: list[str], message: str) -> None:
    with pytest.raises(InvalidRecipe) as error:
        load(write(tmp_path, text), settings)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidRecipe, match="No such file"):
        load(tmp_path / "none.toml")


def test_recipes_cannot_be_changed() -> None:
    recipe = from_dict({"budget": {"minutes": 1}})
    assert isinstance(recipe, Recipe)
    with pytest.raises(AttributeError):
        recipe.seed = 3  # type: ignore[misc]
