"""Machine code that is kept from one process to the next and needs no numba to be loaded, which takes a quarter of a
second: a shared library for each problem, and a list of what is in it. Where there is no linker, nothing is kept.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from l2o.jit_cache import folder

_RESULTS = {"none": None, "bool": ctypes.c_bool, "int64": ctypes.c_int64, "float64": ctypes.c_double}
_ENDS = """int puts(const char *);
void abort(void);
#define END(name) void name(void) { puts("error: compiled code failed: " #name); abort(); }
"""
"""What numba would be called for: to say that a division had no result, and the like."""
_WHAT = "vendor", "model", "cpu family", "flags", "cpu implementer", "cpu variant", "cpu part", "features"
"""Lines of Linux that say what processor there is, of Intel's kind and of Arm's."""
_LIBRARY, _LIST = "kernels.so", "kernels.json"

_kept: set[str] = set()
"""Names of what this process has kept."""


class Kernel(Protocol):
    """What is kept."""

    name: str

    @property
    def dispatcher(self) -> Any:
        """The function that numba has compiled."""


class Unfit(Exception):
    """Arguments of other types than those that there is code for."""


class Entry:
    """One function of a library, for arguments of certain types."""

    def __init__(self, function: Any, types: list[Any], result: str) -> None:
        function.restype, function.argtypes = _RESULTS[result], (ctypes.c_void_p, ctypes.c_void_p)
        self._function, self._types = function, types

    def __call__(self, arguments: tuple[Any, ...]) -> Any:
        """Run it while other threads run.

        Raises:
            Unfit: before anything is done.
        """
        whole: list[int] = []
        real: list[float] = []
        _flatten(arguments, self._types, whole, real)
        return self._function((ctypes.c_int64 * len(whole))(*whole), (ctypes.c_double * len(real))(*real))


def _flatten(values: tuple[Any, ...], types: list[Any], whole: list[int], real: list[float]) -> None:
    """Numbers and addresses, in order."""
    if len(values) != len(types):
        raise Unfit
    for value, (kind, *rest) in zip(values, types, strict=True):
        if kind == "tuple" and type(value).__name__ == rest[0]:
            _flatten(value, rest[1], whole, real)
        elif kind == "array" and isinstance(value, np.ndarray) and (value.dtype.str, value.ndim) == tuple(rest):
            if not (value.flags.c_contiguous and value.flags.writeable):
                raise Unfit
            whole += (value.__array_interface__["data"][0], *value.shape)
        elif kind == "float64" and isinstance(value, float):
            real.append(value)
        elif kind == "int64" and isinstance(value, (int, np.int64)) and not isinstance(value, bool):
            whole.append(int(value))
        elif kind == "bool" and isinstance(value, (bool, np.bool_)):
            whole.append(bool(value))
        else:
            raise Unfit


@functools.cache
def _place() -> Path | None:
    """Where code for this processor is kept, if it can be."""
    kept = folder()
    if kept is None or not sys.platform.startswith("linux") or "NUMBA_DISABLE_JIT" in os.environ:
        return None
    try:
        first = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
    except OSError:
        return None
    what = [line for line in first if line.lower().startswith(_WHAT)]
    digest = hashlib.sha256("\n".join(what).encode()).hexdigest()
    return kept / f"native-{digest[:16]}"


@functools.cache
def _entries() -> dict[str, list[Entry]]:
    """All that is kept, by the names of kernels."""
    found: dict[str, list[Entry]] = {}
    place = _place()
    for listed in place.glob(f"*/{_LIST}") if place else ():
        try:
            held = json.loads(listed.read_text())
            file = listed.with_name(_LIBRARY)
            # To open what is not whole ends the process.
            if hashlib.sha256(file.read_bytes()).hexdigest() != held["sha256"]:
                continue
            library = ctypes.CDLL(str(file))
            for symbol, name, types, result in held["kernels"]:
                found.setdefault(name, []).append(Entry(getattr(library, symbol), types, result))
        except (OSError, ValueError, AttributeError, KeyError):
            continue
    return found


def run(name: str, arguments: tuple[Any, ...]) -> Any:
    """Call what is kept of a kernel.

    Raises:
        Unfit: nothing is kept that takes these arguments.
    """
    for entry in _entries().get(name, ()):
        try:
            return entry(arguments)
        except Unfit:
            continue
    raise Unfit


def keep(label: str, kernels: Iterable[Kernel]) -> None:
    """Keep a library of ``kernels`` for later processes, if that can be done and there is none of this ``label``."""
    place, linker = _place(), shutil.which("cc")
    new = {kernel.name: kernel for kernel in kernels if kernel.name not in _kept}
    if place is None or linker is None or not new or (place / label).exists():
        return
    try:
        place.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as unready:
            _build(Path(unready) / label, linker, new.values())
            (Path(unready) / label).rename(place / label)
        _kept.update(new)
    except (OSError, subprocess.CalledProcessError):
        # A full disk, a linker that does not work, or another process that was first: numba's own cache is there.
        return


def _build(library: Path, linker: str, kernels: Iterable[Kernel]) -> None:
    library.mkdir()
    listed: list[tuple[str, str, list[Any], str]] = []
    absent: set[str] = set()
    objects: list[Path] = []
    for kernel in kernels:
        for signature in kernel.dispatcher.signatures:
            symbol = f"kernel{len(objects)}"
            made = _compiled(kernel.dispatcher, signature, symbol)
            if made is not None:
                objects.append(library.with_name(f"{symbol}.o"))
                objects[-1].write_bytes(made.code)
                listed.append((symbol, kernel.name, made.types, made.result))
                absent |= made.absent
    ends = library.with_name("ends.c")
    ends.write_text(_ENDS + "".join(f"END({name})\n" for name in sorted(absent)))
    file = library / _LIBRARY
    command: list[str | Path] = [linker, "-shared", "-fPIC", "-o", file, ends, *objects, "-lm"]
    subprocess.run(command, capture_output=True, check=True)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    (library / _LIST).write_text(json.dumps({"sha256": digest, "kernels": listed}))


@dataclass(frozen=True)
class _Made:
    code: bytes
    """Of a function that takes whole numbers and addresses, and fractions."""
    types: list[Any]
    """Of the kernel's arguments."""
    result: str
    """Its type."""
    absent: set[str]
    """What the code calls of numba where all is lost."""


