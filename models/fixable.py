"""Networks that work out once what stays the same while nothing is learned, as in a roll-out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


class Fixable(nn.Module, ABC):
    """A module that can do so; see :func:`fixed`."""

    @abstractmethod
    def fix(self, fixed: bool) -> None:
        """Whether what is worked out now holds until further notice."""


@contextmanager
def fixed(network: nn.Module) -> Iterator[None]:
    """While nothing is learned: what stays the same in ``network`` is worked out once."""
    modules = [module for module in network.modules() if isinstance(module, Fixable)]
    for module in modules:
        module.fix(True)
    try:
        yield
    finally:
        for module in modules:
            module.fix(False)
