"""Kernels are compiled once per machine, wherever the user's cache is, and work where nothing can be kept."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def run(code: str, cache: Path) -> list[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA")}
    environment |= {"XDG_CACHE_HOME": str(cache), "LOCALAPPDATA": str(cache), "HOME": str(cache)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


INSERT = """
import numpy as np
from l2o.heuristics import random_insertion
from l2o.improve import compiled
from l2o.jit_cache import folder
from l2o.problems.instance import Instance
coords = np.random.default_rng(0).random((9, 2))
tour, = random_insertion(Instance("x", "tsp", "EUC_2D", "none", np.arange(9), coords=coords))
assert sorted(tour) == list(range(9))
print(folder() is None, compiled("tsp"))
"""

WARM = """
import sys
import numpy as np
from l2o.improve import compiled, improve, warm_up
from l2o.problems.instance import Instance
print(compiled("tsp"))
warm_up("tsp")
coords = np.random.default_rng(0).random((60, 2))
instance = Instance("x", "tsp", "EUC_2D", "none", np.arange(60), coords=1000 * coords)
(tour,) = improve(instance, (range(60),), deadline=float("inf"), seed=0, iterations=500)
print(compiled("tsp"), "numba" in sys.modules)
if "numba" in sys.modules:
    from l2o.improve.kernels_tsp import kicks
    print(sum(kicks.dispatcher.stats.cache_misses.values()), sum(kicks.dispatcher.stats.cache_hits.values()))
print(*tour)
"""


def test_an_unwritable_cache_is_done_without(tmp_path: Path) -> None:
    not_a_folder = tmp_path / "file"
    not_a_folder.touch()
    assert run(INSERT, not_a_folder) == ["True", "False"]


@pytest.mark.skipif(sys.platform == "win32", reason="the folder is named otherwise")
def test_the_second_process_finds_what_the_first_compiled(tmp_path: Path) -> None:
    first = run(WARM, tmp_path)
    assert first[:5] == ["False", "True", "True", "1", "0"]
    second = run(WARM, tmp_path)
    if kept := list(tmp_path.rglob("kernels.so")):
        assert second == ["True", "True", "False", *first[5:]]
        kept[0].unlink()
    assert run(WARM, tmp_path) == ["True", "True", "True", "0", "1", *first[5:]]


def test_another_installation_does_not_take_this_one_for_its_own(tmp_path: Path) -> None:
    shutil.copytree(Path(__file__).parents[1] / "l2o", tmp_path / "l2o")
    code = "from l2o import jit_cache; print(jit_cache.__file__, jit_cache.folder())"
    found = [
        subprocess.run([sys.executable, "-c", code], cwd=place, capture_output=True, text=True, check=True)
        for place in (tmp_path, Path(__file__).parents[1])
    ]
    (there, its), (here, own) = (done.stdout.split() for done in found)
    assert there != here and its != own


def test_searches_and_numba_are_not_loaded_before_they_are_used() -> None:
    code = "import sys, l2o.improve, l2o.heuristics; print({'numba', 'scipy', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_numba_is_loaded_without_linear_algebra_and_finds_it_when_it_is_wanted(tmp_path: Path) -> None:
    code = """
import sys
import l2o.jit
print("scipy.linalg" in sys.modules)
import numba
import numpy as np
print(numba.njit(lambda a: np.dot(a, a)[0, 0])(np.full((2, 2), 3.0)))
print("scipy.linalg.cython_blas" in sys.modules)
"""
    assert run(code, tmp_path) == ["False", "18.0", "True"]
