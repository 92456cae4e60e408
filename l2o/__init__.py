"""Routing problems solved by a policy that respects the symmetries of the plane."""

__version__ = "0.1.0"