def _compiled(dispatcher: Any, signature: tuple[Any, ...], symbol: str) -> _Made | None:
    """A function of this name; None where arguments or result are of no kind that is known here."""
    import llvmlite.binding as llvm
    import numba
    from numba.core import cgutils
    from numba.extending import intrinsic
    from numba.np import numpy_support

    types: Any = numba.types

    @intrinsic
    def address(context: Any, number: Any) -> Any:
        return types.voidptr(number), lambda target, builder, of, given: builder.inttoptr(given[0], cgutils.voidptr_t)

    names: dict[str, Any] = {"carray": vars(numba)["carray"], "address": address, "inner": dispatcher}
    lines: list[str] = []
    whole, real = itertools.count(), itertools.count()

    def spell(kind: Any) -> tuple[str, list[Any]]:
        """How an argument is made, in Python, from ``p`` and ``q``; its type."""
        if isinstance(kind, types.BaseTuple):
            name = kind.instance_class.__name__
            if isinstance(kind, types.BaseNamedTuple):
                names[name] = kind.instance_class
            parts = [spell(part) for part in kind.types]
            inside = "".join(f"{text}, " for text, _ in parts)
            return f"{name if name in names else ''}({inside})", ["tuple", name, [told for _, told in parts]]
        if isinstance(kind, types.Array) and kind.layout == "C" and kind.mutable:
            number = next(whole)
            names[f"t{number}"] = dtype = numpy_support.as_dtype(kind.dtype)
            shape = "".join(f"p[{next(whole)}], " for _ in range(kind.ndim))
            lines.append(f"    a{number} = carray(address(p[{number}]), ({shape}), t{number})")
            return f"a{number}", ["array", dtype.str, kind.ndim]
        if kind == types.float64:
            return f"q[{next(real)}]", ["float64"]
        if kind == types.int64:
            return f"p[{next(whole)}]", ["int64"]
        if kind == types.boolean:
            return f"p[{next(whole)}] != 0", ["bool"]
        raise Unfit

    result = dispatcher.overloads[signature].signature.return_type
    try:
        spelled = [spell(kind) for kind in signature]
    except Unfit:
        return None
    if str(result) not in _RESULTS:
        return None
    given = ", ".join(text for text, _ in spelled)
    lines.append(f"    {'' if result == types.none else 'return '}inner({given})")
    exec("\n".join(["def entry(p, q):", *lines]), names)
    numbers = types.CPointer(types.int64), types.CPointer(types.float64)
    entry: Any = numba.cfunc((types.void if result == types.none else result)(*numbers))(names["entry"])
    module = llvm.parse_assembly(entry._library.get_llvm_str())
    module.get_function(entry.native_name).name = symbol
    processor = {"cpu": llvm.get_host_cpu_name(), "features": llvm.get_host_cpu_features().flatten()}
    machine = llvm.Target.from_default_triple().create_target_machine(opt=3, reloc="pic", **processor)
    absent = {f.name for f in module.functions if f.is_declaration and f.name.startswith(("NRT_", "numba_"))}
    return _Made(machine.emit_object(module), [told for _, told in spelled], str(result), absent)
