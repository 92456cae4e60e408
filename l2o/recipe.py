"""Training recipes: TOML read into frozen dataclasses. The defaults below are the documentation."""

from __future__ import annotations

import dataclasses
import difflib
import math
import tomllib
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from l2o import models
from l2o.models import local
from l2o.problems.instance import Unsupported

METHODS = ("reinforce", "self_improvement", "completion")


class InvalidRecipe(ValueError):
    """A recipe has an unknown key or an impossible value. The message is one line that says what is allowed."""


@dataclass(frozen=True)
class Data:
    """Random instances. One batch is one size; sizes alternate at random from batch to batch."""

    sizes: tuple[int, ...] = (20, 50, 100)
    """Nodes (customers, where there is a depot)."""
    distributions: tuple[str, ...] = (
        "uniform",
        "clusters",
        "mixed",
        "implosion",
        "lattice",
        "squeezed",
        "lines",
    )
    """Names in ``problems/maps.py``; every instance draws its own."""
    uniform: float = 0.5
    """Share of the instances that are uniform whatever else is drawn."""
    turned: bool = False
    """Whether every map is turned and perhaps mirrored at random: what a policy without symmetry has to be shown."""
    starts: int = 16
    """Solutions per instance; they share the baseline."""
    decisions: int = 4096
    """Decisions per batch over all processes, about: sets the number of instances of a batch from its size."""


@dataclass(frozen=True)
class Objective:
    """REINFORCE; ``chunk`` is for all methods."""

    keep: float = 4.0
    """A decision taken with probability p is scored again, with gradient, with probability ``min(1, keep (1 - p))`` and
    counts for all that were not: the gradient of a decision that was as good as certain is next to nothing."""
    entropy: float = 0.01
    """Reward for the entropy of each decision, in standard deviations of the advantage per nat. Without it the policy
    stops trying anything long before it has learned what there is to learn."""
    doubt: float = 0.0
    """What the mean of 1 - p over the decisions must not fall below: the reward for entropy is raised while that is
    lower, and lowered again while it is higher, down to ``entropy``. 0: the reward stays as it is."""
    regret: bool = False
    """Whether a decision is charged with how much it lengthens the best rest that local search knows of, instead of
    with its leg. Tours only."""
    discount: float = 1.0
    """Weight of the next decision's regret, of the one after it squared, and so on."""
    chunk: int = 256
    """Decisions scored at once: bounds the memory."""


@dataclass(frozen=True)
class Improvement:
    """Self-improvement and completion: the policy's own solutions, made better by local search, are what it learns."""

    kicks: float = 1.0
    """Iterations of local search per decision that is left."""
    begins: int = 2
    """How often a solution is improved, from decisions drawn at random on: what was decided before stays, so the policy
    learns what to do in the states it gets into."""
    whole: float = 0.5
    """Share of those that begin with the first decision instead. Self-improvement alone."""
    keep: float = 1.0
    """Share of the decisions that is learned from. Self-improvement alone."""
    steps: int = 8
    """Steps of the optimizer that the states of a batch are dealt out to. Completion alone."""
    passes: int = 2
    """How often all of them are learned from. Completion alone."""


