"""Decisions and instances learned per second: this package's ways of learning, and RL4CO's POMO, on one machine.

``python benchmarks/training_throughput.py [--n 50] [--seconds 60] [--device cpu] [--threads 1] [--wide 1]
[--rl4co PYTHON]``

Each trains on uniform maps from scratch in a process of its own, one after the other. Before the time is counted comes
a third of it, and at least one batch, in which what is compiled is compiled. ``PYTHON`` is the interpreter of an
environment with RL4CO 0.7 in it, which need not be this one: there POMO runs with the settings of its authors' paper (6
layers of 128 features, as many starts as nodes) and about as many decisions a batch as ours. A GPU wants batches that
are some 30 times as wide.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from symmetry import ATTENTION, JOIN, KICKS, WALK

ARMS: dict[str, dict[str, Any]] = {
    "joins, completion": JOIN | {"improvement": JOIN["improvement"] | {"kicks": KICKS["tsp"]}},
    "walks, REINFORCE": WALK,
    "attention model, REINFORCE": WALK | {"model": ATTENTION},
}

RL4CO = """
import json, os, sys, time, torch, lightning
from rl4co.envs import TSPEnv
from rl4co.models import POMO
n, seconds, device, threads, wide = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], *map(int, sys.argv[4:])
torch.set_num_threads(threads)
env = TSPEnv(generator_params={"num_loc": n})
batch = max(1, 4096 * wide // (n * n))
model = POMO(env, batch_size=batch, train_data_size=10**6, val_data_size=1, num_augment=1)

class Clock(lightning.Callback):
    def on_train_start(self, *_):
        self.begun, self.counted, self.since = time.monotonic(), 0, None
    def on_train_batch_end(self, trainer, *_):
        now = time.monotonic()
        if self.since is None:
            if now - self.begun > seconds / 3:
                self.since = now
            return
        self.counted += batch
        if now - self.since > seconds:
            rate = self.counted / (now - self.since)
            print(json.dumps({"instances": rate, "decisions": rate * n * (n - 1)}), flush=True)
            # Asked to stop, Lightning would first finish the epoch.
            os._exit(0)

lightning.Trainer(accelerator="gpu" if device == "cuda" else "cpu", devices=1, max_epochs=1, callbacks=[Clock()],
    gradient_clip_val=1.0, logger=False, enable_checkpointing=False, enable_progress_bar=False, num_sanity_val_steps=0,
    limit_val_batches=0, enable_model_summary=False, min_steps=1).fit(model)
"""


def ours(arm: str, n: int, seconds: float, device: str, threads: int, wide: int) -> None:
    """Print the rates of one arm, and end this process."""
    from lightning.pytorch.callbacks import Callback

    from l2o import recipe as recipes
    from l2o.recipe import Data, Objective
    from l2o.train import train

    class Clock(Callback):
        """From when on is counted, and what."""

        begun = since = 0.0
        before = (0, 0)

        def on_train_start(self, trainer: Any, module: Any) -> None:
            self.begun = time.monotonic()

        def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
            now = time.monotonic()
            counted = (module.instances, module.decisions)
            if not self.since:
                if now - self.begun > seconds / 3:
                    self.since, self.before = now, counted
            elif now - self.since > seconds:
                learned = [
                    (after - before) / (now - self.since) for after, before in zip(counted, self.before, strict=True)
                ]
                print(json.dumps(dict(zip(("instances", "decisions"), learned, strict=True))), flush=True)
                # Asked to stop, training would first validate.
                os._exit(0)

    # The attention model's shapes change with every decision. On a GPU compiling those of walks takes minutes too.
    compiled = arm == "joins, completion" or (device == "cpu" and arm == "walks, REINFORCE")
    settings = ARMS[arm] | {"compile": compiled, "budget": {"minutes": 1e6}, "validation": {"every": 1e6}}
    decisions = wide * settings["data"].get("decisions", Data.decisions)
    settings["data"] = settings["data"] | {"sizes": [n], "uniform": 1.0, "decisions": decisions}
    settings["objective"] = {"chunk": wide * Objective.chunk}
    with tempfile.TemporaryDirectory() as folder:
        train(
            recipes.from_dict(settings), Path(folder), device=device, threads=threads, quiet=True, callbacks=[Clock()]
        )


def main() -> None:
    """Measure all and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--n", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--wide", type=int, default=1, help="how many times as wide batches are as on one thread")
    parser.add_argument("--rl4co", metavar="PYTHON", help="an interpreter that finds rl4co; default: leave it out")
    parser.add_argument("--arm", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.arm:
        ours(options.arm, options.n, options.seconds, options.device, options.threads, options.wide)
        return
    shared = [str(options.n), str(options.seconds), options.device, str(options.threads), str(options.wide)]
    flags = [
        word
        for pair in zip(("--n", "--seconds", "--device", "--threads", "--wide"), shared, strict=True)
        for word in pair
    ]
    commands = {arm: [sys.executable, __file__, "--arm", arm, *flags] for arm in ARMS}
    if options.rl4co:
        commands["RL4CO's POMO, REINFORCE"] = [options.rl4co, "-c", RL4CO, *shared]
    print(f"{options.n} nodes, {options.device}, {options.threads} threads, {options.wide} times as wide\n")
    print("| | instances/s | decisions/s |\n|---|---|---|")
    for arm, command in commands.items():
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
        rates = json.loads(done.stdout.splitlines()[-1])
        print(f"| {arm} | {rates['instances']:,.1f} | {rates['decisions']:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
