"""One solve in a process of its own, so that every solver pays for its own start-up and none for another's.

The process reads a pickled :class:`Task` from standard input and writes a pickled :class:`Answer` to standard output;
both ends are this module, nothing else is ever unpickled.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

from l2o.memory import keep_freed_memory
from l2o.problems.instance import Instance, Solution, Unsupported

GRACE = 10.0
"""Seconds after the time limit at which a process that did not answer is killed."""
THREAD_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Environment variables by which libraries are told how many threads to use."""


@dataclass(frozen=True)
class Task:
    """What one process is to do."""

    instance: Instance
    solver: str
    model: str | None
    time_limit: float
    seed: int
    threads: int
    started: float


@dataclass(frozen=True)
class Answer:
    """A solution, not checked yet, or the reason why there is none."""

    solution: Solution | None
    seconds: float
    reason: str = ""
    skipped: bool = False


def attempt(task: Task) -> Answer:
    """Solve in this process; whatever goes wrong becomes the reason."""
    from l2o.solvers import find

    solution, reason, skipped = None, "", False
    try:
        solution = find(task.solver, model=task.model)(
            task.instance,
            time_limit=task.time_limit,
            seed=task.seed,
            threads=task.threads,
            started=task.started,
        )
        if not isinstance(solution, Solution):
            solution, reason = None, f"it returned a {type(solution).__name__} instead of a solution"
    except Unsupported as error:
        reason, skipped = str(error), True
    except Exception as error:  # one solver's accident must not end a comparison
        ours = type(error).__module__.startswith("l2o") or isinstance(error, TimeoutError)
        reason = " ".join((str(error) if ours else f"{type(error).__name__}: {error}").split())
    return Answer(solution, time.monotonic() - task.started, reason, skipped)


def attempt_afresh(
    solver: str,
    instance: Instance,
    *,
    time_limit: float,
    seed: int,
    threads: int,
    model: str | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Answer | None:
    """Solve in a new process. Time counts from its start to its end, interpreter and imports included.

    None if ``stop`` became true, which is asked several times a second; the process is killed then, as it is
    :data:`GRACE` seconds after ``time_limit``.
    """
    settings = dict.fromkeys(THREAD_SETTINGS, str(threads))
    started = time.monotonic()
    # A file, not a pipe: communicate() forgets what a slow reader has not taken when its timeout expires.
    with tempfile.TemporaryFile() as task:
        pickle.dump(Task(instance, solver, model, time_limit, seed, threads, started), task)
        task.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", "from l2o.fresh import main; main()"],
            stdin=task,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **settings, "PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path)},
            start_new_session=True,  # Ctrl-C is for the comparison, which ends this process itself
        )
    try:
        while True:
            try:
                output, errors = process.communicate(timeout=0.2)
                break
            except subprocess.TimeoutExpired:
                if stop():
                    return None
                if time.monotonic() - started > time_limit + GRACE:
                    return Answer(None, time.monotonic() - started, f"no answer {GRACE:g} s after the time limit")
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    seconds = time.monotonic() - started
    if process.returncode:
        last = errors.decode(errors="replace").strip().splitlines()[-1:]
        return Answer(None, seconds, " ".join([f"its process ended with code {process.returncode}", *last]))
    answer: Answer = pickle.loads(output)
    return Answer(answer.solution, seconds, answer.reason, answer.skipped)


def main() -> None:
    """The other end. Standard output carries the answer alone: whatever a solver prints goes to standard error."""
    reply = os.dup(1)
    os.dup2(2, 1)
    keep_freed_memory()
    answer = attempt(pickle.load(sys.stdin.buffer))
    with os.fdopen(reply, "wb") as stream:
        pickle.dump(answer, stream)
    sys.stderr.flush()
    os._exit(0)  # a search that is left behind must not hold up the end
