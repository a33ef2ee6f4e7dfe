"""What HDF5 and MATLAB files can state, and what is done with it."""

from __future__ import annotations

from fastseg.volumes.statements import Statement

STATES = (
    Statement(
        "type, byte order, sign, enumerations",
        "obeyed",
        "numbers of up to 64 bits; others are refused",
        "formats/test_hdf5_says.py::test_byte_order_and_sign_are_obeyed",
    ),
    Statement(
        "links, virtual and external datasets",
        "refused",
        "what is read ends with the file",
        "formats/test_hdf5.py::test_what_lies_in_other_files_is_refused",
    ),
    Statement(
        "order of axes of MATLAB and Julia",
        "obeyed",
        "",
        "formats/test_column_major.py::test_axes_are_in_the_order_of_the_program",
    ),
    Statement(
        "axistags of ilastik",
        "obeyed",
        "axes are matched by them; channels are no label map",
        "formats/test_hdf5_says.py::test_axistags_are_matched",
    ),
    Statement(
        "labels of dimensions",
        "obeyed",
        "axes are matched by them",
        "formats/test_hdf5_says.py::test_labels_of_dimensions_are_matched",
    ),
    Statement(
        "dimension scales of netCDF",
        "obeyed",
        "axes are matched by them, and places compared",
        "formats/test_hdf5_says.py::test_coordinates_of_netcdf_are_matched_and_compared",
    ),
    Statement(
        "_FillValue, missing_value, scale_factor, add_offset, _Unsigned",
        "obeyed",
        "as in Zarr",
        "formats/test_hdf5_says.py::test_values_that_are_no_data_or_packed",
    ),
    Statement(
        "element_size_um", "obeyed", "the spacing", "formats/test_hdf5_says.py::test_spacing_in_micrometres_is_compared"
    ),
    Statement(
        "Directions, Origin, Spacing of ITK's images",
        "obeyed",
        "the affine, turned to RAS+",
        "formats/test_hdf5_says.py::test_images_of_itk_lie_where_they_say",
    ),
    Statement(
        "IMAGE_WHITE_IS_ZERO, DISPLAY_ORIGIN, IMAGE_TRUECOLOR",
        "refused",
        "negatives, pictures that are turned, and colours",
        "formats/test_hdf5_says.py::test_pictures_of_hdf5_are_what_they_say",
    ),
    Statement("PALETTE", "obeyed", "as of pictures", "formats/test_hdf5_says.py::test_palettes_of_hdf5_are_compared"),
    Statement(
        "MINC 2: image-min, image-max, direction cosines",
        "refused",
        "each slice has a scale of its own",
        "formats/test_hdf5_says.py::test_minc_is_refused",
    ),
    Statement(
        "fill value",
        "noted",
        "the value of chunks that are not stored, whose number a note says",
        "formats/test_hdf5_says.py::test_chunks_that_are_not_stored_are_noted",
    ),
    Statement(
        "valid_range, valid_min, valid_max",
        "refused",
        "where a value lies outside, and is not declared to be no data",
        "formats/test_cf.py::test_values_outside_of_the_valid_range_have_no_label",
    ),
    Statement(
        "flag_values, flag_meanings, names of enumerations",
        "obeyed",
        "names of labels; flag_masks, of which several may be set, are refused",
        "formats/test_cf.py::test_a_table_of_flags_names_the_labels",
    ),
    Statement(
        "grid_mapping",
        "obeyed",
        "other reference systems are another place",
        "formats/test_cf.py::test_reference_systems_are_compared_with_and_without_a_text",
    ),
    Statement(
        "units, scale_factor and add_offset of coordinates",
        "obeyed",
        "lengths in metres",
        "formats/test_cf.py::test_units_and_packed_values_of_coordinates_count",
    ),
    Statement(
        "coordinates of two axes",
        "obeyed",
        "by their corners",
        "formats/test_cf.py::test_coordinates_of_two_axes_are_compared",
    ),
    Statement(
        "resolution in axistags",
        "obeyed",
        "in its own unit",
        "formats/test_hdf5_programs.py::test_the_resolution_of_ilastik_is_compared",
    ),
    Statement(
        "StructMetadata of HDF-EOS",
        "obeyed",
        "other grids are another place",
        "formats/test_hdf5_programs.py::test_grids_of_hdf_eos_are_compared",
    ),
    Statement(
        "Imaris: ImageSize, ExtMin, ExtMax",
        "refused",
        "its data are padded, and placed elsewhere in the file",
        "formats/test_hdf5_programs.py::test_imaris_is_refused",
    ),
)
