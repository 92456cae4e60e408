"""numba's decorator, with the machine code kept in the user's cache. Importing this loads numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

from l2o.jit_cache import folder

_FOLDER = folder()
if _FOLDER is not None:
    vars(numba.config)["CACHE_DIR"] = str(_FOLDER)

_Function = TypeVar("_Function", bound=Callable[..., Any])


# Without numba's runtime arrays are not reference-counted, which halves the time of small functions that are handed
# many of them.
_OPTIONS: dict[str, Any] = {"cache": _FOLDER is not None, "nogil": True, "_nrt": False}


def njit(function: _Function) -> _Function:
    """Compile ``function`` when it is first called. It can neither make arrays nor slice them."""
    return cast(_Function, numba.njit(**_OPTIONS)(function))
