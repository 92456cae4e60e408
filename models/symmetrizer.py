"""The Symmetrizer: layers that are equivariant under any finite group, with nothing but coefficients to be learned.

Source: E. van der Pol, D. Worrall, H. van Hoof, F. Oliehoek, M. Welling, "MDP homomorphic networks: group symmetries in
reinforcement learning", 2020, section 3.2 and algorithm 1. A linear map W is equivariant if ``K_g W = W L_g`` for every
element g, L and K being what g does to inputs and to outputs. These maps are a vector space. A basis of it is found by
averaging random maps over the group, which projects them into it, and by a singular value decomposition of the result.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from l2o.models.fixable import Fixable

SPARE = 5
"""Random maps more than there are dimensions, so that none is missed by chance."""
TOLERANCE = 1e-9
"""Singular values below this share of the largest are zero."""
BASES = ("equivariant", "nullspace", "random")


@dataclass(frozen=True)
class Representation:
    """What each element of a group does to vectors: matrices that multiply as the elements do."""

    matrices: Tensor
    """``[G, d, d]`` float64, the unit element first."""

    def __post_init__(self) -> None:
        if self.matrices.dim() != 3 or self.matrices.shape[1] != self.matrices.shape[2]:
            raise ValueError(f"found matrices of shape {tuple(self.matrices.shape)}, expected [G, d, d]")
        if not torch.allclose(self.matrices[0], torch.eye(self.dim, dtype=self.matrices.dtype)):
            raise ValueError("the first matrix must be the unit: that element does nothing")

    @property
    def order(self) -> int:
        """How many elements the group has."""
        return len(self.matrices)

    @property
    def dim(self) -> int:
        """Of the vectors."""
        return self.matrices.shape[1]

    @classmethod
    def of_permutations(cls, permutations: Sequence[Sequence[int]]) -> Representation:
        """Each element moves entry ``i`` to place ``permutation[i]``."""
        rows = torch.tensor([list(p) for p in permutations])
        count, d = rows.shape
        matrices = torch.zeros(count, d, d, dtype=torch.float64)
        matrices[torch.arange(count).unsqueeze(1), rows, torch.arange(d)] = 1.0
        return cls(matrices)

    @classmethod
    def trivial(cls, order: int) -> Representation:
        """One number that no element changes."""
        return cls(torch.ones(order, 1, 1, dtype=torch.float64))

    def regular(self) -> Representation:
        """What the elements do to functions on the group: entry h moves to gh. These matrices must all differ.

        Raises:
            ValueError: the matrices are no group, or two elements have the same.
        """
        products = torch.einsum("gij,hjk->ghik", self.matrices, self.matrices)
        apart = (products.unsqueeze(2) - self.matrices).abs().amax(dim=(-2, -1))
        same = apart < 1e-6
        if not (same.sum(dim=2) == 1).all():
            raise ValueError("the matrices are not closed under products, or not faithful")
        return Representation.of_permutations(same.long().argmax(dim=2).tolist())

    def __add__(self, other: Representation) -> Representation:
        """Both side by side (the direct sum)."""
        size = self.dim + other.dim
        both = self.matrices.new_zeros(self.order, size, size)
        both[:, : self.dim, : self.dim] = self.matrices
        both[:, self.dim :, self.dim :] = other.matrices
        return Representation(both)

    def __mul__(self, other: Representation) -> Representation:
        """Every entry of one times every entry of the other (the tensor product)."""
        pairs = zip(self.matrices, other.matrices, strict=True)
        return Representation(torch.stack([torch.kron(a, b) for a, b in pairs]))

    def times(self, count: int) -> Representation:
        """So many side by side."""
        unit = torch.eye(count, dtype=torch.float64)
        return Representation(torch.stack([torch.kron(unit, matrix) for matrix in self.matrices]))


def generated(*generators: Sequence[int]) -> list[tuple[int, ...]]:
    """All products of permutations, the unit first."""
    unit = tuple(range(len(generators[0])))
    found = {unit: None}
    frontier = [unit]
    while frontier:
        new = [tuple(g[i] for i in p) for p in frontier for g in generators]
        frontier = list(dict.fromkeys(p for p in new if p not in found))
        found |= dict.fromkeys(frontier)
    return list(found)


def cyclic(n: int) -> Representation:
    """``C_n``: turns of ``n`` things in a ring."""
    return Representation.of_permutations(generated([(i + 1) % n for i in range(n)]))


def dihedral(n: int) -> Representation:
    """``D_n``: turns and reflections of the corners of a regular polygon, ``n`` three at least."""
    return Representation.of_permutations(generated([(i + 1) % n for i in range(n)], [-i % n for i in range(n)]))


def symmetric(n: int) -> Representation:
    """``S_n``: all permutations."""
    return Representation.of_permutations(list(itertools.permutations(range(n))))


def quarter_turns(side: int, *, mirrored: bool = False) -> Representation:
    """What ``C_4`` or, mirrored too, ``D_4`` does to the pixels of a square, ``[side * side]`` by rows.

    The order of the elements is that of :func:`cyclic` and :func:`dihedral` with 4.
    """
    pixels = torch.arange(side * side).view(side, side)

    def moved(image: Tensor) -> list[int]:
        """Where each pixel goes: ``image`` says which pixel is where now."""
        return torch.argsort(image.flatten()).tolist()

    turn, flip = moved(torch.rot90(pixels)), moved(pixels.flip(1))
    corners = ([(i + 1) % 4 for i in range(4)], [-i % 4 for i in range(4)])
    if not mirrored:
        return Representation.of_permutations(generated(turn) if side > 1 else [(0,)] * 4)
    if side == 1:
        return Representation.of_permutations([(0,)] * 8)
    # Both groups are listed in the order in which the same words of generators first reach their elements.
    both = generated([*corners[0], *(4 + p for p in turn)], [*corners[1], *(4 + p for p in flip)])
    return Representation.of_permutations([[p - 4 for p in element[4:]] for element in both])


def upside_down(side: int) -> Representation:
    """What turning a square image upside down does to its pixels, ``[side * side]`` by rows; the group is C_2."""
    pixels = torch.arange(side * side).view(side, side)
    return Representation.of_permutations([pixels.flatten().tolist(), pixels.flip(0).flatten().tolist()])


def symmetrize(weight: Tensor, outputs: Representation, inputs: Representation) -> Tensor:
    """The mean over the group of ``K_g^-1 W L_g`` for ``weight [..., out, in]``: the nearest equivariant map.

    Raises:
        ValueError: the representations are of groups of different order.
    """
    if outputs.order != inputs.order:
        raise ValueError(f"found representations of {inputs.order} and of {outputs.order} elements, expected one group")
    inverse = torch.linalg.inv(outputs.matrices)
    return torch.einsum("goi,...ij,gjk->...ok", inverse, weight, inputs.matrices) / outputs.order


def basis(outputs: Representation, inputs: Representation, generator: Generator, kind: str = "equivariant") -> Tensor:
    """``[r, out, in]`` an orthonormal basis of the equivariant maps, ``r`` being their dimension.

    Or, to compare with: ``nullspace``, of the maps that symmetrize to zero; ``random``, of as many random maps as there
    are equivariant ones.
    """
    if kind not in BASES:
        raise ValueError(f"found basis {kind!r}, expected one of {', '.join(BASES)}")
    size = outputs.dim * inputs.dim
    drawn = torch.randn(size + SPARE, outputs.dim, inputs.dim, generator=generator, dtype=torch.float64)
    projected = symmetrize(drawn, outputs, inputs)
    rank = len(_span(projected.flatten(1)))
    if kind == "nullspace":
        projected = drawn - projected
    elif kind == "random":
        projected = drawn[:rank]
    return _span(projected.flatten(1)).view(-1, outputs.dim, inputs.dim)


def _span(vectors: Tensor) -> Tensor:
    """``[r, d]`` an orthonormal basis of what ``vectors [m, d]`` span."""
    _, size, right = torch.linalg.svd(vectors, full_matrices=False)
    spanning: Tensor = right[size > TOLERANCE * max(float(size[0]), 1.0)]
    return spanning


class Linear(Fixable):
    """A linear layer between channels that each carry a representation; its weights are coefficients of a basis."""

    def __init__(
        self,
        inputs: Representation,
        outputs: Representation,
        channels: tuple[int, int],
        *,
        bias: bool = True,
        kind: str = "equivariant",
        generator: Generator | None = None,
    ) -> None:
        """``channels`` are how many come in and go out, each of the dimension of its representation."""
        super().__init__()
        generator = generator or Generator().manual_seed(0)
        self.channels, self.dims = channels, (inputs.dim, outputs.dim)
        found = basis(outputs, inputs, generator, kind)
        offsets = basis(outputs, Representation.trivial(outputs.order), generator, kind)[:, :, 0]
        self.register_buffer("basis", found.to(torch.get_default_dtype()))
        self.register_buffer("bias_basis", offsets.to(torch.get_default_dtype()))
        self.basis: Tensor
        self.bias_basis: Tensor
        into, out = channels
        # He et al. (2015): what goes out varies as much as what comes in, times two for a ReLU that follows.
        spread = math.sqrt(2 * outputs.dim / max(1, into * len(found)))
        self.coefficients = nn.Parameter(spread * torch.randn(out, into, len(found), generator=generator))
        self.bias = nn.Parameter(torch.zeros(out, len(offsets))) if bias else None
        self._kept: tuple[Tensor, Tensor | None] | None = None

    def weight(self) -> Tensor:
        """``[out * d_out, in * d_in]``"""
        into, out = self.channels
        whole = torch.einsum("oir,rab->oaib", self.coefficients, self.basis)
        return whole.reshape(out * self.dims[1], into * self.dims[0])

    def offset(self) -> Tensor | None:
        """``[out * d_out]``"""
        return None if self.bias is None else (self.bias @ self.bias_basis).flatten()

    def combined(self) -> tuple[Tensor, Tensor | None]:
        """Weights and offsets, ready for use."""
        return self._kept or (self.weight(), self.offset())

    def fix(self, fixed: bool) -> None:
        """Whether :meth:`combined` goes on giving what it gives now."""
        self._kept = (self.weight(), self.offset()) if fixed else None

    def forward(self, x: Tensor) -> Tensor:
        """``[..., in * d_in]`` to ``[..., out * d_out]``."""
        return nn.functional.linear(x, *self.combined())


class Conv2d(nn.Module):
    """A convolution whose filters turn with the image: outputs turn with it, and their channels permute.

    The group must act on the pixels of a filter; see :func:`quarter_turns`.
    """

    def __init__(
        self,
        inputs: Representation,
        outputs: Representation,
        channels: tuple[int, int],
        pixels: Representation,
        *,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
        kind: str = "equivariant",
        generator: Generator | None = None,
    ) -> None:
        """``pixels`` is what the group does to a filter of ``k * k``."""
        super().__init__()
        self.size, self.stride, self.padding = math.isqrt(pixels.dim), stride, padding
        self.linear = Linear(inputs * pixels, outputs, channels, bias=bias, kind=kind, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, in * d_in, h, w]`` to ``[B, out * d_out, h', w']``."""
        weight, offset = self.linear.combined()
        filters = weight.view(len(weight), -1, self.size, self.size)
        return nn.functional.conv2d(x, filters, offset, stride=self.stride, padding=self.padding)
