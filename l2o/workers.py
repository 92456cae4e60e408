"""Processes that share work which Python's lock keeps threads from sharing."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class Workers:
    """``count`` processes of one thread each; none for a count of 1.

    They leave Ctrl-C and SIGTERM to the process that they work for, and end with it, however it ends.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool = ProcessPoolExecutor(count, initializer=begin) if count > 1 else None
        if self._pool is not None:
            # Where processes are forked, better now than when more threads hold locks.
            self._pool.submit(os.getpid).result()

    def map(self, function: Callable[..., _Result], arguments: Iterable[tuple[Any, ...]]) -> list[_Result]:
        """``function``, one of a module, of each of the ``arguments``, which are copied."""
        if self._pool is None:
            return [function(*each) for each in arguments]
        # Tensors that are not bytes yet would be shared, and take a file handle each.
        return [pickle.loads(r) for r in self._pool.map(_call, [pickle.dumps((function, each)) for each in arguments])]

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def _call(task: bytes) -> bytes:
    function, arguments = pickle.loads(task)
    return pickle.dumps(function(*arguments))


def begin() -> None:
    """Become a process that works for another: one thread, signals left to the other, an end with it."""
    import torch

    torch.set_num_threads(1)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    # One that is killed closes no pool.
    os._exit(1)
