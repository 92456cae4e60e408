"""Plain coordinates as CSV text or as an NPY array: straight-line distances that are not rounded."""

from __future__ import annotations

import csv
import os

import numpy as np
from numpy.typing import NDArray

from l2o.problems.instance import Instance, Ints
from l2o.sections import LARGEST, is_number, malformed, shown
from l2o.source import unreadable

_NUMBER_COLUMNS = ("id", "node", "index")


def interpret_csv(text: str, where: str, *, name: str, rounding: str | None = None) -> Instance:
    """A TSP from lines ``x,y`` or ``x,y,z``, separated by commas, semicolons, tabs or blanks.

    A first line of words is a header; a column that it calls ``id``, ``node`` or ``index`` holds the node numbers, and
    a third coordinate must be called ``z``. Raises :class:`InvalidInstance`.
    """
    rows = _rows(text, where)
    first = next(iter(rows.values()), [])
    header = first if all(_is_word(cell) for cell in first) else []
    lines = list(rows)[bool(header) :]
    if not lines:
        raise malformed(where, None, "no coordinates", "lines 'x,y' or 'x,y,z'", "check how the file was made")
    names = [cell.lower() for cell in header] or ["x", "y", "z", *["?"] * len(first)][: len(first)]
    numbered = names[0] in _NUMBER_COLUMNS
    if len(names) - numbered not in (2, 3) or (len(names) - numbered == 3 and names[-1] != "z"):
        found = f"columns {shown(','.join(header))}" if header else f"{len(first)} columns"
        advice = "keep the coordinates only; demands need a VRPLIB file"
        raise malformed(where, next(iter(rows)), found, "x,y or x,y,z, after an id if there is one", advice)
    for line in lines:
        if len(rows[line]) != len(names):
            raise malformed(where, line, f"{len(rows[line])} columns", f"{len(names)} as before", "correct this line")
        for cell in rows[line]:
            if not is_number(cell):
                raise malformed(where, line, shown(cell), f"a number of at most {LARGEST:.0e}", "correct this line")
    table = np.array([rows[line] for line in lines], dtype=np.float64)
    if not numbered:
        return _instance(table, np.arange(1, len(table) + 1), name, where, rounding)
    numbers: list[float] = table[:, 0].tolist()
    seen: set[float] = set()
    for line, number in zip(lines, numbers, strict=True):
        if number in seen or number < 0 or not number.is_integer():
            expected = "whole numbers from 0 up, each once"
            raise malformed(where, line, f"node number {number:g}", expected, "correct this line")
        seen.add(number)
    return _instance(table[:, 1:], table[:, 0].astype(np.int64), name, where, rounding)


def read_npy(path: str | os.PathLike[str], *, name: str, rounding: str | None = None) -> Instance:
    """A TSP from an NPY file with an array ``[n, 2]`` or ``[n, 3]`` of numbers. Raises :class:`InvalidInstance`."""
    expected, advice = "an NPY array of numbers [n, 2] or [n, 3]", "save one with numpy.save"
    try:
        # Mapped, so that a header that promises terabytes is refused before anything is allocated.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        coords = np.array(array, dtype=np.float64) if array.dtype.kind in "iuf" else None
    except OSError as error:
        raise unreadable(path, error) from None
    except Exception:  # a damaged header makes numpy raise nearly anything
        raise malformed(str(path), None, "damaged or pickled data", expected, advice) from None
    if coords is None or coords.ndim != 2 or coords.shape[1] not in (2, 3) or not len(coords):
        raise malformed(str(path), None, f"{array.dtype} {list(array.shape)}", expected, advice)
    if len(wrong := np.flatnonzero(~(np.abs(coords) <= LARGEST).all(axis=1))):
        found = f"{coords[wrong[0]].tolist()} in row {wrong[0]}"
        raise malformed(str(path), None, found, f"numbers of at most {LARGEST:.0e}", "correct the array")
    return _instance(coords, np.arange(1, len(coords) + 1), name, str(path), rounding)


def _instance(coords: NDArray[np.float64], ids: Ints, name: str, where: str, rounding: str | None) -> Instance:
    return Instance(
        name=name,
        problem="tsp",
        metric="EUC_2D" if coords.shape[1] == 2 else "EUC_3D",
        rounding=rounding or "none",
        ids=ids,
        coords=np.ascontiguousarray(coords),
        source=where,
    )


def _rows(text: str, where: str) -> dict[int, list[str]]:
    """Cells of every line that is not blank and does not start with ``#``, by line number."""
    lines = {i: line for i, line in enumerate(text.splitlines(), start=1) if line.strip() and line.lstrip()[0] != "#"}
    separator = next((mark for mark in ";\t," if mark in next(iter(lines.values()), "")), None)
    if separator is None:
        return {i: line.split() for i, line in lines.items()}
    try:
        rows = list(csv.reader(lines.values(), delimiter=separator, skipinitialspace=True))
    except csv.Error as error:
        raise malformed(where, None, f"broken CSV ({error})", "one node per line", "check the quotes") from None
    if len(rows) != len(lines):
        raise malformed(where, None, "a quote over several lines", "one node per line", "check the quotes")
    return {i: [cell.strip() for cell in row] for i, row in zip(lines, rows, strict=True)}


def _is_word(cell: str) -> bool:
    try:
        float(cell)  # nan and inf are no words
    except ValueError:
        return any(letter.isalpha() for letter in cell)
    return False
