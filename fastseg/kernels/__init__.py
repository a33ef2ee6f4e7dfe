"""The backends: modules with a `PairCounter`, a `MaskCounter` (the protocols are in `fastseg.pairs`), a `ScoreCounter`, a
`GradientWriter` (in `fastseg.score_spans`) and `transpose_into`.

`reference` is NumPy: slow, obvious, normative. `compiled` gathers the Numba kernels, which are built through `jit`: those of
labels and masks on the 64-lane primitives of `lanes`, those of scores on the vectors of numbers of `vectors`. Importing this
package imports none of them.
"""

#: Name of each backend and its module.
BACKENDS = {"numpy": "fastseg.kernels.reference", "numba": "fastseg.kernels.compiled"}
