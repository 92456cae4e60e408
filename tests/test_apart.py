"""Work in a process of its own: what it yields comes through, and it is gone when it is over or its parent dies."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from l2o.bound.apart import apart

WORK = """
import os, time

def run(task):
    yield [os.getpid(), task["ask"] * 1000]
    time.sleep(60)
"""
DRIVER = """
from l2o.bound.apart import apart

for (pid, _) in apart("work", {"ask": "x"}, lambda: False):
    print(pid, flush=True)
"""

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="asks /proc which processes there are")


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work.py").write_text(WORK)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, [tmp_path, Path(__file__).parents[1]])))


def test_answers_come_through_and_over_is_over() -> None:
    found: list[int] = []
    for pid, text in apart("work", {"ask": "long"}, lambda: bool(found)):
        assert text == "long" * 1000 and Path(f"/proc/{pid}").is_dir()
        found.append(pid)
    assert found and not Path(f"/proc/{found[0]}").exists()


def test_it_ends_with_a_parent_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", DRIVER], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert Path(f"/proc/{pid}").is_dir()
        process.kill()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").is_dir() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{pid}").is_dir()
