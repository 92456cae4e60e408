"""One thread for each test: many small tensors, and several workers side by side."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
