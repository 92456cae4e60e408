"""Work in a process of its own, which can be ended at any time: linear programs cannot be told to stop.

The other end runs ``module.run(task)``, a generator of plain data; every line that it prints is one. What it reads is
the task, and then nothing more until there is no one to work for.
"""

from __future__ import annotations

import importlib
import json
import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any


def apart(module: str, task: dict[str, Any], over: Callable[[], bool]) -> Iterator[Any]:
    """What ``run`` of ``module`` yields for ``task``, as it comes, until it ends or it is ``over``."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", "from l2o.bound.apart import main; main()", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the search, which ends this process itself
    )
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    assert process.stdin is not None and process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    def talk() -> None:
        # One that was ended may not have read everything.
        with suppress(OSError):
            # Arrays as they are: to spell millions of numbers out would hold up all other threads.
            pickle.dump(task, stdin)
            stdin.flush()
        for line in stdout:
            lines.put(line)
        lines.put(None)

    talking = threading.Thread(target=talk, daemon=True)
    talking.start()
    try:
        while not over():
            try:
                line = lines.get(timeout=0.05)
            except queue.Empty:
                continue
            if line is None:
                return
            yield json.loads(line)
    finally:
        process.kill()
        process.wait()
        talking.join()
        stdout.close()
        with suppress(OSError):
            stdin.close()


def main() -> None:
    """The other end."""
    task = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_reader, daemon=True).start()
    for found in importlib.import_module(sys.argv[1]).run(task):
        print(json.dumps(found), flush=True)


def _end_with_reader() -> None:
    sys.stdin.buffer.read()
    # A process that is killed ends no other.
    os._exit(1)
