"""Dependencies point one way, heavy libraries stay where they belong, and the engine knows no problem by name."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("l2o", "l2o/bound", "l2o/improve", "problems", "problems/rules", "models")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("*.py"))
BELOW = {"problems": ("l2o.problems",), "models": ("l2o.problems", "l2o.models", "l2o.jit"), "l2o": ("l2o",)}
HOMES = {
    "lightning": {"learner.py", "data.py", "train.py", "actor_critic.py", "reproduce.py"},
    "ortools": {"reference.py"},
    "e3nn": {"steerable.py"},
    "ale_py": {"pong.py"},
}


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_downwards(path: Path) -> None:
    ours = {name for name in imports(path) if name == "l2o" or name.startswith("l2o.")}
    layer = path.relative_to(ROOT).parts[0]
    for name in ours - {"l2o"}:
        assert name.startswith(BELOW[layer]), f"{path.name} imports {name}"
        if path.name != "__main__.py":
            assert not name.startswith("l2o.cli"), f"{path.name} imports the command line"
    if layer != "l2o":
        assert "l2o" not in ours
    for library, homes in HOMES.items():
        if any(name.partition(".")[0] == library for name in imports(path)):
            assert path.name in homes, f"{path.name} imports {library}"


# The format itself names its types: the reader must know which sections belong to which.
FORMATS = {"tsplib.py"}


@pytest.mark.parametrize(
    "path", [p for p in FILES if "problems" not in p.parts and p.name not in FORMATS], ids=lambda p: p.name
)
def test_nobody_above_asks_which_problem_it_is(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Compare):
            constants = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant)]
            assert not {"tsp", "atsp", "cvrp", "mtsp"} & set(map(str, constants)), f"{path.name}:{node.lineno}"


@pytest.mark.parametrize("arguments", [["-c", "import l2o"], ["-m", "l2o", "--help"]], ids=["import", "help"])
def test_light_start(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, "-X", "importtime", *arguments], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert "l2o" in loaded
    assert not loaded & {"torch", "lightning", "ortools", "numba", "scipy", "matplotlib", "torch_geometric"}
