"""``l2o train``: a recipe in, a folder with weights, logs and a checkpoint to resume from out."""

from __future__ import annotations

import logging
import math
import os
import pickle
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from l2o import checkpoint, machine, problems
from l2o import recipe as recipes
from l2o.completion import Completion
from l2o.data import RandomInstances
from l2o.interrupt import Interrupt
from l2o.learner import Learner
from l2o.memory import keep_freed_memory
from l2o.models.base import Policy
from l2o.recipe import InvalidRecipe, Recipe
from l2o.reinforce import Reinforce
from l2o.self_improvement import SelfImprovement
from l2o.weights import WEIGHTS

RESUME = "last.ckpt"
FREE = ("budget", "validation", "compile")
"""Parts of a recipe that a run may be continued with others of."""
STOPPING = "\nstopping when the batch at hand is done and saved; again to stop now, without it\n"
LEARNERS: dict[str, type[Learner]] = {
    "reinforce": Reinforce,
    "self_improvement": SelfImprovement,
    "completion": Completion,
}


def train(
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool = False,
    device: str = "cpu",
    processes: int = 1,
    threads: int | None = None,
    quiet: bool = False,
    callbacks: Sequence[Callback] = (),
) -> Path:
    """Train until the recipe's budget is spent; returns ``folder``, which ``l2o solve --model`` takes.

    Args:
        folder: receives ``weights.safetensors``, ``recipe.toml``, ``record.json``, the logs and ``last.ckpt``.
        resume: continue from ``last.ckpt``, with the same data stream and optimizer state; the recipe may have another
            budget or validation than the run that it continues.
        device: ``cpu`` or ``cuda``.
        processes: data-parallel processes on this machine; each takes its share of every batch.
        threads: of each process; None for what torch chooses.
        callbacks: Lightning's, for measurements of one's own.

    Raises:
        InvalidRecipe: ``folder`` holds another run, or none to resume from, or one that is broken or of another recipe.
        KeyboardInterrupt: Ctrl-C or SIGTERM, once the state is saved; in the first batch there is none.
    """
    state = folder / RESUME
    if resume and not state.is_file():
        raise InvalidRecipe(f"{folder}: nothing to resume, {RESUME} is missing; train without --resume")
    if resume:
        _require_same(recipe, state)
    if not resume and (state.is_file() or (folder / WEIGHTS).is_file()):
        raise InvalidRecipe(f"{folder}: holds a run already; add --resume to continue it or choose another --output")

    def run(resume: bool) -> None:
        _train(recipe, folder, resume, device, processes, threads, quiet, callbacks)

    try:
        run(resume)
    except RuntimeError as error:
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")) or processes > 1:
            raise
        # Torch keeps machine code where all its users' runs find it, what a kill has left unfinished as well.
        kept, own = os.environ.get("TORCHINDUCTOR_CACHE_DIR", "its cache"), tempfile.mkdtemp(prefix="l2o-compiled-")
        print(
            f"torch cannot compile the network with what is in {kept}, which may be removed; anew in {own}",
            file=sys.stderr,
        )
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = own
        torch._dynamo.reset()
        run(state.is_file())
    return folder


