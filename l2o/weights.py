"""Weights by name, before they are loaded: to say which there are, and for which problem, takes no torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

SHIPPED = Path(__file__).parent / "checkpoints"
WEIGHTS, RECIPE, RECORD = "weights.safetensors", "recipe.toml", "record.json"


class InvalidCheckpoint(ValueError):
    """Weights cannot be found or read. The message is one line that says what is expected where."""


@dataclass(frozen=True)
class Weights:
    """Where they are and what they are for."""

    name: str
    folder: Path
    problem: str
    device: str = "cpu"

    def load(self) -> Any:
        """The policy, in evaluation mode, read once for all who ask. Raises :class:`InvalidCheckpoint`."""
        return _loaded(self)


@cache
def _loaded(weights: Weights) -> Any:
    from l2o.checkpoint import load

    return load(str(weights.folder), device=weights.device).policy


def names() -> list[str]:
    """The weights that ship with the package."""
    return sorted(p.parent.name for p in SHIPPED.glob(f"*/{WEIGHTS}"))


def default(problem: str) -> str:
    """Name of the shipped weights for a problem, those that serve it best.

    Raises:
        InvalidCheckpoint: there are none, or search does better without.
    """
    if problem in names():
        return problem
    if others := [name for name in names() if name.startswith(f"{problem}-")]:
        raise InvalidCheckpoint(
            f"problem {problem!r} is left to search; what ships for it has to be named: --model {others[0]}"
        )
    raise InvalidCheckpoint(f"no weights ship for problem {problem!r}; train some and give their folder as --model")


def chosen(model: str | None, problem: str, *, needed: bool = False, device: str = "cpu") -> Weights | None:
    """Those called ``model``; without a name, those that ship for ``problem`` and are called like it; None where none
    do and none are needed.

    Raises:
        InvalidCheckpoint: there are none, or their recipe cannot be read.
    """
    if model is not None:
        return find(model, device=device)
    try:
        name = default(problem)
    except InvalidCheckpoint:
        if needed:
            raise
        return None
    return Weights(name, SHIPPED / name, problem, device)


def folder(name_or_path: str) -> Path:
    """Of a shipped name, or a folder that ``l2o train`` wrote.

    Raises:
        InvalidCheckpoint: there are no weights.
    """
    found = SHIPPED / name_or_path if name_or_path in names() else Path(name_or_path)
    try:
        there = (found / WEIGHTS).is_file()
    except OSError:  # a name that is too long, among others
        there = False
    if not there:
        import difflib

        near = difflib.get_close_matches(name_or_path, names(), n=1)
        hint = f"did you mean {near[0]!r}?" if near else "train some with l2o train"
        raise InvalidCheckpoint(
            f"model {name_or_path!r} is neither a shipped one ({', '.join(names()) or 'none'}) "
            f"nor a folder with {WEIGHTS}; {hint}"
        )
    return found


def find(name_or_path: str, *, device: str = "cpu") -> Weights:
    """Those of a shipped name, or of a folder that ``l2o train`` wrote.

    Raises:
        InvalidCheckpoint: there are none, or their recipe cannot be read.
    """
    # Search alone asks which weights there are, and reads nothing.
    import tomllib

    where = folder(name_or_path)
    try:
        problem = tomllib.loads((where / RECIPE).read_text(encoding="utf-8"))["problem"]
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError) as error:
        raise InvalidCheckpoint(f"{where}: not readable as weights: {RECIPE}: {error}") from None
    return Weights(where.name, where, str(problem), device)
