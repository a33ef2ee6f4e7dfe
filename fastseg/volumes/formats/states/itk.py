"""What NRRD and MetaImage files can state, and what is done with it."""

from __future__ import annotations

from fastseg.volumes.statements import Statement

STATES = (
    Statement(
        "NRRD type, endian",
        "obeyed",
        "signed or not, in either order",
        "formats/test_itk_says.py::test_bytes_and_lines_to_skip_order_and_sign_of_nrrd_are_obeyed",
    ),
    Statement(
        "NRRD line skip, byte skip, data file",
        "obeyed",
        "",
        "formats/test_itk_says.py::test_bytes_and_lines_to_skip_order_and_sign_of_nrrd_are_obeyed",
    ),
    Statement(
        "NRRD space, space directions, space origin",
        "obeyed",
        "of a patient: turned to RAS+",
        "formats/test_itk_says.py::test_spaces_directions_origins_and_units_of_nrrd_are_obeyed",
    ),
    Statement(
        "NRRD space scanner-xyz, 3D-left-handed and their kind",
        "obeyed",
        "compared with files of the same space only",
        "formats/test_itk_says.py::test_spaces_that_are_no_patients_are_compared_with_their_like",
    ),
    Statement(
        "NRRD space units, units",
        "obeyed",
        "lengths in mm; unknown or unlike units are refused",
        "formats/test_itk_says.py::test_spaces_directions_origins_and_units_of_nrrd_are_obeyed",
    ),
    Statement(
        "NRRD space directions none",
        "refused",
        "an axis without a direction is none of space",
        "formats/test_itk_says.py::test_what_nrrd_says_and_nobody_obeys_is_refused",
    ),
    Statement(
        "NRRD spacings, axis mins, labels without a space",
        "obeyed",
        "spacing and place along the axes; labels x, y, z name them",
        "formats/test_itk_says.py::test_nrrd_without_a_space_says_so",
    ),
    Statement(
        "NRRD without any place",
        "noted",
        "only shape and spacing are compared",
        "formats/test_itk_says.py::test_nrrd_without_a_space_says_so",
    ),
    Statement(
        "NRRD old min, old max",
        "refused",
        "values are quantised",
        "formats/test_itk_says.py::test_what_nrrd_says_and_nobody_obeys_is_refused",
    ),
    Statement(
        "NRRD content, min, max, kinds domain, centerings, measurement frame, key:=value",
        "irrelevant",
        "texts, ranges, and frames of vectors",
        "formats/test_itk_says.py::test_texts_in_nrrd_change_nothing",
    ),
    Statement(
        "MetaImage ElementType, ElementByteOrderMSB, BinaryDataByteOrderMSB",
        "obeyed",
        "two that differ are refused",
        "formats/test_itk_says.py::test_direction_spacing_byte_order_and_sign_of_metaimage_are_obeyed",
    ),
    Statement(
        "MetaImage ElementToIntensityFunctionSlope, …Offset",
        "obeyed",
        "stored values are scaled",
        "formats/test_itk_says.py::test_a_slope_and_an_offset_of_metaimage_are_obeyed",
    ),
    Statement(
        "MetaImage TransformMatrix, Offset, ElementSpacing, ElementSize",
        "obeyed",
        "the affine, turned to RAS+",
        "formats/test_itk_says.py::test_direction_spacing_byte_order_and_sign_of_metaimage_are_obeyed",
    ),
    Statement(
        "MetaImage DistanceUnits",
        "obeyed",
        "lengths in mm; unknown units are refused",
        "formats/test_itk_says.py::test_units_of_metaimage_are_obeyed",
    ),
    Statement(
        "MetaImage AnatomicalOrientation without TransformMatrix",
        "refused",
        "unless it is that of the matrix that is assumed",
        "formats/test_itk_says.py::test_what_metaimage_says_and_nobody_obeys_is_refused",
    ),
    Statement(
        "MetaImage HeaderSize",
        "obeyed",
        "of voxels in another file, or from the end on; in the same file it is refused",
        "formats/test_itk_says.py::test_what_metaimage_says_and_nobody_obeys_is_refused",
    ),
    Statement(
        "MetaImage ElementMin, ElementMax",
        "irrelevant",
        "the range of the values",
        "formats/test_itk_says.py::test_direction_spacing_byte_order_and_sign_of_metaimage_are_obeyed",
    ),
    Statement(
        "several numbers for each voxel",
        "refused",
        "vectors and colours are no labels",
        "formats/test_itk_broken.py::test_hostile_headers_are_refused",
    ),
    Statement(
        "NRRD axis maxs",
        "obeyed",
        "with axis mins; refused where they contradict the spacings",
        "formats/test_itk_says.py::test_ends_of_axes_of_nrrd",
    ),
    Statement(
        "NRRD space without a space origin",
        "noted",
        "its first voxel is taken to be at 0",
        "formats/test_itk_says.py::test_an_origin_that_is_not_stated_is_noted",
    ),
    Statement(
        "NRRD kinds list, vector",
        "obeyed",
        "with `--channels`, along the first or the last axis",
        "masks/test_channels.py::test_lists_of_nrrd_are_channels",
    ),
    Statement(
        "MetaImage Offset, Position, Origin; TransformMatrix, Rotation, Orientation",
        "obeyed",
        "several that differ are refused",
        "formats/test_itk_says.py::test_a_place_that_is_stated_twice_is_refused_where_it_differs",
    ),
    Statement(
        "MetaImage CenterOfRotation",
        "refused",
        "beside a rotation",
        "formats/test_itk_says.py::test_a_centre_of_rotation_counts_where_something_is_turned",
    ),
    Statement(
        "MetaImage ObjectType",
        "refused",
        "of anything but images",
        "formats/test_itk_says.py::test_other_objects_of_metaio_are_refused",
    ),
    Statement(
        "Segment…_Layer, …_LabelValue",
        "obeyed",
        "two segments of one layer and value are refused",
        "masks/test_slicer.py::test_two_segments_of_one_value_are_refused",
    ),
)
