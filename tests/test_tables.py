"""Plain coordinates as CSV and NPY."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2o.files import read
from l2o.problems.instance import Instance, InvalidInstance


def read_text(folder: Path, text: str) -> Instance:
    path = folder / "x.csv"
    path.write_text(text)
    return read(path)


@pytest.mark.parametrize(
    "text",
    [
        "1,2\n3,-4.5\n",
        "1,2\n3,-4.5",
        "x,y\n1,2\n3,-4.5\n",
        "Longitude;Latitude\r\n1;2\r\n3;-4.5\r\n",
        "1\t2\n\n3\t-4.5\n\n",
        "  1   2\n 3 -4.5 \n",
        "# places\n1, 2\n3, -45e-1\n",
        '"x","y"\n"1","2"\n"3","-4.5"\n',
    ],
)
def test_dialects_of_csv(tmp_path: Path, text: str) -> None:
    instance = read_text(tmp_path, text)
    assert instance.coords is not None
    assert instance.coords.tolist() == [[1, 2], [3, -4.5]]
    assert instance.ids.tolist() == [1, 2]
    assert (instance.problem, instance.metric, instance.rounding, instance.name) == ("tsp", "EUC_2D", "none", "x")
    assert instance.distance(0, 1) == pytest.approx(np.hypot(2, 6.5))


def test_numbered_rows_and_three_dimensions(tmp_path: Path) -> None:
    instance = read_text(tmp_path, "id,x,y,z\n7,1,2,3\n3,4,5,6\n")
    assert instance.coords is not None
    assert instance.ids.tolist() == [7, 3]
    assert instance.coords.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert instance.metric == "EUC_3D"
    assert read_text(tmp_path, "node,x,y\n7,1,2\n3,4,5\n").metric == "EUC_2D"
    assert read_text(tmp_path, "7,1,2\n3,4,5\n").metric == "EUC_3D"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", None, "no coordinates"),
        ("x,y\n", None, "no coordinates"),
        ("1\n2\n", 1, "1 columns"),
        ("1,2,3,4\n", 1, "4 columns"),
        ("x,y,demand\n1,2,3\n", 1, "columns 'x,y,demand', expected x,y or x,y,z"),
        ("1,2\n3\n", 2, "1 columns, expected 2 as before"),
        ("1,2\n3,4,5\n", 2, "3 columns, expected 2 as before"),
        ("x,y\n1,2\n3,four\n", 3, "'four', expected a number"),
        ("1,2\n3,\n", 2, "'', expected a number"),
        ("1,2\n3,nan\n", 2, "'nan', expected a number"),
        ("nan,nan\n3,2\n", 1, "'nan', expected a number"),
        ("1,2\n3,1e300\n", 2, "'1e300', expected a number of at most 1e+15"),
        ("1,5;2,5\n", 1, "'1,5', expected a number"),
        ("id,x,y\n1,0,0\n1,2,3\n", 3, "node number 1, expected whole numbers from 0 up, each once"),
        ("id,x,y\n-1,0,0\n", 2, "node number -1"),
        ("id,x,y\n1.5,0,0\n", 2, "node number 1.5"),
        ('1,2\n"3,4\n5,6\n', None, "a quote over several lines"),
    ],
)
def test_malformed_csv(tmp_path: Path, text: str, line: int | None, words: str) -> None:
    with pytest.raises(InvalidInstance) as raised:
        read_text(tmp_path, text)
    place = tmp_path / "x.csv"
    assert str(raised.value).startswith(f"{place}: found " if line is None else f"{place}:{line}: found ")
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


@given(
    st.sampled_from(["<f8", ">f4", "<i4", "u1"]),
    st.integers(1, 9),
    st.sampled_from([2, 3]),
    st.booleans(),
    st.integers(0, 9),
)
def test_arrays_come_back(
    tmp_path_factory: pytest.TempPathFactory, kind: str, n: int, dim: int, fortran: bool, seed: int
) -> None:
    array = np.random.default_rng(seed).uniform(0, 100, size=(n, dim)).astype(kind)
    path = tmp_path_factory.mktemp("npy") / "x.npy"
    np.save(path, np.asfortranarray(array) if fortran else array)
    instance = read(path)
    assert np.array_equal(instance.coords, array)  # type: ignore[arg-type]
    assert instance.metric == f"EUC_{dim}D"
    assert instance.rounding == "none"


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros(4), r"float64 \[4\]"),
        (np.zeros((4, 4)), r"float64 \[4, 4\]"),
        (np.zeros((0, 2)), r"damaged|float64 \[0, 2\]"),
        (np.zeros((4, 2), dtype=complex), r"complex128 \[4, 2\]"),
        (np.array([["a", "b"]]), "expected an NPY array of numbers"),
        (np.array([[1, None]], dtype=object), "damaged or pickled"),
        (np.array([[0.0, 1.0], [2.0, np.nan]]), r"\[2.0, nan\] in row 1"),
    ],
)
def test_malformed_arrays(tmp_path: Path, array: np.ndarray, words: str) -> None:
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(InvalidInstance, match=words):
        read(tmp_path / "x.npy")


def test_a_header_that_promises_terabytes(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((3, 2)))
    data = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(data.replace(b"(3, 2), }         ", b"(999999999999, 2)}"))
    with pytest.raises(InvalidInstance, match="damaged"):
        read(tmp_path / "x.npy")


def test_no_such_array(tmp_path: Path) -> None:
    with pytest.raises(InvalidInstance, match="no readable file"):
        read(tmp_path / "x.npy")
