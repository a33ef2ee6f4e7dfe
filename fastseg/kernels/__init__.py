"""The backends: modules with a `PairCounter`, a `MaskCounter` (the protocols are in `fastseg.pairs`) and `transpose_into`.

`reference` is NumPy: slow, obvious, normative. `compiled` gathers the Numba kernels of `labels` and `masks`, which are built
through `jit` on the 64-lane primitives of `lanes`. Importing this package imports none of them.
"""

#: Name of each backend and its module.
BACKENDS = {"numpy": "fastseg.kernels.reference", "numba": "fastseg.kernels.compiled"}
