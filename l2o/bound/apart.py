"""Work in a process of its own, which can be ended at any time: linear programs cannot be told to stop.

The other end runs ``module.run(task)``, a generator of plain data; every line that it prints is one.
"""

from __future__ import annotations

import importlib
import json
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
        text=True,
        start_new_session=True,  # Ctrl-C is for the search, which ends this process itself
    )
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    assert process.stdin is not None and process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    def talk() -> None:
        # One that was ended may not have read everything.
        with suppress(OSError), stdin:
            json.dump(task, stdin)
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


def main() -> None:
    """The other end."""
    for found in importlib.import_module(sys.argv[1]).run(json.load(sys.stdin)):
        print(json.dumps(found), flush=True)