@dataclass(frozen=True)
class Optimizer:
    """AdamW with gradient clipping, linear warm-up and cosine decay to zero at the end of the budget."""

    rate: float = 1e-3
    weight_decay: float = 1e-4
    warmup: int = 30
    """Steps."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    average: float = 0.995
    """Decay of the exponential average of the weights, which is what is validated and saved."""


@dataclass(frozen=True)
class Budget:
    """When training ends: whichever of these comes first. At least one is finite."""

    minutes: float = math.inf
    decisions: float = math.inf
    instances: float = math.inf


@dataclass(frozen=True)
class Validation:
    """How often the averaged weights are measured on the fixed validation set, and saved."""

    every: float = 5.0
    """Minutes."""
    checkpoint: float = 2.0
    """Minutes between checkpoints to resume from."""
    most: int = 1000
    """Nodes (customers) of the largest maps that are measured."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run."""

    problem: str = "tsp"
    method: str = "reinforce"
    """``reinforce``, ``self_improvement`` or ``completion``: the module of ``l2o`` that learns."""
    weights: str = ""
    """What to begin with: shipped weights by name or a folder that holds some. Empty: random weights."""
    seed: int = 0
    precision: str = "bf16"
    """Of the network's matrix products: ``bf16`` (autocast) or ``32``."""
    compile: bool = False
    """Compile the network on a CPU (``torch.compile``, which takes a C++ compiler)."""
    model: Any = field(default_factory=local.Config)
    """The ``Config`` of a module in ``models/``, which its key ``kind`` names."""
    data: Data = field(default_factory=Data)
    objective: Objective = field(default_factory=Objective)
    improvement: Improvement = field(default_factory=Improvement)
    optimizer: Optimizer = field(default_factory=Optimizer)
    budget: Budget = field(default_factory=Budget)
    validation: Validation = field(default_factory=Validation)

    def __post_init__(self) -> None:
        from l2o.problems.maps import MAPS, SOLID
        from l2o.validation import SETS

        def require(condition: bool, message: str) -> None:
            if not condition:
                raise InvalidRecipe(message)

        budget = dataclasses.asdict(self.budget)
        require(any(math.isfinite(v) for v in budget.values()), "budget: give one of minutes, decisions, instances")
        for key, value in budget.items():
            require(value > 0, f"budget.{key} is {value}; it must be positive")
        require(0 <= self.seed < 2**32, f"seed is {self.seed}; it must lie between 0 and {2**32 - 1}")
        require(self.precision in ("bf16", "32"), f"precision is {self.precision!r}; it must be 'bf16' or '32'")
        require(
            len(self.data.sizes) > 0 and min(self.data.sizes) >= 3, "data.sizes: at least one size, each at least 3"
        )
        for name in self.data.distributions:
            require(name in MAPS, f"data.distributions: unknown {name!r}{_hint(name, MAPS)}")
        require(len(self.data.distributions) > 0, "data.distributions: at least one name")
        require(0 <= self.data.uniform <= 1, f"data.uniform is {self.data.uniform}; it must lie in [0, 1]")
        drawn = {*self.data.distributions, *(["uniform"] if self.data.uniform > 0 else [])}
        solid = sorted(drawn.intersection(SOLID))
        require(
            not solid or len(solid) == len(drawn),
            f"data.distributions: {', '.join(solid)} in three dimensions, the others in the plane; a run takes maps of "
            "one kind, and for the former data.uniform = 0",
        )
        require(not (solid and self.data.turned), "data.turned is for maps in the plane; leave it false")
        least = 2 if self.method == "reinforce" else 1
        starts = self.data.starts
        require(
            starts >= least, f"data.starts is {starts}; it must be at least {least}: REINFORCE's baseline is shared"
        )
        require(self.data.decisions >= 1, f"data.decisions is {self.data.decisions}; it must be at least 1")
        require(self.objective.keep > 0, f"objective.keep is {self.objective.keep}; it must be positive")
        entropy = self.objective.entropy
        require(entropy >= 0, f"objective.entropy is {entropy}; it must not be negative")
        require(
            0 <= self.objective.discount <= 1,
            f"objective.discount is {self.objective.discount}; it must lie in [0, 1]",
        )
        require(
            self.objective.regret or self.objective.discount == 1,
            "objective.discount is for regrets; set objective.regret = true or leave it at 1",
        )
        require(
            0 <= self.objective.doubt < 1, f"objective.doubt is {self.objective.doubt}; it must lie between 0 and 1"
        )
        require(
            self.objective.doubt == 0 or entropy > 0,
            "objective.entropy is 0; it must be positive for objective.doubt to steer it",
        )
        require(self.objective.chunk >= 1, f"objective.chunk is {self.objective.chunk}; it must be at least 1")
        require(self.method in METHODS, f"method is {self.method!r}; it must be one of {', '.join(METHODS)}")
        joins = self.model.kind == "fragments"
        require(
            joins == (self.method == "completion"),
            f"method {self.method!r} is not for model.kind {self.model.kind!r}: fragments learn by completion alone",
        )
        require(self.improvement.kicks > 0, f"improvement.kicks is {self.improvement.kicks}; it must be positive")
        for key in ("begins", "steps", "passes"):
            value = getattr(self.improvement, key)
            require(value >= 1, f"improvement.{key} is {value}; it must be at least 1")
        for key in ("whole", "keep"):
            value = getattr(self.improvement, key)
            require(0 <= value <= 1, f"improvement.{key} is {value}; it must lie in [0, 1]")
        rate, decay = self.optimizer.rate, self.optimizer.weight_decay
        require(0 < rate < math.inf, f"optimizer.rate is {rate}; it must be positive and finite")
        require(0 <= decay < math.inf, f"optimizer.weight_decay is {decay}; it must be finite and not negative")
        require(self.optimizer.warmup >= 0, f"optimizer.warmup is {self.optimizer.warmup}; it must not be negative")
        require(self.optimizer.clip > 0, f"optimizer.clip is {self.optimizer.clip}; it must be positive")
        require(
            0 <= self.optimizer.average < 1, f"optimizer.average is {self.optimizer.average}; it must lie in [0, 1)"
        )
        every = self.validation.every
        require(0 < every <= 1e9, f"validation.every is {every}; it must be positive, and 1e9 minutes at most")
        require(self.validation.checkpoint > 0, "validation.checkpoint must be positive")
        least = min(n for _, n, _ in SETS)
        require(
            self.validation.most >= least,
            f"validation.most is {self.validation.most}; it must be at least {least}, the smallest maps there are",
        )


