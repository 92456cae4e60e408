"""Pictures for ``docs/homomorphisms.md``: how a construction process shrinks, and a basis that the Symmetrizer found.

``python benchmarks/homomorphism_figures.py`` draws ``docs/homomorphism-stages.png`` and ``docs/symmetrizer.png``.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
import torch
from matplotlib import pyplot

from l2o.explain_mdp import examples, stages
from l2o.models.symmetrizer import Representation, basis, cyclic, quarter_turns

DOCS = Path(__file__).parents[1] / "docs"
NODES, SIDE, SHOWN = 6, 5, 8


def draw_stages() -> None:
    """States at each stage, for the instances of ``l2o explain-mdp``."""
    figure, axes = pyplot.subplots(figsize=(9, 4), layout="constrained")
    found = {name: stages(maps) for name, maps in examples(NODES, 0).items()}
    width = 0.2
    for i, stage in enumerate(next(iter(found.values()))):
        bars = axes.bar(
            np.arange(len(found)) + (i - 1.5) * width, [own[i].states for own in found.values()], width,
            label=stage.name,
        )  # fmt: skip
        axes.bar_label(bars, fmt="{:,.0f}", fontsize=7)
    names = [name.replace(", ", "\n") for name in found]
    axes.set(yscale="log", ylabel="states", xticks=range(len(found)), xticklabels=names)
    axes.tick_params(axis="x", labelsize=8)
    figure.legend(loc="outside upper center", ncols=4)
    figure.savefig(DOCS / "homomorphism-stages.png", dpi=120)
    pyplot.close(figure)


def draw_basis() -> None:
    """Filters that quarter turns carry into each other: a column for each of the first elements of a basis."""
    turns = cyclic(4)
    found = basis(turns, Representation.trivial(4) * quarter_turns(SIDE), torch.Generator().manual_seed(0))
    figure, grid = pyplot.subplots(4, SHOWN, figsize=(8, 4), layout="constrained")
    for column, element in zip(grid.T, found[:SHOWN], strict=True):
        for axes, image in zip(column, element.view(4, SIDE, SIDE), strict=True):
            axes.imshow(image, cmap="RdBu", vmin=-0.4, vmax=0.4)
            axes.set_axis_off()
    figure.savefig(DOCS / "symmetrizer.png", dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    draw_stages()
    draw_basis()
