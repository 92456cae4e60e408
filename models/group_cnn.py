"""Convolutions that are equivariant under quarter turns: every filter is used in its four orientations (the group p4).

Source: T. Cohen, M. Welling, "Group equivariant convolutional networks", 2016, section 6.
Channels come in fours, an answer for each orientation. When the image turns by a quarter, the answers turn with it and
move on to the next orientation.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor, nn

TURNS = 4


class TurningConv2d(nn.Module):
    """A convolution from images, or from fours of channels, to fours of channels."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        *,
        lifting: bool = False,
        stride: int = 1,
        generator: Generator | None = None,
    ) -> None:
        """``lifting``: what comes in are ordinary channels, not fours of them."""
        super().__init__()
        self.stride = stride
        shape = (outputs, inputs, 1 if lifting else TURNS, size, size)
        # He et al. (2015), for a ReLU that follows.
        spread = math.sqrt(2 / math.prod(shape[1:]))
        self.weight = nn.Parameter(spread * torch.randn(shape, generator=generator))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def filters(self) -> Tensor:
        """``[outputs * 4, inputs * 4 or inputs, size, size]`` all orientations of the filters."""
        turned = [self.weight.rot90(turn, (3, 4)).roll(turn, 2) for turn in range(TURNS)]
        return torch.stack(turned, dim=1).flatten(2, 3).flatten(0, 1)

    def offsets(self) -> Tensor:
        """``[outputs * 4]``"""
        return self.bias.repeat_interleave(TURNS)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, inputs * 4 or inputs, h, w]`` to ``[B, outputs * 4, h', w']``."""
        return nn.functional.conv2d(x, self.filters(), self.offsets(), stride=self.stride)


class TurningLinear(TurningConv2d):
    """The same where nothing is left of the image but fours of numbers."""

    def __init__(self, inputs: int, outputs: int, *, generator: Generator | None = None) -> None:
        super().__init__(inputs, outputs, 1, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, inputs * 4]`` to ``[B, outputs * 4]``."""
        return nn.functional.linear(x, self.filters()[:, :, 0, 0], self.offsets())


class TurningValue(nn.Module):
    """One number that turning does not change: of the means over the orientations."""

    def __init__(self, inputs: int, *, generator: Generator | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, inputs, generator=generator) / math.sqrt(inputs))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, inputs * 4]`` to ``[B, 1]``."""
        return nn.functional.linear(x.view(len(x), -1, TURNS).mean(dim=2), self.weight, self.bias)


class TurningPolicy(nn.Module):
    """Logits of the four directions of the compass, which turn, and of staying, which does not."""

    def __init__(self, inputs: int, *, generator: Generator | None = None) -> None:
        super().__init__()
        self.go = TurningLinear(inputs, 1, generator=generator)
        self.stay = TurningValue(inputs, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, inputs * 4]`` to ``[B, 5]``."""
        return torch.cat([self.go(x), self.stay(x)], dim=1)
