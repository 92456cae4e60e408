"""Pictures of instances and solutions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from l2o import outputs
from l2o.files import read, read_solution
from l2o.problems import rules
from l2o.problems.distance import Floats, radians
from l2o.problems.embedding import embedding
from l2o.problems.instance import Instance
from l2o.progress import amount

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Routes = Sequence[Sequence[int]]

INK, PAPER = "#1b1f24", "#ffffff"
COLOURS = ("#2b6ca3", "#d1602e", "#2e8b57", "#8d5bb0", "#b8902a", "#c2476f", "#3fa0b5", "#6b7d2f", "#7a5142", "#5b6cc4")


def plane(instance: Instance) -> Floats:
    """Points ``[n, 2]`` to draw: the coordinates; east and north for ``GEO``; else the plane in which they spread most.

    East is shortened as on the map's middle latitude, so that shapes look right. Nodes that come without coordinates
    are placed by their costs.
    """
    points = embedding(instance) if instance.coords is None else instance.coords
    if instance.metric == "GEO":
        north, east = np.degrees(radians(points)).T
        return np.stack([east * np.cos(np.radians(north.mean())), north], axis=1)
    if points.shape[1] == 2:
        return points
    centred = points - points.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:2]
    return np.asarray(centred @ axes.T)


def draw(path: Path, instance: Instance, routes: Routes | None, cost: float | None) -> None:
    """Draw the nodes of ``instance`` and, if given, ``routes`` and what they ``cost``, into a .png or .svg file."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    points = plane(instance)
    wide, high = np.ptp(points, axis=0)
    height = float(np.clip(8 * high / wide, 3, 12)) if wide > 0 else 8.0
    figure = Figure(figsize=(8, height + 0.4), layout="constrained", facecolor=PAPER)
    axes = figure.add_subplot()
    diameter = float(np.clip(60 / np.sqrt(instance.n), 0.5, 5.0))
    if routes is not None and instance.n > 1:
        _draw_routes(axes, points, routes, has_depot=instance.has_depot, width=max(0.4, diameter / 3.5))
    axes.scatter(points[:, 0], points[:, 1], s=diameter**2, color=INK, linewidths=0, zorder=3)
    if instance.has_depot:
        axes.scatter(
            points[:1, 0], points[:1, 1], s=110, marker="s", color=INK, edgecolors=PAPER, linewidths=1.5, zorder=4
        )
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.03)
    axes.set_axis_off()
    axes.set_title(title(instance, routes, cost), fontsize=12, color=INK)
    with rc_context({"svg.fonttype": "none"}):
        figure.savefig(path, dpi=150)


def title(instance: Instance, routes: Routes | None, cost: float | None) -> str:
    """Name, size, cost and gap, as far as they are known."""
    parts = [instance.name.replace("$", r"\$"), f"{instance.n:,} nodes"]
    if routes is not None and instance.has_depot:
        parts.append(f"{len(routes)} routes")
    if cost is not None:
        parts.append(f"cost {amount(cost)}")
    if cost is not None and instance.best_known:
        parts.append(f"gap {100 * (cost / instance.best_known - 1):.2f} %")
    return "  ·  ".join(parts)


def _draw_routes(axes: Axes, points: Floats, routes: Routes, *, has_depot: bool, width: float) -> None:
    for route, colour in zip(routes, _colours(points, routes), strict=True):
        closed = [*route] if has_depot else [*route, route[0]]
        axes.plot(*points[closed].T, color=colour, linewidth=width, solid_joinstyle="round", zorder=2)
        if has_depot:
            # The ways from and to the depot cross everything else: pale.
            axes.plot(*points[[route[0], 0, route[-1]]].T, color=colour, linewidth=width / 2, alpha=0.35, zorder=1)


def _colours(points: Floats, routes: Routes) -> list[str]:
    """One for each route; routes that leave the depot side by side differ."""
    if len(routes) == 1:
        return [COLOURS[0]]
    middle = np.array([points[list(route)].mean(axis=0) for route in routes]) - points[0]
    rank = np.argsort(np.argsort(np.arctan2(middle[:, 1], middle[:, 0])))
    return [COLOURS[place % len(COLOURS)] for place in rank]


def plot_file(
    file: str, solution: str | None, output: str, *, rounding: str | None = None, vehicles: int | None = None
) -> None:
    """Draw the instance in ``file`` and the solution in the file ``solution`` to ``output``.

    Raises :class:`InvalidInstance` for files that cannot be read or written and
    :class:`~l2o.problems.instance.Infeasible` for a solution that breaks a rule.
    """
    path = Path(output)
    outputs.check(path, outputs.PICTURES)
    instance = read(file, rounding=rounding, vehicles=vehicles)
    routes, cost = None, None
    if solution is not None:
        routes = read_solution(solution, instance)
        cost = rules.find(instance.problem).check(instance, routes)
    with outputs.writing(path):
        draw(path, instance, routes, cost)
