"""Views with something taken out of them, for ``ablation.py`` alone: what is it worth to a decision to know of it?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from l2o.models import fragments, patch_policy
from l2o.models.patch import ANCHOR, GAPS, Patch

LEFT = -GAPS - 1
"""Where a patch says how much is left, after what the problem has to say; gaps are told after it."""
ENDS_LEFT = 2
"""Where an end says it."""


def without_count(patch: Patch) -> Patch:
    """Nobody knows how many nodes are left."""
    x = patch.x.clone()
    x[..., LEFT] = 0
    return replace(patch, x=x)


def without_anchor(patch: Patch) -> Patch:
    """Nobody knows where the solution has to end: the anchor is not seen, and is nowhere else than the current node."""
    x, pos, valid = patch.x.clone(), patch.pos.clone(), patch.valid.clone()
    x[:, ANCHOR], pos[:, ANCHOR], valid[:, ANCHOR] = 0, 0, False
    return replace(patch, x=x, pos=pos, valid=valid)


def without_density(patch: Patch) -> Patch:
    """Nobody knows how alone a candidate is."""
    x = patch.x.clone()
    x[..., -GAPS:] = 0
    return replace(patch, x=x)


def without_all(patch: Patch) -> Patch:
    """None of the three."""
    return without_density(without_anchor(without_count(patch)))


def ends_without_count(ends: fragments.Ends) -> fragments.Ends:
    """No end knows how many are left."""
    x = ends.x.clone()
    x[:, ENDS_LEFT] = 0
    return replace(ends, x=x)


PATCHES: dict[str, Callable[[Patch], Patch]] = {
    "nodes left untold": without_count,
    "anchor untold": without_anchor,
    "density untold": without_density,
    "none of the three told": without_all,
}
ENDS: dict[str, Callable[[fragments.Ends], fragments.Ends]] = {"ends left untold": ends_without_count}
"""By arm: what becomes of all that a policy sees, in training as in validation."""


def put_on(arm: str) -> None:
    """From now on policies of this process see what ``arm`` leaves them; all of it where it is none of the above."""
    if arm in PATCHES:
        see, dull = patch_policy.PatchPolicy.sight, PATCHES[arm]

        def sight(policy: patch_policy.PatchPolicy, *of: Any) -> Callable[[Any], Patch]:
            cut = see(policy, *of)
            return lambda state: dull(cut(state))

        patch_policy.PatchPolicy.sight = sight  # type: ignore[method-assign, assignment]
    if arm in ENDS:
        look, blank = fragments.Policy.look, ENDS[arm]

        def look_less(policy: fragments.Policy, *of: Any) -> fragments.Ends:
            return blank(look(policy, *of))

        fragments.Policy.look = look_less  # type: ignore[method-assign]
