"""Weights as plain data: ``weights.safetensors``, ``recipe.toml`` and ``record.json`` in one folder.

Reading them executes nothing: tensors are safetensors, the rest is text.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file, save_file

from l2o import models, problems
from l2o import recipe as recipes
from l2o.models.base import Policy
from l2o.recipe import InvalidRecipe, Recipe

SHIPPED = Path(__file__).parent / "checkpoints"
WEIGHTS, RECIPE, RECORD = "weights.safetensors", "recipe.toml", "record.json"


class InvalidCheckpoint(ValueError):
    """Weights cannot be found or read. The message is one line that says what is expected where."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained policy and where it comes from."""

    name: str
    problem: str
    policy: Policy[Any]
    recipe: Recipe
    record: dict[str, Any]
    """Instances, decisions, minutes, hardware, commit, seed, learning curve."""


def names() -> list[str]:
    """The weights that ship with the package."""
    return sorted(p.parent.name for p in SHIPPED.glob(f"*/{WEIGHTS}"))


def default(problem: str) -> str:
    """Name of the shipped weights for a problem.

    Raises:
        InvalidCheckpoint: there are none.
    """
    if problem not in names():
        raise InvalidCheckpoint(f"no weights ship for problem {problem!r}; train some and give their folder as --model")
    return problem


def load(name_or_path: str, *, device: str = "cpu") -> Checkpoint:
    """The policy of a shipped name, or of a folder that ``l2o train`` wrote, in evaluation mode.

    Raises:
        InvalidCheckpoint: unknown name, missing or broken files, weights that do not fit the recipe.
    """
    folder = SHIPPED / name_or_path if name_or_path in names() else Path(name_or_path)
    if not (folder / WEIGHTS).is_file():
        near = difflib.get_close_matches(name_or_path, names(), n=1)
        hint = f"did you mean {near[0]!r}?" if near else "train some with l2o train"
        raise InvalidCheckpoint(
            f"model {name_or_path!r} is neither a shipped one ({', '.join(names()) or 'none'}) "
            f"nor a folder with {WEIGHTS}; {hint}"
        )
    try:
        recipe = recipes.load(folder / RECIPE)
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        tensors = load_file(folder / WEIGHTS, device=device)
    except (InvalidRecipe, OSError, ValueError, safetensors.SafetensorError) as error:
        raise InvalidCheckpoint(f"{folder}: not readable as weights: {str(error).splitlines()[0]}") from None
    problem = problems.find(recipe.problem)
    policy = models.find(recipe.model.kind).Policy(recipe.model, features=problem.features, moves=problem.moves)
    try:
        policy.load_state_dict(tensors)
    except RuntimeError:
        raise InvalidCheckpoint(f"{folder}: {WEIGHTS} does not fit the network that {RECIPE} describes") from None
    return Checkpoint(folder.name, recipe.problem, policy.to(device).eval(), recipe, record)


def save(folder: Path, policy: Policy[Any], recipe: Recipe, record: dict[str, Any]) -> None:
    """Write the three files; each is replaced whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.detach().to("cpu", torch.float32).contiguous() for k, v in policy.state_dict().items()}
    save_file(tensors, folder / (WEIGHTS + ".part"))
    (folder / (RECIPE + ".part")).write_text(toml(recipe), encoding="utf-8")
    (folder / (RECORD + ".part")).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for name in (WEIGHTS, RECIPE, RECORD):
        (folder / (name + ".part")).replace(folder / name)


def toml(recipe: Recipe) -> str:
    """The recipe as TOML, complete, defaults included."""

    def table(values: dict[str, Any], prefix: str) -> list[str]:
        lines = [f"{key} = {json.dumps(value)}" for key, value in values.items() if not isinstance(value, dict)]
        for key, value in values.items():
            if isinstance(value, dict):
                lines += ["", f"[{prefix}{key}]", *table(value, f"{prefix}{key}.")]
        return lines

    return "\n".join(table(recipes.to_dict(recipe), "")) + "\n"
