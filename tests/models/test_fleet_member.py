"""Local execution: agents in processes of their own, with observations and pipes, do what the joint pass says."""

from __future__ import annotations

import itertools
import multiprocessing
from multiprocessing.connection import Connection

import pytest
import torch

from l2o.models import fleet
from l2o.models.fleet_member import serve
from l2o.problems.fleet import Fleets
from l2o.problems.traffic import Junctions
from l2o.problems.wildlife import Drones


@pytest.mark.parametrize("name", ["wildlife", "traffic"])
def test_agents_in_processes_of_their_own_do_what_the_joint_pass_says(name: str) -> None:
    # Processes that are forked from a fresh server have nothing of this one's memory.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["l2o.models.fleet_member"])
    worlds: Fleets = Drones(1) if name == "wildlife" else Junctions(1)
    network = getattr(fleet, name)("equivariant", torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(len(parameter))).mul_(0.1)
    links: list[dict[int, Connection]] = [{} for _ in range(worlds.agents)]
    for i, j in itertools.combinations(range(worlds.agents), 2):
        links[i][j], links[j][i] = context.Pipe()
    controls, processes = [], []
    for own in links:
        control, theirs = context.Pipe()
        processes.append(context.Process(target=serve, args=(network, theirs, own), daemon=True))
        processes[-1].start()
        controls.append(control)
    seen, _ = worlds.reset(seed=3)
    generator = torch.Generator().manual_seed(4)
    heard, decided = set(), set()
    for _ in range(25):
        doubles = {part: values.astype("float64") for part, values in seen.items()}
        for i, control in enumerate(controls):
            control.send({part: values[0, i] for part, values in doubles.items()})
        assert all(control.poll(60) for control in controls)
        apart = torch.stack([torch.from_numpy(control.recv()) for control in controls])
        with torch.no_grad():
            joint = network({part: torch.from_numpy(values) for part, values in doubles.items()})[0][0]
        torch.testing.assert_close(apart, joint, atol=1e-12, rtol=0)
        # Gumbel's trick: with the same noise, the same samples.
        noise = -(-torch.rand(joint.shape, generator=generator).double().log()).log()
        actions = (apart + noise).argmax(dim=1)
        assert torch.equal(actions, (joint + noise).argmax(dim=1))
        decided.update(actions.tolist())
        heard.add(int(seen["heard"].sum()))
        seen, *_ = worlds.step(actions.unsqueeze(0).numpy())
    assert len(decided) > 1 and (heard == {8} if name == "traffic" else len(heard) > 1)
    for control, process in zip(controls, processes, strict=True):
        control.send(None)
        process.join(60)
        assert process.exitcode == 0
