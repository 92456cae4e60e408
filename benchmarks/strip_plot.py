"""Runs as dots, one row for each arm, one panel for each thing that was measured."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path


def strip_plot(
    panels: Mapping[str, Mapping[str, Sequence[float]]], path: Path, *, lines: Mapping[str, float] | None = None
) -> None:
    """Draw ``panels``, by the label of their axis, of the values of each arm's runs; medians are marked by bars.

    ``lines`` are values to compare with, drawn across all panels, by name.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    arms = list(next(iter(panels.values())))
    figure, row = pyplot.subplots(
        1, len(panels), figsize=(4 + 3 * len(panels), 1.2 + 0.4 * len(arms)), sharey=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for axes, (label, found) in zip(row[0], panels.items(), strict=True):
        for height, arm in enumerate(arms):
            (dots,) = axes.plot(found[arm], [height] * len(found[arm]), "o", alpha=0.6)
            axes.plot(statistics.median(found[arm]), height, "|", markersize=18, color=dots.get_color())
        for number, (name, value) in enumerate((lines or {}).items()):
            axes.axvline(value, color="black", linestyle=("--", ":")[number % 2], label=name)
        axes.set(xlabel=label, yticks=range(len(arms)), yticklabels=arms)
        axes.grid(alpha=0.3, axis="x")
    row[0][0].set_ylim(len(arms) - 0.5, -0.5)
    if lines:
        handles, labels = row[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper right", ncols=len(lines))
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
