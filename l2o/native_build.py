"""Keeps machine code for later processes: a shared library for each problem, and a list of what is in it.

Where there is no linker, nothing is kept, and numba's own cache has to do.
"""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from l2o.jit import Kernel
from l2o.native import LIBRARY, LIST, RESULTS, Unfit, place

_ABORT = """int puts(const char *);
void abort(void);
#define ABORT(name) void name(void) { puts("error: compiled code failed: " #name); abort(); }
"""
"""What numba would be called for: to say that a division had no result, and the like."""

_kept: set[str] = set()
"""Names of what this process has kept."""


def keep(label: str, kernels: Iterable[Kernel]) -> None:
    """Keep a library of ``kernels`` for later processes, if that can be done and there is none of this ``label``."""
    kept, linker = place(), shutil.which("cc")
    new = {kernel.name: kernel for kernel in kernels if kernel.name not in _kept}
    if kept is None or linker is None or not new or (kept / label).exists():
        return
    try:
        kept.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as unready:
            _build(Path(unready) / label, linker, new.values())
            (Path(unready) / label).rename(kept / label)
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
    aborts = library.with_name("aborts.c")
    aborts.write_text(_ABORT + "".join(f"ABORT({name})\n" for name in sorted(absent)))
    file = library / LIBRARY
    command: list[str | Path] = [linker, "-shared", "-fPIC", "-o", file, aborts, *objects, "-lm"]
    subprocess.run(command, capture_output=True, check=True)
    (library / LIST).write_text(json.dumps({"crc32": zlib.crc32(file.read_bytes()), "kernels": listed}))


@dataclass(frozen=True)
class _Object:
    code: bytes
    """Of a function that takes whole numbers and addresses, and fractions."""
    types: list[Any]
    """Of the kernel's arguments."""
    result: str
    """Its type."""
    absent: set[str]
    """What the code calls of numba where all is lost."""


def _compiled(dispatcher: Any, signature: tuple[Any, ...], symbol: str) -> _Object | None:
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
    if str(result) not in RESULTS:
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
    return _Object(machine.emit_object(module), [told for _, told in spelled], str(result), absent)
