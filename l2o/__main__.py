"""``python -m l2o``."""

from l2o.cli import main

main()
