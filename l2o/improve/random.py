"""Random numbers inside compiled code, with a state of their own: the same on every machine and in every thread."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from l2o.jit import njit

State = NDArray[np.uint64]


def state(seed: int, stream: int = 0) -> State:
    """``[1]`` the state for ``seed``; each ``stream`` is a sequence of its own."""
    return np.asarray(np.random.SeedSequence((seed, stream)).generate_state(1, np.uint64) | np.uint64(1))


@njit
def _draw(rng: State) -> Any:
    """xorshift64* (S. Vigna, "An experimental exploration of Marsaglia's xorshift generators", 2016)."""
    x = rng[0]
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    rng[0] = x
    return x * np.uint64(2685821657736338717)


@njit
def uniform(rng: State) -> float:
    """A number in ``[0, 1)``."""
    return float((_draw(rng) >> np.uint64(11)) * (1.0 / 9007199254740992.0))


@njit
def below(rng: State, limit: int) -> int:
    """A whole number in ``[0, limit)``."""
    return int(uniform(rng) * limit)
