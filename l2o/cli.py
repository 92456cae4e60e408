"""The command line: parse, call one function, print. Whatever is heavy is loaded inside the commands."""

from __future__ import annotations

import errno
import io
import math
import os
import sys
import threading
import time
from typing import Annotated, Any, NoReturn

import typer

from l2o import __version__
from l2o.memory import keep_freed_memory

STARTED = time.monotonic()
"""When time began to count for ``--time-limit``."""

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]}
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"l2o {__version__}")
        raise typer.Exit


def _seconds(value: float | None) -> float | None:
    if value is not None and not 0 <= value < math.inf:
        raise typer.BadParameter(f"found {value:g}, expected seconds from 0 up")
    return value


def _rounding(value: str | None) -> str | None:
    from l2o.problems.distance import ROUNDINGS

    if value is not None and value not in ROUNDINGS:
        raise typer.BadParameter(f"found {value!r}, expected one of {', '.join(ROUNDINGS)}")
    return value


def _device(value: str) -> str:
    if value == "cpu":
        return value
    import torch

    try:
        torch.zeros(1, device=value).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise typer.BadParameter(
            f"found {value!r}, expected a device of this machine, as cpu or cuda ({reason})"
        ) from None
    return value


Vehicles = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="M",
        help="Share the nodes of a TSP out to M vehicles that begin and end at the first; the longest route counts.",
    ),
]


@app.callback(invoke_without_command=True)
def l2o(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which.")] = False,
) -> None:
    """Solve travelling-salesman and vehicle-routing problems with a policy that was learned, and local search."""
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def solve(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="TSPLIB95, VRPLIB, .csv or .npy of coordinates; - is standard input."),
    ],
    model: Annotated[
        str | None, typer.Option(help="Weights: a name or a path. Default: those shipped for the problem.")
    ] = None,
    time_limit: Annotated[
        float | None,
        typer.Option(
            "--time-limit",
            "-t",
            metavar="S",
            callback=_seconds,
            help="Seconds per file, start-up included. Default: 3 and n / 100 after it; with --no-improve or "
            "--iterations no limit.",
        ),
    ] = None,
    starts: Annotated[
        int | None,
        typer.Option(min=1, help="Greedy constructions, from as many first nodes. Default: 1, with --initial none."),
    ] = None,
    samples: Annotated[int, typer.Option(min=0, help="Further constructions, drawn at random from the policy.")] = 0,
    improve: Annotated[
        bool, typer.Option("--improve/--no-improve", help="Local search until time is up, or the policy alone.")
    ] = True,
    iterations: Annotated[
        int | None, typer.Option(min=0, help="End the local search after so many kicks per thread.")
    ] = None,
    bound: Annotated[
        bool,
        typer.Option("--bound/--no-bound", help="Look for a lower bound too, with --time-limit or the default of it."),
    ] = True,
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            max=2**32 - 1,
            help="Of all that is random. Equal seeds give equal answers unless time cuts the search short.",
        ),
    ] = 0,
    initial: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A solution (.tour, .sol) to begin with; the answer is never worse."),
    ] = None,
    output: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="Write the solution: .tour, .sol, .json, .png or .svg. Repeatable; {name} stands for the file's name.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document per file instead of the summary.")
    ] = False,
    device: Annotated[
        str, typer.Option(callback=_device, help="Where the policy runs: cpu, cuda, cuda:1, ...")
    ] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, max=1024, help="Default: one per core.")] = None,
    rounding: Annotated[
        str | None,
        typer.Option(
            callback=_rounding,
            metavar="R",
            help="Of distances: none, nearest, ceil, floor, next, tenths. Default: as the file says.",
        ),
    ] = None,
    vehicles: Vehicles = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on standard error.")] = False,
) -> None:
    """Solve each FILE and say what was found.

    Ctrl-C ends the search early with the best solution so far. Exit codes: 0 solved, 2 bad input or usage, 3
    infeasible, 130 interrupted with a solution written.
    """
    from l2o.solve_files import Request, solve_files

    request = Request(
        model=model,
        time_limit=time_limit,
        starts=starts,
        samples=samples,
        improve=improve,
        iterations=iterations,
        bound=bound,
        seed=seed,
        initial=initial,
        json=as_json,
        device=device,
        threads=threads,
        rounding=rounding,
        vehicles=vehicles,
        quiet=quiet,
    )
    raise typer.Exit(solve_files(files, output or [], request, started=STARTED))


