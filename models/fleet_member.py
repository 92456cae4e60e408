"""One agent of a fleet on its own: it knows its own observation and what comes through pipes from those it hears.

The joint pass of :class:`l2o.models.fleet.Fleet` computes the same for all agents at once, as in training. The
value of the team is needed there alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from multiprocessing.connection import Connection

import numpy as np
import torch
from torch import Tensor

from l2o.models.fleet import Fleet


class Member:
    """A fleet's network, run by one agent; all agents of the fleet must do so at the same time."""

    def __init__(self, network: Fleet, links: Mapping[int, Connection]) -> None:
        """``links`` go to the other agents, by their numbers."""
        self.network, self.links = network, links

    @torch.no_grad()
    def logits(self, image: Tensor, offset: Tensor, heard: Tensor) -> Tensor:
        """``[actions]`` for what this agent sees, ``image [channels, side, side]``, whom it hears, ``heard [A]``, and
        where those are, ``offset [A, 2]``. Every round it tells each of them one thing and is told one."""
        near = [agent for agent in self.links if heard[agent]]
        feature: Tensor = self.network.eye(image.unsqueeze(0))[0]
        for listen in self.network.rounds:
            for agent in near:
                self.links[agent].send(feature.numpy())
            told = feature.new_zeros(len(near), len(feature))
            for place, agent in enumerate(near):
                told[place] = torch.from_numpy(self.links[agent].recv())
            feature = listen(feature, told, offset[near], heard[near])
        logits: Tensor = self.network.policy(feature)
        return logits


def serve(network: Fleet, control: Connection, links: Mapping[int, Connection]) -> None:
    """The life of an agent's process: logits for every observation that comes through ``control``, until ``None``."""
    torch.set_num_threads(1)
    member = Member(network, links)
    while (seen := control.recv()) is not None:
        own = {name: torch.from_numpy(np.asarray(part)) for name, part in seen.items()}
        control.send(member.logits(**own).numpy())
