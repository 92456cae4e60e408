"""What all problems of routes from one depot have in common."""

from __future__ import annotations

from l2o.problems.instance import Infeasible, Instance, Routes


def serve_once(instance: Instance, routes: Routes) -> None:
    """Raises :class:`Infeasible` unless ``routes`` visit customers alone, and each of them exactly once."""
    seen: set[int] = set()
    for number, route in enumerate(routes, start=1):
        for node in route:
            if not 1 <= node < instance.n:
                raise Infeasible(f"{instance.name}: route {number} visits node {node}, which is no customer")
            if node in seen:
                raise Infeasible(f"{instance.name}: customer {instance.ids[node]} is served twice")
            seen.add(node)
    if len(seen) < instance.n - 1:
        missing = next(i for i in range(1, instance.n) if i not in seen)
        raise Infeasible(f"{instance.name}: customer {instance.ids[missing]} is not served")
