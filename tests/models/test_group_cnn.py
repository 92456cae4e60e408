"""Filters in four orientations: equivariant as the Symmetrizer says, and with all the freedom that it finds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from l2o.models.group_cnn import TurningConv2d, TurningLinear, TurningPolicy, TurningValue
from l2o.models.symmetrizer import Representation, basis, cyclic, quarter_turns, symmetrize

GROUP = cyclic(4).regular()
ONE = Representation.trivial(4)


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("lifting", [True, False])
@pytest.mark.parametrize("size", [1, 4, 5])
def test_all_equivariant_filters_and_no_others(lifting: bool, size: int) -> None:
    inputs = (ONE if lifting else GROUP) * quarter_turns(size)
    layer = TurningConv2d(1, 1, size, lifting=lifting, generator=seeded(0))
    filters = layer.filters().flatten(1)
    assert filters.shape == (4, inputs.dim)
    torch.testing.assert_close(symmetrize(filters, GROUP, inputs), filters, atol=1e-12, rtol=0)
    assert layer.weight.numel() == len(basis(GROUP, inputs, seeded(1)))


def test_a_network_turns_with_the_image() -> None:
    first = TurningConv2d(2, 3, 7, lifting=True, stride=2, generator=seeded(0))
    second, third = TurningConv2d(3, 2, 5, generator=seeded(1)), TurningLinear(2, 6, generator=seeded(2))
    policy, value = TurningPolicy(6, generator=seeded(3)), TurningValue(6, generator=seeded(4))
    for layer in (first, second, third, policy, value):
        for parameter in layer.parameters():
            torch.nn.init.normal_(parameter, generator=seeded(5))

    def network(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        answers = second(first(image).relu())
        features = third(answers.amax(dim=(2, 3))).relu()
        return answers, policy(features), value(features)

    image = torch.randn(3, 2, 21, 21, generator=seeded(6))
    answers, logits, worth = network(image)
    for turn in range(1, 4):
        turned, turned_logits, turned_worth = network(image.rot90(turn, (2, 3)))
        fours = answers.rot90(turn, (2, 3)).reshape(3, -1, 4, *answers.shape[2:])
        moved_on = fours.roll(turn, 2).flatten(1, 2)
        torch.testing.assert_close(turned, moved_on, atol=1e-10, rtol=1e-10)
        torch.testing.assert_close(turned_worth, worth, atol=1e-10, rtol=1e-10)
        expected = torch.cat([logits[:, :4].roll(turn, 1), logits[:, 4:]], dim=1)
        torch.testing.assert_close(turned_logits, expected, atol=1e-10, rtol=1e-10)
        assert (expected - logits).abs().max() > 0.1


def test_what_goes_out_varies_as_what_comes_in() -> None:
    layer = TurningLinear(40, 50, generator=seeded(0))
    x = torch.randn(2_000, 160, generator=seeded(1))
    assert float(layer(x).detach().var()) == pytest.approx(2.0, rel=0.15)
