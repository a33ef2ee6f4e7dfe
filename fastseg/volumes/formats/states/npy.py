"""What NPY and NPZ files can state, and what is done with it."""

from __future__ import annotations

from fastseg.volumes.statements import Statement

STATES = (
    Statement(
        "descr",
        "obeyed",
        "byte order, sign and width; objects, records, texts and complex numbers are refused",
        "formats/test_npy.py::test_hostile_headers_are_refused",
    ),
    Statement("fortran_order", "obeyed", "", "formats/test_npy.py::test_reads_what_numpy_writes"),
    Statement(
        "shape",
        "obeyed",
        "axes have no names: `--axes` gives them; more than three long ones need it",
        "formats/test_nifti_says.py::test_channels_are_never_thrown_together",
    ),
    Statement(
        "names of arrays in an NPZ file",
        "obeyed",
        "`file.npz::name`, where there are several",
        "formats/test_npy.py::test_arrays_are_chosen_by_name",
    ),
)
