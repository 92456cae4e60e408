"""Random numbers inside compiled code, with a state of their own: the same on every machine and in every thread."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from l2o.jit import njit

State = NDArray[np.uint64]
_WORD = (1 << 64) - 1


def state(seed: int, stream: int = 0) -> State:
    """``[1]`` the state for ``seed``; each ``stream`` is a sequence of its own."""
    # Not by numpy.random: to load it takes longer than the first descent on a small map.
    return np.array([_mixed(_mixed(seed) ^ stream) | 1], np.uint64)


def _mixed(word: int) -> int:
    """SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators", 2014)."""
    word = (word + 0x9E3779B97F4A7C15) & _WORD
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 & _WORD
    word = (word ^ word >> 27) * 0x94D049BB133111EB & _WORD
    return word ^ word >> 31


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
