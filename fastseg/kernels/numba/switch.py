"""What is decided before any kernel is compiled: whether to compile at all, and how wide vectors are."""

from numba import config

__all__ = ["DISABLED", "WIDTH"]

#: True where NUMBA_DISABLE_JIT=1 runs the kernels as plain Python (for coverage and debugging).
DISABLED = bool(config.DISABLE_JIT)

#: Numbers in a vector: two registers of AVX-512, four of AVX2.
WIDTH = 32
