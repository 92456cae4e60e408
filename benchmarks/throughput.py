"""Decisions per second of greedy construction with the shipped walking policy, forward only.

``python benchmarks/throughput.py [--problem tsp] [--n 100] [--constructions 512] [--threads 2] [--model NAME|PATH]``
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from l2o import checkpoint, problems
from l2o.construct import construct_in_threads
from l2o.machine import commit, hardware, versions
from l2o.memory import keep_freed_memory


def main() -> None:
    """Measure and print one line for each repetition, then the median."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--problem", default="tsp", choices=problems.names())
    parser.add_argument("--n", type=int, default=100, help="nodes (customers)")
    parser.add_argument("--constructions", type=int, default=512, help="instances solved side by side")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--model", help="weights of a walking policy; default: those shipped for the problem")
    options = parser.parse_args()

    keep_freed_memory()
    problem = problems.find(options.problem)
    policy = checkpoint.load(options.model or f"{options.problem}-reinforce").policy
    graph = problem.sample(torch.Generator().manual_seed(0), options.constructions, options.n, "uniform")
    row, first = torch.arange(options.constructions), problem.starts(graph, 1)[:, 0]

    print(f"{hardware()}; {options.threads} threads; torch {versions()['torch']}; commit {commit() or 'none'}")
    rates = []
    for number in range(options.repeat + 1):
        begun = time.perf_counter()
        built = construct_in_threads(problem, policy, graph, row, first, threads=options.threads)
        seconds = time.perf_counter() - begun
        assert built is not None
        if number:  # the first one warms up
            rates.append(built.nodes.numel() / seconds)
            print(f"{options.problem} n={options.n}: {built.nodes.numel():,} decisions in {seconds:.2f} s")
    print(f"median {statistics.median(rates):,.0f} decisions/s")


if __name__ == "__main__":
    main()
