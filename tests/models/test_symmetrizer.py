"""The Symmetrizer: a projection onto the equivariant maps, of the dimension that characters say, for any group."""

from __future__ import annotations

import pytest
import torch

from l2o.models.symmetrizer import (
    BASES,
    Conv2d,
    Linear,
    Representation,
    basis,
    cyclic,
    dihedral,
    generated,
    quarter_turns,
    symmetric,
    symmetrize,
)

SWAP = Representation(torch.stack([torch.eye(4), -torch.eye(4)]).double())
GROUPS = {
    "C2": (SWAP, Representation.of_permutations([(0, 1), (1, 0)])),
    "C4": (cyclic(4), cyclic(4).regular()),
    "D4": (dihedral(4), dihedral(4).regular()),
    "S3": (symmetric(3) + Representation.trivial(6), symmetric(3).regular()),
    "S4": (symmetric(4), symmetric(4) * symmetric(4)),
}
"""Inputs and outputs; D4 and the symmetric ones do not commute, so that the inverse matters."""


@pytest.fixture(autouse=True)
def double() -> object:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(1)


@pytest.mark.parametrize("name", GROUPS)
def test_symmetrizing_is_a_projection_onto_equivariant_maps(name: str) -> None:
    inputs, outputs = GROUPS[name]
    weight = torch.randn(7, outputs.dim, inputs.dim, generator=seeded())
    once = symmetrize(weight, outputs, inputs)
    torch.testing.assert_close(symmetrize(once, outputs, inputs), once, atol=1e-12, rtol=0)
    for k, g in zip(outputs.matrices, inputs.matrices, strict=True):
        torch.testing.assert_close(k @ once, once @ g, atol=1e-12, rtol=0)
    assert (once - weight).abs().max() > 0.1


@pytest.mark.parametrize("name", GROUPS)
def test_the_dimension_is_what_characters_say(name: str) -> None:
    inputs, outputs = GROUPS[name]
    characters = torch.einsum("gii->g", torch.linalg.inv(outputs.matrices)) * torch.einsum("gii->g", inputs.matrices)
    dimension = round(float(characters.mean()))
    size = outputs.dim * inputs.dim
    expected = {"equivariant": dimension, "nullspace": size - dimension, "random": dimension}
    for kind in BASES:
        found = basis(outputs, inputs, seeded(), kind)
        assert len(found) == expected[kind]
        torch.testing.assert_close(found.flatten(1) @ found.flatten(1).T, torch.eye(len(found)), atol=1e-9, rtol=0)
        averaged = symmetrize(found, outputs, inputs)
        if kind == "equivariant":
            torch.testing.assert_close(averaged, found, atol=1e-9, rtol=0)
        elif kind == "nullspace":
            torch.testing.assert_close(averaged, torch.zeros_like(found), atol=1e-9, rtol=0)
        else:
            assert (averaged - found).abs().max() > 0.01


@pytest.mark.parametrize("name", GROUPS)
def test_a_network_of_such_layers_is_equivariant(name: str) -> None:
    inputs, outputs = GROUPS[name]
    hidden = outputs if name == "S4" else inputs.regular() if name in ("C4", "D4") else outputs
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        Linear(inputs, hidden, (2, 5)), torch.nn.ReLU(), Linear(hidden, hidden, (5, 4)), torch.nn.ReLU(),
        Linear(hidden, outputs, (4, 3)),
    )  # fmt: skip
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(9, 2 * inputs.dim, generator=seeded())
    for k, g in zip(outputs.times(3).matrices, inputs.times(2).matrices, strict=True):
        torch.testing.assert_close(network(x @ g.T), network(x) @ k.T, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("mirrored", [False, True])
def test_convolutions_turn_with_the_image(mirrored: bool) -> None:
    group = dihedral(4) if mirrored else cyclic(4)
    trivial, regular = Representation.trivial(group.order), group.regular()
    first = Conv2d(trivial, regular, (2, 3), quarter_turns(3, mirrored=mirrored))
    second = Conv2d(regular, regular, (3, 2), quarter_turns(3, mirrored=mirrored), padding=1)
    for parameter in [*first.parameters(), *second.parameters()]:
        torch.nn.init.normal_(parameter)
    image = torch.randn(1, 2, 7, 7, generator=seeded())
    plain = second(first(image).relu())
    size = plain.shape[-1]
    images = quarter_turns(7, mirrored=mirrored).matrices
    results = quarter_turns(size, mirrored=mirrored).matrices
    for g in range(group.order):
        moved = (image.flatten(2) @ images[g].T).view_as(image)
        expected = (plain.flatten(2) @ results[g].T).view_as(plain)
        channels = regular.times(2).matrices[g]
        expected = torch.einsum("ab,nbhw->nahw", channels, expected)
        torch.testing.assert_close(second(first(moved).relu()), expected, atol=1e-10, rtol=1e-10)


def test_only_coefficients_are_learned() -> None:
    layer = Linear(SWAP, GROUPS["C2"][1], (1, 64))
    # 8 entries per pair of channels, half of them free, and one number for the offsets of each channel.
    assert sum(p.numel() for p in layer.parameters()) == 64 * 4 + 64


def test_what_goes_out_varies_as_what_comes_in() -> None:
    for kind in BASES:
        layer = Linear(dihedral(4), dihedral(4).regular(), (40, 50), kind=kind)
        x = torch.randn(2_000, 160, generator=seeded())
        assert float(layer(x).detach().var()) == pytest.approx(2.0, rel=0.15)


def test_groups_have_as_many_elements_as_they_should() -> None:
    orders = [representation.order for representation in (cyclic(5), dihedral(4), dihedral(5), symmetric(4))]
    assert orders == [5, 8, 10, 24]
    assert len(generated((1, 2, 0), (1, 0, 2))) == 6
    assert quarter_turns(4).order == 4 and quarter_turns(5, mirrored=True).order == 8
    assert quarter_turns(1).order == 4 and quarter_turns(1, mirrored=True).order == 8


def test_what_is_no_representation_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[G, d, d\]"):
        Representation(torch.ones(2, 3))
    with pytest.raises(ValueError, match="unit"):
        Representation(torch.tensor([[[0.0, 1], [1, 0]]]).double())
    with pytest.raises(ValueError, match="closed"):
        Representation.of_permutations([(0, 1, 2), (1, 2, 0)]).regular()
    with pytest.raises(ValueError, match="expected one of"):
        basis(cyclic(3), cyclic(3), seeded(), "wavelets")
    with pytest.raises(ValueError, match="found representations of 4 and of 1 elements, expected one group"):
        basis(Representation.trivial(1), cyclic(4), seeded())