@app.command()
def solve_many(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Folders, files, files with an instance a line (.jsonl, .txt), or random sets as uniform:100x10.",
        ),
    ],
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="PATH", help="A .jsonl, a line an instance; what it has is not redone."),
    ],
    model: Annotated[
        str | None, typer.Option(help="Weights: a name or a path. Default: those shipped for the problem.")
    ] = None,
    time_limit: Annotated[
        float, typer.Option("--time-limit", "-t", metavar="S", callback=_seconds, help="Of search for each instance.")
    ] = 1.0,
    samples: Annotated[int, typer.Option(min=0, help="Random constructions of each, on top of the greedy one.")] = 0,
    improve: Annotated[
        bool, typer.Option("--improve/--no-improve", help="Search after construction, or the policy alone.")
    ] = True,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of all that is random.")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="Instances of equal size that the policy builds together.")] = 64,
    processes: Annotated[int | None, typer.Option(min=1, max=1024, help="Default: one per core.")] = None,
    engine: Annotated[
        str, typer.Option(help="processes, or ray for a cluster (pip install 'l2o[ray]').")
    ] = "processes",
    rounding: Annotated[
        str | None,
        typer.Option(callback=_rounding, metavar="R", help="Of distances, as in l2o solve."),
    ] = None,
    vehicles: Vehicles = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on standard error.")] = False,
) -> None:
    """Solve very many instances, on all cores or by Ray: one line of JSON each.

    Run it again after a kill or Ctrl-C, and it goes on where it was.
    """
    from l2o.cores import cores
    from l2o.many import ENGINES, Request, solve_many

    if engine not in ENGINES:
        raise typer.BadParameter(f"--engine: found {engine!r}, expected one of {', '.join(ENGINES)}")
    request = Request(
        output=output,
        model=model,
        time_limit=time_limit,
        samples=samples,
        improve=improve,
        seed=seed,
        batch=batch,
        processes=processes or cores(),
        engine=engine,
        rounding=rounding,
        vehicles=vehicles,
        quiet=quiet,
    )
    raise typer.Exit(solve_many(sources, request))


