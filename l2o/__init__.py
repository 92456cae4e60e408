"""Routing problems solved by a policy that respects the symmetries of the plane.

``l2o.files.read`` reads, ``l2o.checkpoint.load`` loads weights, ``l2o.solve.solve`` solves.
"""

__version__ = "0.1.0"
