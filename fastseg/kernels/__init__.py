"""The backends: packages with a `PairCounter`, a `MaskCounter` (the protocols are in `fastseg.kernels.protocols.labels`), a
`ScoreCounter`, a `GradientWriter` (in `fastseg.kernels.protocols.scores`) and `transpose_into`.

`numpy` is slow, obvious, normative. `numba` has the kernels that are compiled through its `jit`: those of labels and masks on
the 64-lane primitives of `simd.lanes`, those of scores on the vectors of numbers of `simd.vectors`. Importing this package
imports none of them.
"""

#: Name of each backend and its module.
BACKENDS = {"numpy": "fastseg.kernels.numpy", "numba": "fastseg.kernels.numba"}
