"""Training end to end: it learns, resumes exactly after kill -9, and two processes equal one."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from safetensors.torch import load_file
from torch._dynamo.exc import BackendCompilerFailed

from l2o import checkpoint, cli, problems, validation
from l2o.construct import Construction, construct
from l2o.data import Batch, draw_batch
from l2o.learner import Learner
from l2o.models.patch import Patch
from l2o.problems.base import Graph
from l2o.recipe import Budget, Data, InvalidRecipe, Optimizer, Recipe, Validation, from_dict
from l2o.reinforce import Reinforce
from l2o.self_improvement import SelfImprovement
from l2o.train import train
from l2o.weights import RECORD, WEIGHTS, InvalidCheckpoint

ROOT = Path(__file__).parents[1]
TINY = (("uniform", 8, 2), ("clusters", 10, 2))


def recipe(problem: str = "tsp", **changes: object) -> Recipe:
    kind = "vehicles" if problems.find(problem).fleet else "local"
    values: dict[str, object] = {
        "problem": problem,
        "precision": "32",
        "model": {"kind": kind, "width": 8, "message": 4, "candidates": 4, "context": 2, "reach": 8},
        "data": {"sizes": [6, 9], "starts": 4, "decisions": 100},
        "budget": {"decisions": 600},
        "optimizer": {"warmup": 2},
    }
    return from_dict(values | changes)


JOINING: dict[str, object] = {
    "method": "completion",
    "model": {"kind": "fragments", "width": 8, "message": 4, "vectors": 2, "depth": 1},
    "data": {"sizes": [9, 12], "starts": 1, "decisions": 144},
    "improvement": {"begins": 2, "steps": 3, "passes": 2},
}


@pytest.fixture(autouse=True)
def small_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "SETS", TINY)
    monkeypatch.setattr(validation, "REFERENCES", Path("missing"))


DRIVER = """
import sys
from pathlib import Path
from l2o import recipe, validation
from l2o.train import train

if __name__ == "__main__":
    validation.SETS = (("uniform", 8, 2), ("clusters", 10, 2))
    validation.REFERENCES = Path("missing")
    loaded = recipe.load(sys.argv[1])
    train(loaded, Path(sys.argv[2]), resume="resume" in sys.argv, processes=2 if "two" in sys.argv else 1, quiet=True)
"""


def launch(folder: Path, loaded: Recipe, *words: str) -> subprocess.Popen[bytes]:
    (folder / "driver.py").write_text(DRIVER)
    (folder / "recipe.toml").write_text(checkpoint.toml(loaded))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(folder / "driver.py"), str(folder / "recipe.toml"), str(folder / "run"), *words]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, cwd=folder)


def finish(process: subprocess.Popen[bytes]) -> None:
    _, complaint = process.communicate(timeout=240)
    assert process.returncode == 0, complaint.decode()


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / WEIGHTS)


@pytest.mark.parametrize("problem", problems.names())
def test_a_run_leaves_weights_logs_and_a_record(problem: str, tmp_path: Path) -> None:
    loaded = recipe(problem)
    folder = train(loaded, tmp_path / "run", quiet=True)
    trained = checkpoint.load(str(folder))
    assert trained.recipe == loaded and trained.problem == problem
    record = trained.record
    assert record["decisions"] >= 600 and record["instances"] > 0 and record["steps"] > 2
    assert record["curve"][-1]["steps"] == record["steps"]
    assert not any(key.startswith("gap/") for key in record), "no references, no gaps"
    (log,) = folder.glob("csv/*/metrics.csv")
    rows = list(csv.DictReader(log.read_text().splitlines()))
    assert rows and any(folder.glob("tensorboard/*/events*"))
    with pytest.raises(InvalidRecipe, match="--resume"):
        train(loaded, folder)
    with pytest.raises(InvalidRecipe, match="nothing to resume"):
        train(loaded, tmp_path / "other", resume=True)


def test_the_last_weights_are_measured_once(tmp_path: Path) -> None:
    steps = []

    class Count(Callback):
        def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
            steps.append(trainer.global_step)

    folder = train(recipe(), tmp_path / "run", quiet=True, callbacks=[Count()])
    assert steps == [checkpoint.load(str(folder)).record["steps"]]


@pytest.mark.parametrize("changes", [{}, JOINING], ids=["reinforce", "completion"])
def test_measuring_is_not_charged_and_every_batch_is(
    changes: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that goes on by a second with every look at it, and by a thousand after each batch."""
    clock, spent = itertools.count(), []
    away = 0

    class Measure(Callback):
        def on_train_batch_end(self, trainer: Trainer, module: Any, *_: Any) -> None:
            nonlocal away
            module.on_validation_start()
            away += 1000
            module.on_validation_end()
            spent.append(module.seconds)

    monkeypatch.setattr(Learner, "clock", staticmethod(lambda: next(clock) + away))
    train(recipe("tsp", **changes), tmp_path / "run", quiet=True, callbacks=[Measure()])
    charged = [after - before for before, after in itertools.pairwise(spent)]
    assert charged and all(0 < seconds < 1000 for seconds in charged)


