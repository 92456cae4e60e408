"""Kernels that were kept run without numba and do what numba makes of them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or shutil.which("cc") is None, reason="there is no linker"
)

KERNELS = '''
from typing import NamedTuple
import numpy as np
from l2o import jit
from l2o.jit import njit

class Pair(NamedTuple):
    """Arrays of one type: numba has another kind of tuple for these."""
    first: np.ndarray
    second: np.ndarray

class Mixed(NamedTuple):
    table: np.ndarray
    pair: Pair
    scale: float
    up: bool

@njit
def inner(table, i):
    return table[i, 0] * 10 + table[i, 1]

@njit
def total(mixed, start, flags):
    mixed.pair.second[:] = 7
    sum = start
    for i in range(len(flags)):
        if flags[i] == mixed.up:
            sum += mixed.scale * inner(mixed.table, i) + mixed.pair.first[i]
    return sum

@njit
def count(values, least):
    found = 0
    for value in values:
        found += value >= least
    return found

@njit
def divided(a, b):
    return a // b

@njit
def twice(value):
    return 2 * value, value

pair = Pair(np.array([1, 2, 3]), np.zeros(3, np.int64))
flags = np.array([True, False, True])
mixed = lambda up: Mixed(np.arange(6).reshape(3, 2), pair, 0.5, up)
'''
USE = """
pair.second[:] = 0
print(total(mixed(True), 0.25, flags), total(mixed(False), 0.25, flags), pair.second.tolist())
print(count(np.array([1.5, 2.5]), 2.0), count(np.zeros(0), 2.0), divided(7, 2), twice(4))
"""
OTHERS = """
print(count(np.array([1.5, 2.5, 3.5, 4.5])[::2], 2.0), count(np.array([1, 2, 3]), 2))
still = np.array([1.5, 2.5])
still.flags.writeable = False
print(count(still, 2.0), divided(7.0, 2.0))
"""
LOADED = """
import sys
print(sorted(jit.used), "numba" in sys.modules)
"""


def run(folder: Path, *parts: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    (folder / "kernels.py").write_text(KERNELS)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA")}
    environment |= {"XDG_CACHE_HOME": str(folder), "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    if path is not None:
        environment["PATH"] = path
    code = "from kernels import *\n" + "".join(parts)
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


def lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


KEEP = 'from l2o.native_build import keep; keep("these", jit.used.values())\n'
EXPECTED = ["27.25 13.75 [7, 7, 7]", "1 0 3 (8, 4)"]


def test_what_is_kept_needs_no_numba_and_does_the_same(tmp_path: Path) -> None:
    assert lines(run(tmp_path, USE, KEEP)) == EXPECTED
    # One of them has a result of a kind that is not kept.
    assert lines(run(tmp_path, USE, LOADED)) == [*EXPECTED, "['kernels.twice'] True"]
    without = USE.replace(", twice(4)", "")
    assert lines(run(tmp_path, without, LOADED)) == [EXPECTED[0], "1 0 3", "[] False"]


def test_arguments_of_other_types_are_for_numba(tmp_path: Path) -> None:
    assert lines(run(tmp_path, USE, KEEP)) == EXPECTED
    assert lines(run(tmp_path, OTHERS, LOADED)) == ["1 2", "1 3.0", "['kernels.count', 'kernels.divided'] True"]


def test_all_types_that_were_used_are_kept(tmp_path: Path) -> None:
    lines(run(tmp_path, USE, "print(count(np.array([1, 2, 3]), 2), divided(7.0, 2.0))\n", KEEP))
    found = lines(
        run(tmp_path, "print(count(np.array([1, 2]), 2), count(np.ones(2), 1.0), divided(7.0, 2.0))\n", LOADED)
    )
    assert found == ["1 2 3.0", "[] False"]


@pytest.mark.parametrize("damage", ["kernels.so", "kernels.json"])
def test_a_damaged_library_is_done_without(tmp_path: Path, damage: str) -> None:
    assert lines(run(tmp_path, USE, KEEP)) == EXPECTED
    (library,) = tmp_path.rglob(damage)
    library.write_bytes(library.read_bytes()[: library.stat().st_size // 2])
    assert lines(run(tmp_path, USE)) == EXPECTED


def test_without_a_linker_nothing_is_kept(tmp_path: Path) -> None:
    assert lines(run(tmp_path, USE, KEEP, path="")) == EXPECTED
    assert not list(tmp_path.rglob("kernels.so"))
    assert lines(run(tmp_path, USE, LOADED))[-1].endswith("True")


def test_a_linker_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    failing = tmp_path / "bin" / "cc"
    failing.parent.mkdir()
    failing.write_text("#!/bin/sh\nexit 1\n")
    failing.chmod(0o755)
    assert lines(run(tmp_path, USE, KEEP, path=str(failing.parent))) == EXPECTED
    assert not [*tmp_path.rglob("kernel*.o"), *tmp_path.rglob("kernels.so"), *tmp_path.rglob("tmp*")]


def test_code_without_a_result_does_not_go_on(tmp_path: Path) -> None:
    assert lines(run(tmp_path, USE, KEEP)) == EXPECTED
    done = run(tmp_path, "print(divided(1, 0))\n")
    assert done.returncode != 0 and "compiled code failed" in done.stdout