def _train(
    recipe: Recipe,
    folder: Path,
    resume: bool,
    device: str,
    processes: int,
    threads: int | None,
    quiet: bool,
    callbacks: Sequence[Callback],
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()
    if threads is not None:
        torch.set_num_threads(threads)
    silence()
    lightning.seed_everything(recipe.seed, verbose=False)
    problem = problems.find(recipe.problem)
    module = LEARNERS[recipe.method](problem, recipe)
    before = begin_with(module, recipe.weights) if recipe.weights and not resume else None
    if recipe.compile and _compiler():
        module.policy.compile(dynamic=module.dynamic)
    data = RandomInstances(problem, recipe.data, recipe.seed, most=recipe.validation.most)
    spoken = not quiet and os.environ.get("LOCAL_RANK", "0") == "0"
    interrupt = Interrupt(STOPPING if spoken else "")
    keeper = Keeper(folder, recipe, interrupt, before)
    trainer = lightning.Trainer(
        accelerator="gpu" if device.startswith("cuda") else device,
        devices=processes,
        strategy="ddp" if processes > 1 else "auto",
        max_epochs=1,
        val_check_interval=timedelta(minutes=recipe.validation.every),
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=20,
        logger=[CSVLogger(folder, name="csv"), TensorBoardLogger(folder, name="tensorboard")],
        callbacks=[keeper, Progress(quiet=quiet), *callbacks],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    with interrupt:
        try:
            trainer.fit(module, datamodule=data, ckpt_path=folder / RESUME if resume else None, weights_only=True)
        except Exception:
            # Ctrl-C reaches the C++ compiler too, if it is at work; that it then fails is no error of its own.
            if not interrupt():
                raise
    if interrupt():
        raise KeyboardInterrupt
    if keeper.measured_at != int(module.averaged.n_averaged):
        trainer.validate(module, datamodule=data, verbose=False)


def _require_same(recipe: Recipe, state: Path) -> None:
    try:
        begun = torch.load(state, map_location="cpu", weights_only=True)["recipe"]
    except (KeyError, EOFError, OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise InvalidRecipe(
            f"{state}: cannot be read, or holds no recipe, as of an earlier version; train anew into another --output"
        ) from error
    asked = recipes.flat(recipe)
    for key in [key for key in asked if key.partition(".")[0] not in FREE]:
        if begun.get(key) != asked[key]:
            raise InvalidRecipe(
                f"{state.parent}: was begun with {key} = {begun.get(key)}, the recipe has {asked[key]}; --resume may "
                f"change {', '.join(FREE)} alone"
            )


def begin_with(module: Learner, weights: str) -> dict[str, Any]:
    """Copy ``weights``, a shipped name or a folder, into ``module``; what their record says of how they were learned.

    Raises:
        InvalidCheckpoint: they cannot be found or read.
        InvalidRecipe: they are for another problem or another network.
    """
    loaded = checkpoint.load(weights)
    if loaded.problem != module.problem.name:
        raise InvalidRecipe(f"weights: {weights!r} are for {loaded.problem}, the recipe is for {module.problem.name}")
    for policy in (module.policy, cast(Policy[Any], module.averaged.module)):
        try:
            policy.load_state_dict(loaded.policy.state_dict())
        except RuntimeError:
            raise InvalidRecipe(
                f"weights: {weights!r} do not fit the network; take over [model] from their recipe"
            ) from None
    known = ("loss", "minutes", "instances", "decisions", "hardware", "commit", "before")
    return {"weights": weights} | {key: loaded.record[key] for key in known if key in loaded.record}


class Keeper(Callback):
    """Keeps what a later run needs: the state to resume from, every few minutes, and the weights at each validation."""

    def __init__(self, folder: Path, recipe: Recipe, interrupt: Interrupt, before: dict[str, Any] | None) -> None:
        """``before`` is what the record says of the weights that training begins with."""
        self.folder, self.recipe, self.interrupt, self.before = folder, recipe, interrupt, before
        self.commit = machine.commit()
        self.curve: list[dict[str, float]] = []
        self.measured_at = -1  # steps
        self.saved = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """What the record will say of the past."""
        return {"curve": self.curve, "before": self.before}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The past from before the interruption."""
        self.curve, self.before = state["curve"], state["before"]

    def on_train_batch_start(self, trainer: lightning.Trainer, module: Any, *_: Any) -> None:
        """Save the state if it is time, when all of the last batch is done; all processes agree on when.

        On Ctrl-C too, and stop before the batch that begins.
        """
        due = time.monotonic() - self.saved > self.recipe.validation.checkpoint * 60
        due, stop = trainer.strategy.broadcast((due, self.interrupt() and not trainer.should_stop))
        if due or stop:
            self._save_state(trainer)
        trainer.should_stop = trainer.should_stop or stop

    def on_validation_end(self, trainer: lightning.Trainer, module: Any) -> None:
        """Add a point to the learning curve and save the averaged weights."""
        self.measured_at = int(module.averaged.n_averaged)
        if not trainer.is_global_zero:
            return
        measured = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("gap/")}
        gaps = {k: round(v, 3) for k, v in measured.items() if math.isfinite(v)}
        point = {
            "minutes": round(module.seconds / 60, 2),
            "instances": module.instances,
            "decisions": module.decisions,
            "steps": self.measured_at,
            "skipped": module.skipped,
            **gaps,
        }
        self.curve = [p for p in self.curve if p["steps"] < point["steps"]] + [point]
        record = {
            "problem": self.recipe.problem,
            "loss": module.loss,
            **point,
            "seed": self.recipe.seed,
            "hardware": self._hardware(module.device, trainer.world_size),
            "versions": machine.versions(),
            "commit": self.commit,
            **({"before": self.before} if self.before else {}),
            "curve": self.curve,
        }
        checkpoint.save(self.folder, cast(Policy[Any], module.averaged.module), self.recipe, record)

    @staticmethod
    def _hardware(device: torch.device, processes: int) -> str:
        if device.type == "cuda":
            return f"{torch.cuda.get_device_name(device)}; {machine.hardware()}"
        return f"{machine.hardware()}, {processes * torch.get_num_threads()} of them used"

    def _save_state(self, trainer: lightning.Trainer) -> None:
        self.saved = time.monotonic()
        part = self.folder / (RESUME + ".part")
        trainer.save_checkpoint(part)
        if trainer.is_global_zero:
            part.replace(self.folder / RESUME)


class Progress(Callback):
    """One line that renews itself on a terminal, a plain line every half minute elsewhere."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self.shown = -1e9
        self.terminal = sys.stderr.isatty()

    def on_train_batch_end(self, trainer: lightning.Trainer, module: Any, *_: Any) -> None:
        """Cost, gap, speed, what is left."""
        now = time.monotonic()
        if self.quiet or not trainer.is_global_zero or now - self.shown < (0.2 if self.terminal else 30):
            return
        self.shown = now
        metrics = trainer.callback_metrics
        gaps = " ".join(f"{k[4:]} {float(v):.2f}%" for k, v in metrics.items() if k.startswith("gap/"))
        seconds, progress = module.seconds, module.progress()
        line = f"{progress:6.1%}  cost {float(metrics['cost']):.4f}"
        if seconds > 0:
            remaining = seconds / progress * (1 - progress)
            line += f"  {module.decisions / seconds:,.0f} decisions/s  {remaining / 60:.1f} min left  {gaps}"
        print(
            f"\r\033[K{line}" if self.terminal else line, end="" if self.terminal else "\n", file=sys.stderr, flush=True
        )

    def on_train_end(self, trainer: lightning.Trainer, module: Any) -> None:
        """Leave the terminal on a fresh line."""
        if self.terminal and not self.quiet:
            print(file=sys.stderr)


def _compiler() -> bool:
    """Whether there is one for C++; training goes on without, and says so."""
    if shutil.which(os.environ.get("CXX", "g++")):
        return True
    print("no C++ compiler (g++ or $CXX): the network runs as it is, more slowly", file=sys.stderr)
    return False


def silence() -> None:
    """Lightning's hints do not concern this trainer: loading is no bottleneck, tips are advertisements."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    # A thousand lines of C++ where a compiler is interrupted; what it fails at in earnest is raised.
    logging.getLogger("torch._functorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*`IterableDataset`.*")
    warnings.filterwarnings("ignore", message=".*litlogger.*")
    warnings.filterwarnings("ignore", message=".*overridden `transfer_batch_to_device`.*")
    warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")