def load(path: str | Path, overrides: list[str] | None = None) -> Recipe:
    """Read a recipe; each override is ``key=value`` with a dotted key and a TOML value (bare words are strings).

    Raises:
        InvalidRecipe: unreadable file, unknown key, wrong type or impossible value.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        values = tomllib.loads(text)
    except OSError as error:
        raise InvalidRecipe(f"{path}: {error.strerror or error}; give the path of a TOML recipe") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidRecipe(f"{path}: not TOML: {error}") from None
    for override in overrides or []:
        key, equals, value = override.partition("=")
        if not equals:
            raise InvalidRecipe(f"--set {override}: expected key=value, for example --set optimizer.rate=0.001")
        table = values
        *groups, last = key.strip().split(".")
        for group in groups:
            table = table.setdefault(group, {})
            if not isinstance(table, dict):
                raise InvalidRecipe(f"--set {override}: {group!r} is a value, not a table")
        table[last] = _parse(value.strip())
    return from_dict(values)


def _parse(value: str) -> Any:
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value


def from_dict(values: dict[str, Any]) -> Recipe:
    """A recipe from nested plain data, as TOML gives it."""
    return typing.cast(Recipe, _build(Recipe, values, ""))


def to_dict(recipe: Recipe) -> dict[str, Any]:
    """Nested plain data that :func:`from_dict` reads back."""

    def plain(value: Any) -> Any:
        if dataclasses.is_dataclass(value):
            return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return list(value) if isinstance(value, tuple) else value

    return typing.cast(dict[str, Any], plain(recipe))


def flat(recipe: Recipe) -> dict[str, Any]:
    """The same by dotted keys."""

    def below(values: dict[str, Any], prefix: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in values.items():
            found |= below(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        return found

    return below(to_dict(recipe), "")


def _build(kind: type, values: dict[str, Any], prefix: str) -> Any:
    hints = typing.get_type_hints(kind)
    if kind is Recipe:
        hints["model"] = _model(values.get("model"))
    for key in values:
        if key not in hints:
            raise InvalidRecipe(f"unknown key {prefix}{key}{_hint(key, hints)}")
    converted = {key: _convert(hints[key], value, prefix + key) for key, value in values.items()}
    try:
        return kind(**converted)
    except InvalidRecipe:
        raise
    except ValueError as error:
        raise InvalidRecipe(f"{prefix}{error}") from None


def _model(values: Any) -> type:
    """The dataclass for the table ``[model]``."""
    kind = values.get("kind", local.Config.kind) if isinstance(values, dict) else local.Config.kind
    try:
        config: type = models.find(str(kind)).Config
    except Unsupported as error:
        raise InvalidRecipe(f"model.kind: {error}") from None
    return config


def _convert(kind: Any, value: Any, key: str) -> Any:
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise InvalidRecipe(f"{key} is {value!r}; it is a table of settings")
        return _build(typing.cast(type, kind), value, key + ".")
    if typing.get_origin(kind) is tuple:
        (element, _) = typing.get_args(kind)
        if not isinstance(value, list):
            raise InvalidRecipe(f"{key} is {value!r}; it must be a list")
        return tuple(_convert(element, v, key) for v in value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        raise InvalidRecipe(f"{key} is {value!r}; it must be of type {kind.__name__}")
    if kind is float and math.isnan(value):
        raise InvalidRecipe(f"{key} is not a number")
    return value


def _hint(name: str, known: typing.Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(sorted(known))}"