@app.command()
def compare(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|DIR|SET...",
            help="Instances: files; files of many (.txt, .jsonl); folders, through an index.csv if there is one; "
            "random sets, as uniform:100x10 (n x count) or cvrp/clusters:50x20.",
        ),
    ],
    solvers: Annotated[
        str,
        typer.Option(
            metavar="NAME,...",
            help="Of policy, samples (the best of 100), l2o, ortools, search, savings, insertion, nearest; or any "
            "function, as module:function.",
        ),
    ] = "policy,l2o,ortools,nearest",
    time_limit: Annotated[
        str,
        typer.Option(
            "--time-limit", "-t", metavar="S", help="Seconds per solve, start-up included; n/100 for so many per node."
        ),
    ] = "10",
    threads: Annotated[int, typer.Option(min=1, max=1024, help="For each solver. OR-Tools uses one in any case.")] = 1,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of random sets, and of every solver.")] = 0,
    model: Annotated[
        str | None, typer.Option(help="Weights for policy and l2o. Default: those shipped for each problem.")
    ] = None,
    output: Annotated[
        list[str] | None,
        typer.Option(
            "--output", "-o", metavar="PATH", help="Write the rows: .csv, or .json with all settings. Repeatable."
        ),
    ] = None,
    problem: Annotated[str | None, typer.Option(help="Only instances of this problem.")] = None,
    metric: Annotated[str | None, typer.Option(help="Only this edge weight type, as EUC_2D.")] = None,
    set_name: Annotated[
        str | None, typer.Option("--set", metavar="NAME", help="Only this set of an index.csv.")
    ] = None,
    min_n: Annotated[int, typer.Option(min=0, help="Fewest nodes.")] = 0,
    max_n: Annotated[int | None, typer.Option(min=1, help="Most nodes.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many of each source.")] = None,
    in_process: Annotated[
        bool,
        typer.Option(
            "--in-process", help="All solves in one process: quicker for many short ones; no start-up counts."
        ),
    ] = False,
    rounding: Annotated[str | None, typer.Option(callback=_rounding, metavar="R", help="As for solve.")] = None,
    vehicles: Vehicles = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on standard error.")] = False,
) -> None:
    """Run several solvers on the same instances, with equal time and threads, and say how far each is from the best.

    Each solve has a process of its own, and time counts from its start. Every solution is checked; a failure is a row
    that says so. Ctrl-C prints what is there.
    """
    from l2o.compare import TimeLimit
    from l2o.compare_files import Request, compare_files
    from l2o.selection import Filters

    try:
        limit_each = TimeLimit.parse(time_limit)
    except (ValueError, ZeroDivisionError):
        raise typer.BadParameter(
            f"--time-limit: found {time_limit!r}, expected seconds above 0, or n/100 for a hundredth for each node"
        ) from None

    # Files and lists write problems in capitals.
    filters = Filters(problem and problem.lower(), metric and metric.upper(), set_name, min_n, max_n or math.inf, limit)
    names = [name.strip() for name in solvers.split(",") if name.strip()]
    request = Request(names, limit_each, threads, seed, model, in_process, rounding, vehicles, quiet)
    raise typer.Exit(compare_files(sources, filters, request, output or []))


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A TOML file, as those in recipes/.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe, as budget.minutes=10. Repeatable."),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="DIR", help="Default: runs/ and the recipe's name.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in the output folder.")] = False,
    device: Annotated[str, typer.Option(callback=_device, help="Where to train: cpu or cuda.")] = "cpu",
    processes: Annotated[int, typer.Option(min=1, help="Data-parallel processes; each takes part of each batch.")] = 1,
    threads: Annotated[int | None, typer.Option(min=1, max=1024, help="For each process. Default: all cores.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on standard error.")] = False,
) -> None:
    """Train a policy on random instances as RECIPE says, and leave weights that `l2o solve --model` takes.

    A run that was ended, by whatever, goes on with --resume.
    """
    from pathlib import Path

    from l2o import recipe as recipes
    from l2o.train import RESUME
    from l2o.train import train as run
    from l2o.weights import WEIGHTS

    folder = Path(output) if output else Path("runs") / Path(recipe).stem
    loaded = recipes.load(recipe, settings)
    try:
        run(loaded, folder, resume=resume, device=device, processes=processes, threads=threads, quiet=quiet)
    except KeyboardInterrupt:
        if (folder / RESUME).is_file():
            left = f"state saved in {folder}; continue with --resume"
        elif (folder / WEIGHTS).is_file():
            left = f"nothing was left to learn; weights in {folder}"
        else:
            left = "stopped before anything was learned"
        print(left, file=sys.stderr)
        raise
    print(f"weights in {folder}; try: l2o solve FILE --model {folder}")


@app.command()
def verify(
    file: Annotated[str | None, typer.Argument(help="An instance, as for solve. Default: 100 random nodes.")] = None,
    model: Annotated[str | None, typer.Option(help="Weights. Default: those shipped for the problem.")] = None,
    trials: Annotated[int, typer.Option(min=1, help="Random transformations of each kind.")] = 200,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the transformations.")] = 0,
    vehicles: Vehicles = None,
) -> None:
    """Move, turn, mirror, scale and renumber FILE at random and measure how much the policy changes its mind.

    Exit code 1 if a change exceeds its bound.
    """
    from l2o.verify import verify_file

    raise typer.Exit(0 if verify_file(file, model, trials=trials, seed=seed, vehicles=vehicles) else 1)


