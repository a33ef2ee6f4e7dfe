"""What NIfTI-1 and NIfTI-2 files can state, and what is done with it."""

from __future__ import annotations

from fastseg.volumes.statements import Statement

STATES = (
    Statement(
        "sizeof_hdr, magic",
        "obeyed",
        "NIfTI-1 or -2, one file or two; Analyze 7.5, whose files do not say which side is left, is refused by its name",
        "formats/test_nifti_says.py::test_analyze_is_named",
    ),
    Statement(
        "byte order, datatype, bitpix",
        "obeyed",
        "numbers of up to 64 bits, signed or not, in either order; complex numbers and colours are refused",
        "formats/test_nifti_says.py::test_byte_order_and_sign_are_obeyed",
    ),
    Statement(
        "dim",
        "obeyed",
        "axes x, y, z; more than three long ones are no label map unless `--axes` says so",
        "formats/test_nifti_says.py::test_channels_are_never_thrown_together",
    ),
    Statement(
        "vox_offset", "obeyed", "", "formats/test_nifti_says.py::test_the_place_of_the_voxels_in_the_file_is_obeyed"
    ),
    Statement(
        "scl_slope, scl_inter",
        "obeyed",
        "stored values are scaled; a result that is no whole number is an error",
        "formats/test_nifti_says.py::test_a_slope_and_an_intercept_are_obeyed",
    ),
    Statement(
        "scl_slope 0 or NaN",
        "obeyed",
        "not scaled, as the specification has it",
        "formats/test_nifti_says.py::test_a_slope_of_zero_or_nan_scales_nothing",
    ),
    Statement(
        "sform",
        "obeyed",
        "the place, where its code is above 0",
        "formats/test_nifti.py::test_affine_is_the_sform_then_the_qform_then_the_spacing",
    ),
    Statement(
        "qform, pixdim[0], qoffset",
        "obeyed",
        "the place, where only its code is above 0; no rotation is refused where places are compared",
        "formats/test_nifti_says.py::test_every_part_of_the_qform_counts",
    ),
    Statement(
        "qform_code and sform_code 0",
        "noted",
        "no position: only shape and spacing are compared",
        "formats/test_nifti_says.py::test_a_file_without_a_position_says_so",
    ),
    Statement("pixdim", "obeyed", "the spacing", "formats/test_nifti_says.py::test_a_file_without_a_position_says_so"),
    Statement(
        "xyzt_units",
        "obeyed",
        "m, mm or µm; unknown is mm",
        "formats/test_nifti_says.py::test_volumes_are_in_the_unit_that_fits",
    ),
    Statement(
        "intent_code of CIFTI",
        "obeyed",
        "vertices of surfaces, named by the file's table; files of other models of the brain are refused",
        "formats/test_nifti_says.py::test_cifti_labels_are_of_vertices",
    ),
    Statement(
        "label tables in extensions",
        "obeyed",
        "names of classes, where nobody names them",
        "formats/test_nifti_says.py::test_a_label_table_in_an_extension_names_the_classes",
    ),
    Statement(
        "other extensions",
        "irrelevant",
        "comments, histories and copies of DICOM headers",
        "formats/test_nifti.py::test_header_extensions_are_passed_over",
    ),
    Statement(
        "cal_min, cal_max, descrip, aux_file, slice_*, toffset",
        "irrelevant",
        "how it is shown, was acquired or came to be",
        "formats/test_nifti.py::test_odd_headers_are_read_without_a_word",
    ),
    Statement(
        "label tables of two files",
        "obeyed",
        "where their numbers differ labels are matched by name, with a note, unless somebody names labels",
        "../api/test_own_tables.py::test_labels_are_matched_by_the_names_in_both_files",
    ),
    Statement(
        "label tables of the maps of CIFTI",
        "refused",
        "where they differ",
        "formats/test_nifti_says.py::test_maps_of_cifti_with_tables_of_their_own_are_refused",
    ),
    Statement(
        "qform and sform that differ, of one code",
        "noted",
        "taken is the sform",
        "formats/test_nifti_says.py::test_two_places_of_one_space_are_noted",
    ),
)
