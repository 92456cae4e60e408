"""Freed memory is used again."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys, threading
import torch
from l2o.memory import keep_freed_memory

def work():
    for _ in range(20):
        torch.empty(1 << 24).fill_(1)

if sys.argv[1] == "keep":
    keep_freed_memory()
thread = threading.Thread(target=work)
thread.start()
thread.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an allocator that cannot be asked")
def test_large_blocks_of_any_thread_are_kept_not_fetched_anew() -> None:
    """Twenty blocks of 64 MB one after the other: one costs page faults, where all twenty did."""

    def faults(how: str) -> int:
        return int(subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, check=True).stdout)

    pages = (1 << 26) // 4096
    assert faults("keep") < faults("return") - 10 * pages