@app.command()
def plot(
    file: Annotated[str, typer.Argument(help="An instance, as for solve.")],
    solution: Annotated[str | None, typer.Argument(metavar="[SOLUTION]", help="Its .tour or .sol.")] = None,
    output: Annotated[str, typer.Option("--output", "-o", metavar="PATH", help="A .png or .svg.")] = "l2o.png",
    rounding: Annotated[str | None, typer.Option(callback=_rounding, metavar="R", help="As for solve.")] = None,
    vehicles: Vehicles = None,
) -> None:
    """Draw the nodes of FILE and the routes of SOLUTION."""
    from l2o.plot import plot_file

    plot_file(file, solution, output, rounding=rounding, vehicles=vehicles)


@app.command()
def explain_mdp(
    nodes: Annotated[
        int, typer.Option(min=3, max=7, help="Of each map; the ground process grows like a factorial.")
    ] = 6,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the random maps.")] = 0,
) -> None:
    """Show how far the process of building a solution shrinks without losing anything: tails, symmetry, smallest."""
    from l2o.explain_mdp import explain

    print(explain(nodes, seed))


@app.command()
def reproduce(
    task: Annotated[str, typer.Argument(metavar="TASK", help="cartpole, gridworld, pong, wildlife or traffic.")],
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="DIR", help="Default: runs/reproduce-TASK.")
    ] = None,
    arms: Annotated[str | None, typer.Option(metavar="NAME,...", help="Default: all of the task's.")] = None,
    rates: Annotated[
        str | None,
        typer.Option(metavar="RATE,...", help="Train each arm at each of these learning rates. Default: its own."),
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Runs of each arm. Default: 3 to 25, by task.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Of each run.")] = None,
    processes: Annotated[int | None, typer.Option(min=1, max=1024, help="Default: one per core.")] = None,
) -> None:
    """Train the arms of "MDP homomorphic networks", one agent or several, anew: learning curves, and a table of steps.

    Run it again after a kill or Ctrl-C, and it goes on where it was.
    """
    from pathlib import Path

    from l2o.cores import cores
    from l2o.reproduce import TASKS
    from l2o.reproduce import reproduce as run

    if task not in TASKS:
        raise typer.BadParameter(f"found task {task!r}, expected one of {', '.join(TASKS)}")
    folder = Path(output) if output else Path("runs") / f"reproduce-{task}"
    chosen = tuple(name.strip() for name in arms.split(",")) if arms else ()
    try:
        tried = tuple(float(word) for word in rates.split(",")) if rates else ()
    except ValueError:
        raise typer.BadParameter(f"found rates {rates!r}, expected numbers, as in 0.001,0.003") from None
    processes = processes or cores()
    print(run(task, folder, arms=chosen, rates=tried, seeds=seeds, steps=steps, processes=processes))
    print(f"\n{folder / 'curves.png'}")


def main() -> NoReturn:
    """Run a command and leave with its exit code; what can be told in one line is."""
    # Threads that wait for each other busily come to a standstill when other programs want the cores too.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_freed_memory()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files may be of letters that the terminal has none for.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = _run()
        sys.stdout.flush()
    except BrokenPipeError:  # nobody reads any more; the interpreter would say so once again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        from l2o.exits import complain

        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = complain("found no space left to write to, expected some; make room")
    if threading.active_count() > 1:  # do not wait for work that was left behind
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _run() -> int:
    # Which library parses, and so raises, depends on the version of typer: their base is found by inheritance.
    parsing_error: Any = typer.BadParameter.__mro__[2]
    try:
        return int(app(prog_name="l2o", standalone_mode=False) or 0)
    except (typer.Abort, KeyboardInterrupt):
        print("l2o: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        from l2o.exits import complain, is_ours

        if isinstance(error, parsing_error):
            context = getattr(error, "ctx", None)
            advice = f"; see {context.command_path} --help" if context else ""
            return complain(error.format_message().rstrip(".") + advice)
        if is_ours(error):
            return complain(error)
        raise
