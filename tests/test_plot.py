"""Pictures show the routes they are given, and are drawn of every kind of instance."""

import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from l2o.files import read, read_solution
from l2o.plot import COLOURS, draw, plane, plot_file
from l2o.problems.instance import Infeasible, Instance

DATA = Path(__file__).parent / "data"


def colours_in(picture: Path) -> set[str]:
    """Those of the palette that cover at least a few pixels."""
    pixels = np.asarray(imread(picture))[..., :3].reshape(-1, 3)
    return {colour for colour in COLOURS if (np.abs(pixels - to_rgb(colour)).max(axis=1) < 0.01).sum() > 20}


def test_a_tour_has_one_colour_and_nodes_alone_have_none(tmp_path: Path) -> None:
    plot_file(str(DATA / "berlin52.tsp"), None, str(tmp_path / "nodes.png"))
    plot_file(str(DATA / "berlin52.tsp"), str(DATA / "berlin52.opt.tour"), str(tmp_path / "tour.png"))
    assert colours_in(tmp_path / "nodes.png") == set()
    assert colours_in(tmp_path / "tour.png") == {COLOURS[0]}


def test_every_route_has_its_colour_and_the_title_says_what_it_costs(tmp_path: Path) -> None:
    file, solution = DATA / "P-n16-k8.vrp", DATA / "P-n16-k8.sol"
    routes = read_solution(solution, read(file))
    several = [route for route in routes if len(route) > 1]
    plot_file(str(file), str(solution), str(tmp_path / "routes.png"))
    assert len(several) - 1 <= len(colours_in(tmp_path / "routes.png")) <= len(routes)
    plot_file(str(file), str(solution), str(tmp_path / "routes.svg"))
    assert re.search(
        "P-n16-k8 .* 16 nodes .* 8 routes .* cost 450 .* gap 0.00 %", (tmp_path / "routes.svg").read_text()
    )


@pytest.mark.parametrize("file", ["burma14.tsp", "bays29.tsp", "gr17.tsp", "eil7.vrp", "att48.tsp"])
def test_the_globe_matrices_and_other_metrics(file: str, tmp_path: Path) -> None:
    draw(tmp_path / "nodes.png", read(DATA / file), None, None)
    assert imread(tmp_path / "nodes.png").std() > 0.01


def test_the_plane_of_a_flat_instance_in_space_keeps_its_distances() -> None:
    rng = np.random.default_rng(0)
    flat = np.pad(rng.normal(size=(20, 2)), ((0, 0), (0, 1)))
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    instance = Instance("flat", "tsp", "EUC_3D", "none", np.arange(20), coords=flat @ turn + 7)
    drawn = plane(instance)
    apart = np.linalg.norm(flat[:, None] - flat, axis=-1)
    assert np.linalg.norm(drawn[:, None] - drawn, axis=-1) == pytest.approx(apart)


@pytest.mark.parametrize("coords", [[[3.0, 4.0]], [[3.0, 4.0]] * 3, [[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 9.0]]])
def test_points_on_one_spot_or_line(coords: list[list[float]], tmp_path: Path) -> None:
    n = len(coords)
    instance = Instance("$few_$", "tsp", "EUC_2D", "nearest", np.arange(n), coords=np.array(coords))
    draw(tmp_path / "few.png", instance, (tuple(range(n)),), 0.0)
    assert imread(tmp_path / "few.png").std() > 0


def test_a_depot_without_customers(tmp_path: Path) -> None:
    coords, demand = np.zeros((1, 2)), np.zeros(1)
    instance = Instance("none", "cvrp", "EUC_2D", "nearest", np.arange(1), coords=coords, demand=demand, capacity=1.0)
    draw(tmp_path / "none.svg", instance, (), 0.0)
    assert "0 routes" in (tmp_path / "none.svg").read_text()


def test_a_solution_that_breaks_a_rule_is_not_drawn(tmp_path: Path) -> None:
    solution = tmp_path / "all.sol"
    solution.write_text("Route #1: " + " ".join(map(str, range(1, 16))) + "\n")
    with pytest.raises(Infeasible, match="capacity"):
        plot_file(str(DATA / "P-n16-k8.vrp"), str(solution), str(tmp_path / "all.png"))
    assert not (tmp_path / "all.png").exists()
