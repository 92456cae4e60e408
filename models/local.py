"""The local policy: EGNN layers over the complete graph of a patch, which is read anew at every decision.

Logits are invariant under E(n) and scale and equivariant under renumbering, by construction; the network never sees a
coordinate outside the EGNN's distances. Untrained, it is a soft nearest neighbour.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from l2o.models.egnn import EGNN
from l2o.models.patch import CANDIDATES, Patch
from l2o.models.patch_policy import PatchPolicy, Shape


@dataclass(frozen=True)
class Config(Shape):
    """The shape of the network."""

    kind: str = "local"
    coordinates: bool = False
    """Whether the layers move coordinates (eq. 4 of the EGNN paper)."""
    encoder: int = 0
    """EGNN layers over the k-NN graph of the whole instance, run once before the first decision; 0 for none."""
    neighbours: int = 10
    """Neighbours of a node in that graph."""
    raw: bool = False
    """Whether nodes are also told their raw coordinates in the plane. It breaks the symmetry, for comparison only."""


class Policy(PatchPolicy):
    """Patch in, logits ``[P, k, moves]`` out."""

    config: Config

    def __init__(self, config: Config, *, features: int, moves: int) -> None:
        """``features`` and ``moves`` are the problem's."""
        super().__init__(config, features=features, moves=moves, raw=config.raw)
        if config.encoder:
            # Imported where it is wanted: PyG takes longer to load than most files take to solve.
            from l2o.models.encoder import InstanceEncoder

            self.encoder = InstanceEncoder(config.width, config.message, config.encoder, config.neighbours)

    def layer(self, number: int) -> nn.Module:
        """An EGNN layer; coordinates that the last one moved would be of no use."""
        config = self.config
        moving = config.coordinates and number < config.depth - 1
        return EGNN(config.width, config.message, 3, coordinates=moving)

    def pass_messages(self, patch: Patch, h: Tensor, distance: Tensor, edge: Tensor) -> Tensor:
        """See :class:`PatchPolicy`."""
        pos = patch.pos
        length: Tensor | None = distance
        for number, layer in enumerate(self.layers, start=1):
            # What the last layer makes of the sight beyond the candidates, nobody reads.
            receivers = CANDIDATES + self.config.candidates if number == len(self.layers) else None
            h, pos = layer(h, pos, patch.valid, edge, length=length, receivers=receivers)
            length = None if self.config.coordinates else length
        return h