def test_it_learns() -> None:
    """Long legs get dearer: after some steps the policy's own sampled tours are shorter than untrained ones."""
    torch.manual_seed(0)
    problem, loaded = problems.find("tsp"), recipe(data={"sizes": [12], "starts": 8, "decisions": 1500})
    module = Reinforce(problem, loaded)
    optimizer = torch.optim.Adam(module.policy.parameters(), lr=5e-3)
    costs = []
    for step in range(30):
        batch = draw_batch(problem, loaded.data, 0, step, 0, 1)
        made = construct(
            problem, module.policy, batch.graph, batch.row, batch.first, noise=batch.noise, lots=batch.lots
        )
        assert made is not None
        for parameter, slope in zip(module.policy.parameters(), module.policy_gradient(made, batch.graph), strict=True):
            parameter.grad = slope
        optimizer.step()
        test = draw_batch(problem, Data(sizes=(12,), starts=8, decisions=8000, uniform=1.0), 99, 0, 0, 1)
        again = construct(problem, module.policy, test.graph, test.row, test.first, noise=test.noise)
        assert again is not None
        costs.append(float(again.cost.mean()))
    assert costs[-1] < costs[0] * 0.97


@pytest.mark.parametrize("name", [name for name in problems.names() if hasattr(problems.find(name), "improved")])
def test_it_learns_from_its_own_improved_solutions(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss is the mean cross-entropy, its slopes are those of autograd, and steps along them make tours shorter."""
    data = {"sizes": [12], "starts": 2, "decisions": 500}
    loaded = recipe(name, method="self_improvement", data=data, objective={"chunk": 100})
    torch.manual_seed(0)
    problem = problems.find(name)
    module = SelfImprovement(problem, loaded)
    for called in ("log", "count"):
        monkeypatch.setattr(module, called, lambda *_, **__: None)
    optimizer = torch.optim.Adam(module.policy.parameters(), lr=5e-3)
    test = draw_batch(problem, Data(sizes=(12,), starts=8, decisions=8000, uniform=1.0), 99, 0, 0, 1)
    costs = []
    for step in range(25):
        optimizer.zero_grad()
        module.training_step(draw_batch(problem, loaded.data, 0, step, 0, 1), step).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        again = construct(problem, module.policy, test.graph, test.row, test.first)
        assert again is not None
        costs.append(float(again.cost.mean()))
    assert min(costs[-5:]) < costs[0] * 0.97


def test_the_record_says_when_regrets_were_the_costs(tmp_path: Path) -> None:
    folder = train(recipe(objective={"regret": True, "discount": 0.9}), tmp_path / "run", quiet=True)
    assert "regrets against local search" in checkpoint.load(str(folder)).record["loss"]


def test_weights_can_begin_with_others(tmp_path: Path) -> None:
    first = train(recipe(), tmp_path / "first", quiet=True)
    after = recipe(method="self_improvement", weights=str(first), budget={"decisions": 300}, optimizer={"rate": 1e-9})
    second = train(after, tmp_path / "second", quiet=True)
    start = untrained(after)
    for name, tensor in weights(first).items():
        torch.testing.assert_close(weights(second)[name], tensor, atol=1e-6, rtol=1e-5)
    assert any(not torch.allclose(start[name], tensor) for name, tensor in weights(first).items())
    record = checkpoint.load(str(second)).record
    assert "cross-entropy" in record["loss"] and record["before"]["loss"].startswith("REINFORCE")
    assert record["before"]["weights"] == str(first) and record["before"]["decisions"] >= 600
    with pytest.raises(InvalidRecipe, match="are for tsp, the recipe is for cvrp"):
        train(recipe("cvrp", weights=str(first)), tmp_path / "third")
    with pytest.raises(InvalidRecipe, match="do not fit the network"):
        train(recipe(weights=str(first), model={"width": 12}), tmp_path / "fourth")
    with pytest.raises(InvalidCheckpoint, match="neither a shipped one"):
        train(recipe(weights="nowhere"), tmp_path / "fifth")


def test_what_is_continued_is_the_same_recipe_and_needs_no_other_weights(tmp_path: Path) -> None:
    first = train(recipe(), tmp_path / "first", quiet=True)
    begun = recipe(weights=str(first), validation={"checkpoint": 1e-9})
    second = train(begun, tmp_path / "second", quiet=True)
    shutil.rmtree(first)
    longer = dataclasses.replace(begun, budget=Budget(decisions=1200), validation=Validation(every=3))
    train(longer, second, resume=True, quiet=True)
    record = checkpoint.load(str(second)).record
    assert record["decisions"] >= 1200 and record["before"]["weights"] == str(first)
    found = "was begun with optimizer.rate = 0.001, the recipe has 0.5; --resume may change budget, validation"
    with pytest.raises(InvalidRecipe, match=found):
        train(dataclasses.replace(begun, optimizer=Optimizer(rate=0.5, warmup=2)), second, resume=True)
    with pytest.raises(InvalidRecipe, match=r"model.width = 8, the recipe has 12"):
        train(recipe(model={"kind": "local", "width": 12}, weights=str(first)), second, resume=True)
    state = second / "last.ckpt"
    kept = torch.load(state, weights_only=True)
    del kept["recipe"]
    torch.save(kept, state)
    whole = state.read_bytes()
    for broken in (whole, whole[: len(whole) // 2], b"", b"no checkpoint"):
        state.write_bytes(broken)
        with pytest.raises(InvalidRecipe, match=r"last\.ckpt: cannot be read, or holds no recipe"):
            train(begun, second, resume=True)


def one_gradient(loaded: Recipe) -> tuple[Reinforce, Construction, list[torch.Tensor]]:
    """Of a network with large random weights, on one small batch: the same for equal recipes."""
    problem = problems.find(loaded.problem)
    batch = draw_batch(problem, Data(sizes=(9,), starts=4, decisions=200), 0, 0, 0, 1)
    torch.manual_seed(0)
    module = Reinforce(problem, loaded)
    for parameter in module.policy.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    made = construct(problem, module.policy, batch.graph, batch.row, batch.first, noise=batch.noise, lots=batch.lots)
    assert made is not None
    return module, made, module.policy_gradient(made, batch.graph)


def test_a_gradient_that_is_not_finite_is_skipped_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gains, calls = Reinforce.gains, itertools.count()

    def sometimes_infinite(self: Reinforce, construction: Construction, graph: Graph) -> torch.Tensor:
        return gains(self, construction, graph) * (math.inf if next(calls) == 1 else 1.0)

    monkeypatch.setattr(Reinforce, "gains", sometimes_infinite)
    loaded = checkpoint.load(str(train(recipe(), tmp_path / "run", quiet=True)))
    assert loaded.record["skipped"] == 1 < loaded.record["steps"]
    assert all(bool(tensor.isfinite().all()) for tensor in loaded.policy.state_dict().values())


def test_what_fails_because_of_an_interrupt_is_the_interrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def compiler_killed_too(*_: object) -> torch.Tensor:
        signal.raise_signal(signal.SIGINT)
        raise RuntimeError("the compiler failed")

    monkeypatch.setattr(Reinforce, "training_step", compiler_killed_too)
    with pytest.raises(KeyboardInterrupt):
        train(recipe(), tmp_path / "run", quiet=True)
    monkeypatch.setattr(Reinforce, "training_step", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(recipe(), tmp_path / "another", quiet=True)


def test_an_interrupt_after_the_last_batch_leaves_weights_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    short = train(recipe(), tmp_path / "before", quiet=True) / "recipe.toml"
    monkeypatch.setattr(Reinforce, "on_validation_start", lambda *_: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        cli.train(str(short), output=str(tmp_path / "run"), quiet=True)
    assert "nothing was left to learn" in capsys.readouterr().err
    assert checkpoint.load(str(tmp_path / "run")).record["steps"] > 0


def test_an_interrupt_waits_for_the_end_of_the_batch_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train(recipe(), tmp_path / "whole", quiet=True)
    done = []
    step, validate = Reinforce.training_step, Reinforce.validation_step

    def interrupted(self: Reinforce, batch: Batch, index: int) -> torch.Tensor:
        done.append("batch")
        if len(done) == 3:
            signal.raise_signal(signal.SIGINT)
        return step(self, batch, index)

    def validating(self: Reinforce, *arguments: Any) -> None:
        done.append("validation")
        validate(self, *arguments)

    monkeypatch.setattr(Reinforce, "training_step", interrupted)
    monkeypatch.setattr(Reinforce, "validation_step", validating)
    with pytest.raises(KeyboardInterrupt):
        train(recipe(), tmp_path / "run", quiet=True)
    assert done == ["batch"] * 3
    train(recipe(), tmp_path / "run", resume=True, quiet=True)
    for name, tensor in weights(whole).items():
        assert torch.equal(weights(tmp_path / "run")[name], tensor), name


def fail_to_compile(*_: object) -> None:
    raise BackendCompilerFailed("inductor", ImportError("file too short"), None)


def test_what_torch_cannot_compile_is_compiled_anew_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spoiled = str(tmp_path / "spoiled")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", spoiled)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    plain = train(recipe(), tmp_path / "plain", quiet=True)
    step = Reinforce.training_step

    def compile_or_fail(self: Reinforce, batch: Batch, index: int) -> torch.Tensor:
        if index == 2 and os.environ["TORCHINDUCTOR_CACHE_DIR"] == spoiled:
            fail_to_compile()
        return step(self, batch, index)

    monkeypatch.setattr(Reinforce, "training_step", compile_or_fail)
    again = train(recipe(), tmp_path / "again", quiet=True)
    assert f"in {spoiled}, which may be removed" in capsys.readouterr().err
    assert Path(os.environ["TORCHINDUCTOR_CACHE_DIR"]).parent == tmp_path
    for name, tensor in weights(plain).items():
        assert torch.equal(weights(again)[name], tensor)
    # Where a new place does not help either, it is an error.
    monkeypatch.setattr(Reinforce, "training_step", fail_to_compile)
    with pytest.raises(BackendCompilerFailed):
        train(recipe(), tmp_path / "never", quiet=True)


def test_chunks_and_encoder_do_not_change_the_gradient() -> None:
    gradients = []
    for chunk in (7, 10_000):
        loaded = recipe(model={"width": 8, "message": 4, "encoder": 1}, objective={"chunk": chunk})
        module, _, gradient = one_gradient(loaded)
        gradients.append(gradient)
    for name, a, b in zip(dict(module.policy.named_parameters()), *gradients, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
        assert a.abs().sum() > 0, name


def test_entropy_bonus_adds_the_slope_of_the_mean_entropy() -> None:
    gradients = []
    for entropy in (0.0, 0.5):
        module, made, gradient = one_gradient(recipe("cvrp", objective={"entropy": entropy}))
        gradients.append(gradient)
    logits = module.policy(Patch.cat([cast(Patch, d.view) for d in made.kept])).flatten(1)
    probability = logits.softmax(dim=1)
    logarithm = torch.where(probability > 0, probability, 1.0).log()
    entropy_now = -(probability * logarithm).sum() / made.nodes.numel()
    slopes = torch.autograd.grad(entropy_now, list(module.policy.parameters()))
    for without, with_bonus, slope in zip(*gradients, slopes, strict=True):
        torch.testing.assert_close(with_bonus - without, -0.5 * slope, atol=1e-5, rtol=1e-3)
    assert max(float(slope.abs().max()) for slope in slopes) > 1e-3


def test_the_slope_of_the_entropy_is_finite_under_any_weight() -> None:
    module, made, _ = one_gradient(recipe(objective={"entropy": 0.5}))
    assert any(not cast(Patch, d.view).allowed.all() for d in made.kept), "some choices are forbidden"
    heavy = dataclasses.replace(made, kept=[dataclasses.replace(d, weight=d.weight * 1e9) for d in made.kept])
    batch = draw_batch(module.problem, Data(sizes=(9,), starts=4, decisions=200), 0, 0, 0, 1)
    assert all(bool(slope.isfinite().all()) for slope in module.policy_gradient(heavy, batch.graph))


def test_the_reward_for_entropy_is_raised_where_there_is_too_little_doubt(tmp_path: Path) -> None:
    ends = {}
    for target in (0.02, 0.5):
        objective = {"doubt": target, "entropy": 0.01}
        loaded = recipe(objective=objective, budget={"decisions": 4000}, optimizer={"rate": 1e-2})
        folder = train(loaded, tmp_path / str(target), quiet=True)
        (log,) = folder.glob("csv/*/metrics.csv")
        ends[target] = [row for row in csv.DictReader(log.read_text().splitlines()) if row["bonus"]][-1]
    assert 0.0099 < float(ends[0.02]["bonus"]) < float(ends[0.5]["bonus"])
    module = Reinforce(problems.find("tsp"), loaded)
    for doubt, power in ((0.9, 0.0), (0.25, 0.025), (0.5, 0.025), (0.0, 0.075), (0.75, 0.05), (1.0, 0.0)):
        module.steer(doubt)
        assert float(module.bonus) == pytest.approx(0.01 * math.exp(power), rel=1e-6)


def test_compiled_training_is_the_same_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the compiler reads the network; machine code would take a C++ compiler and minutes."""
    plain = train(recipe(budget={"decisions": 300}), tmp_path / "plain", quiet=True)
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    monkeypatch.setenv("CXX", sys.executable)
    compiled = train(recipe(budget={"decisions": 300}, compile=True), tmp_path / "compiled", quiet=True)
    for name, tensor in weights(plain).items():
        torch.testing.assert_close(weights(compiled)[name], tensor, atol=1e-6, rtol=1e-5)


def test_training_goes_on_without_a_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CXX", str(tmp_path / "missing"))
    monkeypatch.setattr(torch, "compile", lambda *_, **__: pytest.fail("compiled without a compiler"))
    folder = train(recipe(budget={"decisions": 100}, compile=True), tmp_path / "run", quiet=True)
    assert "no C++ compiler" in capsys.readouterr().err
    assert checkpoint.load(str(folder)).recipe.compile


@pytest.mark.parametrize("changes", [{}, JOINING], ids=["reinforce", "completion"])
def test_killed_run_resumes_to_the_same_weights(changes: dict[str, object], tmp_path: Path) -> None:
    loaded = recipe("tsp", **{"budget": {"decisions": 6000}, "validation": {"checkpoint": 1e-9}} | changes)
    whole = train(loaded, tmp_path / "whole", quiet=True)
    process = launch(tmp_path, loaded)
    state = tmp_path / "run" / "last.ckpt"
    deadline = time.monotonic() + 120
    while not state.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert state.exists() and not (tmp_path / "run" / WEIGHTS).exists(), "killed too late to tell"
    finish(launch(tmp_path, loaded, "resume"))
    resumed = weights(tmp_path / "run")
    for name, tensor in weights(whole).items():
        assert torch.equal(resumed[name], tensor), name
    records = [json.loads((f / RECORD).read_text()) for f in (whole, tmp_path / "run")]
    for key in ("decisions", "instances", "steps"):
        assert records[0][key] == records[1][key]


def test_an_interrupted_run_saves_its_state_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(checkpoint.toml(recipe(budget={"decisions": 10**7})))
    command = [sys.executable, "-m", "l2o", "train", str(tmp_path / "recipe.toml"), "-o", str(tmp_path / "run")]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert process.stderr is not None
    assert "cost" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130 and said.index("again to stop now") < said.index("continue with --resume")
    before = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["spent"]["decisions"]
    assert before > 0
    train(recipe(budget={"decisions": before + 500}), tmp_path / "run", resume=True, quiet=True)
    assert checkpoint.load(str(tmp_path / "run")).record["decisions"] >= before + 500


def test_two_processes_equal_one_with_the_joined_batch(tmp_path: Path) -> None:
    # Shares must divide evenly: 4 instances of one size, two for each process.
    loaded = recipe(data={"sizes": [9], "starts": 4, "decisions": 144}, budget={"instances": 12})
    one = train(loaded, tmp_path / "one", quiet=True)
    finish(launch(tmp_path, loaded, "two"))
    joined = weights(tmp_path / "run")
    for name, tensor in weights(one).items():
        torch.testing.assert_close(joined[name], tensor, atol=1e-6, rtol=1e-5)
    start = untrained(loaded)
    assert any(not torch.allclose(start[name], tensor) for name, tensor in weights(one).items())
    records = [json.loads((f / RECORD).read_text()) for f in (one, tmp_path / "run")]
    assert records[0]["instances"] == records[1]["instances"] == 12


def test_two_processes_learn_from_completions_together(tmp_path: Path) -> None:
    loaded = recipe("tsp", **JOINING | {"budget": {"instances": 60}})
    finish(launch(tmp_path, loaded, "two"))
    record = checkpoint.load(str(tmp_path / "run")).record
    # Three steps for each of two passes over a batch.
    batches = record["steps"] / 6
    assert batches == int(batches) >= 2 and record["instances"] >= 60
    one = train(loaded, tmp_path / "one", quiet=True)
    assert checkpoint.load(str(one)).record["steps"] == record["steps"]


def untrained(loaded: Recipe) -> dict[str, torch.Tensor]:
    torch.manual_seed(loaded.seed)
    return dict(Reinforce(problems.find(loaded.problem), loaded).policy.state_dict())


def test_batches_depend_on_seed_and_number_alone_and_parts_make_up_the_whole() -> None:
    problem = problems.find("cvrp")
    data = Data(sizes=(7,), starts=3, decisions=84)

    def draw(number: int, part: int = 0, parts: int = 1) -> Batch:
        return draw_batch(problem, data, 3, number, part, parts)

    assert torch.equal(draw(5).graph.pos, draw(5).graph.pos)
    assert not torch.equal(draw(5).graph.pos, draw(6).graph.pos)
    whole, halves = draw(5), [draw(5, part, 2) for part in (0, 1)]
    assert len(whole.graph.pos) == 4
    for field in ("pos", "demand"):
        parts = [getattr(half.graph, field) for half in halves]
        assert torch.equal(torch.stack(parts, dim=1).flatten(0, 1), getattr(whole.graph, field))
    for field in ("noise", "lots"):
        parts = [getattr(half, field).unflatten(1, (2, 3)) for half in halves]
        assert torch.equal(torch.stack(parts, dim=2).flatten(1), getattr(whole, field))


def test_turned_maps_are_the_same_maps_turned() -> None:
    problem = problems.find("tsp")
    plain, moved = (
        draw_batch(problem, Data(sizes=(7,), starts=2, decisions=700, turned=t), 3, 5, 0, 1) for t in (False, True)
    )
    pos, there = plain.graph.pos.double(), moved.graph.pos.double()
    torch.testing.assert_close(torch.cdist(there, there), torch.cdist(pos, pos), atol=1e-5, rtol=0)
    turns = torch.linalg.lstsq(pos, there).solution
    angles = torch.atan2(turns[:, 0, 1], turns[:, 0, 0])
    hands = torch.linalg.det(turns).sign()
    assert set(hands.tolist()) == {-1.0, 1.0} and angles.min() < -1 and angles.max() > 1


def test_rate_warms_up_and_ends_at_zero() -> None:
    module = Reinforce(problems.find("tsp"), recipe(budget={"decisions": 100}, optimizer={"rate": 1.0, "warmup": 1}))
    rates = []
    for spent in (0, 25, 50, 100, 200):
        module.decisions = spent
        rates.append(module.rate())
    assert rates == pytest.approx([1, (1 + math.cos(math.pi / 4)) / 2, 0.5, 0, 0])


def test_maps_larger_than_asked_for_are_not_measured(tmp_path: Path) -> None:
    folder = train(recipe(validation={"most": 9}), tmp_path / "run", quiet=True)
    (log,) = folder.glob("csv/*/metrics.csv")
    (head, *_) = csv.reader(log.read_text().splitlines())
    assert [key for key in head if key.startswith("gap/")] == ["gap/uniform-8"]


def test_validation_references_are_complete_and_plausible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for name in problems.names():
        for entry in validation.validation_sets(problems.find(name)):
            assert entry.reference.isfinite().all() and (entry.reference > 0).all(), entry.name
            assert entry.gap(entry.reference * 1.05) == pytest.approx(5)
