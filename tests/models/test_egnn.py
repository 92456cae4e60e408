"""The layer against the paper's equations written out, and its two forms against each other."""

from __future__ import annotations

import itertools
from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from l2o.models.egnn import EGNN, Stability
from l2o.models.egnn_sparse import SparseEGNN

WIDTH, MESSAGE, EDGE = 6, 5, 2
FORMS = [Stability(), Stability.paper()] + [
    replace(Stability(), **{f.name: not getattr(Stability(), f.name)}) for f in fields(Stability)
]


def layer(stability: Stability, *, coordinates: bool = True) -> EGNN:
    torch.manual_seed(0)
    made = EGNN(WIDTH, MESSAGE, EDGE, coordinates=coordinates, stability=stability).double()
    if made.phi_x is not None:
        torch.nn.init.normal_(made.phi_x[-1].weight)  # type: ignore[arg-type]
    return made


def graph(nodes: int = 5, dim: int = 2, seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return draw(nodes, WIDTH), draw(nodes, dim), draw(nodes, nodes, EDGE)


def rotation(dim: int, seed: int = 0) -> Tensor:
    q: Tensor = torch.linalg.qr(torch.randn(dim, dim, generator=torch.Generator().manual_seed(seed)).double())[0]
    return q


def test_paper_form_is_equations_3_to_6() -> None:
    net = layer(Stability.paper())
    h, x, a = graph()
    joint = torch.cat([net.receive.weight, net.send.weight, net.measure.weight], dim=1)
    expected_h, expected_x = [], []
    silu = torch.nn.functional.silu
    assert net.phi_e is not None and net.phi_x is not None
    for i in range(5):
        total, moved = torch.zeros(MESSAGE, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
        for j in range(5):
            if i == j:
                continue
            squared = ((x[i] - x[j]) ** 2).sum().view(1)
            hidden = joint @ torch.cat([h[i], h[j], squared, a[i, j]]) + net.receive.bias
            message = silu(net.phi_e(silu(hidden)))
            total = total + message
            moved = moved + (x[i] - x[j]) * net.phi_x(message) / 4
        expected_h.append(h[i] + net.phi_h(torch.cat([h[i], total])))
        expected_x.append(x[i] + moved)
    got_h, got_x = net(h[None], x[None], torch.ones(1, 5, dtype=torch.bool), a[None])
    torch.testing.assert_close(got_h[0], torch.stack(expected_h), atol=1e-12, rtol=0)
    torch.testing.assert_close(got_x[0], torch.stack(expected_x), atol=1e-12, rtol=0)


@pytest.mark.parametrize("stability", FORMS, ids=str)
@pytest.mark.parametrize("coordinates", [True, False])
def test_dense_and_sparse_agree(stability: Stability, coordinates: bool) -> None:
    net = layer(stability, coordinates=coordinates)
    h, x, a = graph(dim=3)
    pairs = [(j, i) for i, j in itertools.product(range(5), repeat=2) if i != j]
    edge_index = torch.tensor(pairs).T
    sparse_h, sparse_x = SparseEGNN(net)(h, x, edge_index, a[edge_index[1], edge_index[0]])
    dense_h, dense_x = net(h[None], x[None], torch.ones(1, 5, dtype=torch.bool), a[None])
    torch.testing.assert_close(dense_h[0], sparse_h, atol=1e-9, rtol=0)
    torch.testing.assert_close(dense_x[0], sparse_x, atol=1e-9, rtol=0)
    assert torch.equal(dense_x[0], x) != coordinates


@pytest.mark.parametrize("stability", FORMS, ids=str)
@pytest.mark.parametrize("dim", [2, 3])
def test_equivariant_under_rotation_reflection_and_translation(stability: Stability, dim: int) -> None:
    net = layer(stability)
    h, x, a = graph(dim=dim)
    turn, shift = rotation(dim), torch.full((dim,), 3.5, dtype=torch.float64)
    valid = torch.ones(1, 5, dtype=torch.bool)
    plain_h, plain_x = net(h[None], x[None], valid, a[None])
    for reflect in (1.0, -1.0):
        matrix = turn.clone()
        matrix[0] *= reflect
        moved_h, moved_x = net(h[None], (x @ matrix.T + shift)[None], valid, a[None])
        torch.testing.assert_close(moved_h, plain_h, atol=1e-9, rtol=0)
        torch.testing.assert_close(moved_x, plain_x @ matrix.T + shift, atol=1e-9, rtol=0)


def test_padding_changes_nothing() -> None:
    net = layer(Stability())
    h, x, a = graph(nodes=7)
    valid = torch.tensor([[True] * 5 + [False] * 2])
    padded_h, padded_x = net(h[None], x[None], valid, a[None])
    plain_h, plain_x = net(h[None, :5], x[None, :5], valid[:, :5], a[None, :5, :5])
    torch.testing.assert_close(padded_h[:, :5], plain_h, atol=1e-12, rtol=0)
    torch.testing.assert_close(padded_x[:, :5], plain_x, atol=1e-12, rtol=0)


@pytest.mark.parametrize("stability", [Stability(), Stability.paper()], ids=["stable", "paper"])
@pytest.mark.parametrize("coordinates", [True, False])
def test_fewer_receivers_get_the_same(stability: Stability, coordinates: bool) -> None:
    net = layer(stability, coordinates=coordinates)
    h, x, a = graph(nodes=7)
    valid = torch.tensor([[True] * 6 + [False]])
    all_h, all_x = net(h[None], x[None], valid, a[None])
    some_h, some_x = net(h[None], x[None], valid, a[None], receivers=3)
    torch.testing.assert_close(some_h, all_h[:, :3], atol=1e-12, rtol=0)
    torch.testing.assert_close(some_x, all_x[:, :3], atol=1e-12, rtol=0)


@pytest.mark.parametrize("stability", [Stability(), Stability.paper()], ids=["stable", "paper"])
def test_coincident_nodes_have_finite_slopes(stability: Stability) -> None:
    net = layer(stability)
    h, x, a = graph()
    x[1] = x[0]
    position = x.clone().requires_grad_()
    edge_index = torch.tensor([[0, 1, 2], [1, 0, 0]])
    dense = net(h[None], position[None], torch.ones(1, 5, dtype=torch.bool), a[None])
    sparse = SparseEGNN(net)(h, position, edge_index, a[edge_index[1], edge_index[0]])
    for out_h, out_x in (dense, sparse):
        (slope,) = torch.autograd.grad(out_h.sum() + out_x.sum(), position)
        assert slope.isfinite().all()
