"""Weights as plain data: ``weights.safetensors``, ``recipe.toml`` and ``record.json`` in one folder.

Reading them executes nothing: tensors are safetensors, the rest is text.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file, save_file

from l2o import models, problems, weights
from l2o import recipe as recipes
from l2o.models.base import Policy
from l2o.recipe import InvalidRecipe, Recipe
from l2o.weights import RECIPE, RECORD, WEIGHTS, InvalidCheckpoint


@dataclass(frozen=True)
class Checkpoint:
    """A trained policy and where it comes from."""

    name: str
    problem: str
    policy: Policy[Any]
    recipe: Recipe
    record: dict[str, Any]
    """Instances, decisions, minutes, hardware, commit, seed, learning curve."""


def load(name_or_path: str, *, device: str = "cpu") -> Checkpoint:
    """The policy of a shipped name, or of a folder that ``l2o train`` wrote, in evaluation mode.

    Raises:
        InvalidCheckpoint: unknown name, missing or broken files, weights that do not fit the recipe.
    """
    folder = weights.folder(name_or_path)
    try:
        recipe = recipes.load(folder / RECIPE)
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        tensors = load_file(folder / WEIGHTS, device=device)
    except (InvalidRecipe, OSError, ValueError, safetensors.SafetensorError) as error:
        raise InvalidCheckpoint(f"{folder}: not readable as weights: {str(error).splitlines()[0]}") from None
    problem = problems.find(recipe.problem)
    policy = models.policy(recipe.model, problem)
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
        lines = [f"{key} = {_plain(value)}" for key, value in values.items() if not isinstance(value, dict)]
        for key, value in values.items():
            if isinstance(value, dict):
                lines += ["", f"[{prefix}{key}]", *table(value, f"{prefix}{key}.")]
        return lines

    return "\n".join(table(recipes.to_dict(recipe), "")) + "\n"


def _plain(value: Any) -> str:
    """JSON, where it is TOML too."""
    return "inf" if value == math.inf else json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
