"""Processes that share work: the same answers, errors that come through, nothing left behind."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from l2o.workers import Workers

DRIVER = """
import os, sys, time
from l2o.workers import Workers

if __name__ == "__main__":
    workers = Workers(2)
    print(*{pid for pid in workers.map(os.getpid, [()] * 50)}, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("count", [1, 3])
def test_answers_come_in_order(count: int) -> None:
    workers = Workers(count)
    assert workers.map(math.comb, [(n, 2) for n in range(40)]) == [n * (n - 1) // 2 for n in range(40)]
    halves = workers.map(torch.mul, [(torch.full((3,), float(n)), 0.5) for n in range(5)])
    assert [half.tolist() for half in halves] == [[n / 2] * 3 for n in range(5)]
    with pytest.raises(ValueError, match=r"math domain error|expected a nonnegative input"):
        workers.map(math.sqrt, [(1.0,), (-1.0,)])
    workers.close()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="asks /proc which processes there are")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_they_end_with_the_process_that_they_work_for(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text(DRIVER)
    with subprocess.Popen([sys.executable, tmp_path / "driver.py"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        assert pids
        if number != signal.SIGKILL:
            for pid in pids:
                os.kill(pid, number)
            time.sleep(0.5)
            assert all(Path(f"/proc/{pid}").is_dir() for pid in pids), "what is for their parent is not for them"
        process.kill()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").is_dir() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(Path(f"/proc/{pid}").is_dir() for pid in pids)
