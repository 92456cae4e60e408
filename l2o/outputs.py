"""Solutions into files: the suffix says what is written. What cannot work is found out before anything is solved."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from l2o.files import write_solution
from l2o.problems.instance import Instance, InvalidInstance, Solution

PICTURES = (".png", ".svg")
WHOLE = (".tour", ".sol")
SUFFIXES = (*WHOLE, ".json", *PICTURES)
"""What can be written."""


def planned(outputs: Sequence[str], files: Sequence[str]) -> list[list[Path]]:
    """The paths that the solution of each of ``files`` goes to.

    ``{name}`` in an output stands for the file's name without suffix; several files need it. Raises
    :class:`InvalidInstance` for an unknown suffix, a place that cannot be written, and two files with the same output.
    """
    plan: list[list[Path]] = []
    taken: dict[Path, str] = {}
    for file in files:
        paths = [Path(output.replace("{name}", stem(file))) for output in outputs]
        for path in paths:
            check(path)
            place = path.resolve()
            if place in taken:
                if taken[place] == file:
                    advice = "name it once"
                else:
                    same = stem(taken[place]) == stem(file)
                    advice = "solve files of one name by turns" if same else "write {name} in it"
                raise InvalidInstance(f"{path}: found this output twice, expected one solution for each; {advice}")
            taken[place] = file
        plan.append(paths)
    return plan


def stem(file: str) -> str:
    """The name of an instance's file without its suffix; ``stdin`` for ``-``."""
    return "stdin" if file == "-" else Path(file.removesuffix(".gz")).stem


def check_kind(paths: Sequence[Path], instance: Instance) -> None:
    """Raises :class:`InvalidInstance` if one of ``paths`` cannot hold a solution of ``instance``."""
    wrong, right = (".tour", ".sol") if instance.has_depot else (".sol", ".tour")
    for path in paths:
        if path.suffix == wrong:
            raise InvalidInstance(
                f"{path}: found {wrong} for a {instance.problem} solution, expected {right}; rename the output"
            )


def write(path: Path, instance: Instance, solution: Solution, document: dict[str, Any]) -> None:
    """Write one solution in the form that the suffix asks for. Raises :class:`InvalidInstance` where that fails."""
    with writing(path):
        if path.suffix == ".json":
            path.write_text(json.dumps(document) + "\n", encoding="utf-8")
        elif path.suffix in PICTURES:
            from l2o.plot import draw

            draw(path, instance, solution.routes, solution.cost)
        else:
            write_solution(path, instance, solution.routes, solution.cost)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what the system says against writing ``path`` into one line: :class:`InvalidInstance`."""
    try:
        yield
    except OSError as error:
        raise _unwritable(path, error.strerror or type(error).__name__) from None


def check(path: Path, suffixes: Sequence[str] = SUFFIXES) -> None:
    """Raises :class:`InvalidInstance` if ``path`` has none of ``suffixes`` or cannot be written."""
    if path.suffix not in suffixes:
        found = f"suffix {path.suffix!r}" if path.suffix else "no suffix"
        raise InvalidInstance(f"{path}: found {found}, expected one of {', '.join(suffixes)}; rename the output")
    with writing(path), suppress(FileNotFoundError, NotADirectoryError):
        path.lstat()  # a name that is too long, among others
    if not path.parent.is_dir():
        raise _unwritable(path, f"no folder {path.parent}")
    if path.is_dir():
        raise _unwritable(path, "it is a folder")
    # Solutions appear whole or not at all, by a name of their own first.
    written = path if path.exists() and path.suffix not in WHOLE else path.parent
    if not os.access(written, os.W_OK):
        raise _unwritable(path, "permission denied")


def _unwritable(path: Path, reason: str) -> InvalidInstance:
    return InvalidInstance(f"{path}: found no writable place ({reason.lower()}), expected one; give another path")
