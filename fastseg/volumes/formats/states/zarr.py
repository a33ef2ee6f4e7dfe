"""What Zarr and OME-Zarr files can state, and what is done with it."""

from __future__ import annotations

from fastseg.volumes.statements import Statement

STATES = (
    Statement(
        "data_type, dtype, endian",
        "obeyed",
        "numbers of up to 64 bits; other types and codecs of objects are refused",
        "formats/test_zarr.py::test_reads_what_zarr_writes",
    ),
    Statement(
        "chunk keys, order, transpose, shards", "obeyed", "", "formats/test_zarr.py::test_reads_what_zarr_writes"
    ),
    Statement(
        "fill_value",
        "noted",
        "the value of chunks that are not stored, whose number a note says; an array of which none is stored is refused",
        "formats/test_zarr.py::test_chunks_that_are_not_stored_are_the_fill_value",
    ),
    Statement(
        "dimension_names, _ARRAY_DIMENSIONS",
        "obeyed",
        "axes are matched by them",
        "formats/test_zarr_says.py::test_names_of_dimensions_are_matched",
    ),
    Statement(
        "coordinates and grid_mapping of xarray",
        "obeyed",
        "the place, and the coordinate reference system",
        "formats/test_zarr_says.py::test_coordinates_of_xarray_place_the_voxels",
    ),
    Statement(
        "OME axes",
        "obeyed",
        "axes are matched by them; names that contradict the array's are refused",
        "formats/test_zarr_says.py::test_axes_of_images_are_matched_by_name",
    ),
    Statement(
        "OME channels",
        "refused",
        "more than one is no label map",
        "formats/test_zarr_groups.py::test_several_channels_or_images_are_refused",
    ),
    Statement(
        "OME coordinateTransformations: scale, translation, of dataset and image",
        "obeyed",
        "the place, in the order in which they are applied",
        "formats/test_zarr_says.py::test_an_image_elsewhere_is_refused",
    ),
    Statement(
        "OME transformations of other types, or in other files",
        "refused",
        "",
        "formats/test_zarr_groups.py::test_false_images_are_refused",
    ),
    Statement(
        "OME units of axes",
        "obeyed",
        "lengths in mm; of unknown ones places are compared in voxels",
        "formats/test_zarr_groups.py::test_ome_zarr",
    ),
    Statement(
        "_FillValue, missing_value of CF",
        "obeyed",
        "not scored in the reference, a miss in the prediction, with a note",
        "formats/test_zarr_says.py::test_a_value_that_is_no_data_is_not_scored",
    ),
    Statement(
        "scale_factor, add_offset of CF",
        "obeyed",
        "stored values are scaled",
        "formats/test_zarr_says.py::test_packed_values_are_unpacked",
    ),
    Statement(
        "_Unsigned of netCDF", "obeyed", "", "formats/test_zarr_says.py::test_signed_bytes_that_are_meant_unsigned_are"
    ),
    Statement(
        "omero, image-label colours, other attributes",
        "irrelevant",
        "how it is shown",
        "formats/test_zarr_groups.py::test_an_image_with_labels_lists_them",
    ),
    Statement(
        "valid_range, valid_min, valid_max of CF",
        "refused",
        "where a value lies outside, and is not declared to be no data",
        "formats/test_cf.py::test_values_outside_of_the_valid_range_have_no_label",
    ),
    Statement(
        "flag_values, flag_meanings of CF",
        "obeyed",
        "names of labels; flag_masks, of which several may be set, are refused",
        "formats/test_cf.py::test_a_table_of_flags_names_the_labels",
    ),
)
