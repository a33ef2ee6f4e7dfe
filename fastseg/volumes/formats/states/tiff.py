"""What TIFF, OME-TIFF, GeoTIFF files can state, and what is done with it."""

from __future__ import annotations

from fastseg.volumes.statements import Statement

STATES = (
    Statement(
        "byte order, SampleFormat, BitsPerSample",
        "obeyed",
        "signed or not, packed bits too; complex numbers are refused",
        "formats/test_tiff_says.py::test_byte_order_and_sign_are_obeyed",
    ),
    Statement("FillOrder", "obeyed", "", "formats/test_tiff_says.py::test_bits_in_reverse_are_obeyed"),
    Statement("Predictor", "obeyed", "", "formats/test_tiff.py::test_predictors"),
    Statement(
        "PhotometricInterpretation 0, palettes from white to black",
        "refused",
        "programs do not agree on what a negative holds",
        "formats/test_tiff.py::test_white_is_zero_is_refused",
    ),
    Statement(
        "ColorMap",
        "obeyed",
        "labels are the indexes; two palettes in unlike order are compared by colour, of unlike colours refused",
        "../counting/test_palettes.py::test_the_same_colours_in_another_order_are_compared_by_colour",
    ),
    Statement(
        "Orientation",
        "obeyed",
        "rows and columns are turned as they are seen; on a map refused",
        "formats/test_tiff_says.py::test_the_orientation_is_obeyed",
    ),
    Statement(
        "Compression: JPEG, JPEG XR, SGILog and others that lose",
        "refused",
        "",
        "formats/test_tiff_says.py::test_codecs_that_lose_labels_are_refused",
    ),
    Statement(
        "Compression: LERC, JPEG 2000, JPEG XL, WebP",
        "obeyed",
        "read where the data say that nothing was lost: an error of 0, the reversible transform with all coding passes, no "
        "XYB; of a block of JPEG 2000 that is not there at all it cannot be told whether it was zeros",
        "formats/test_tiff_says.py::test_codecs_that_keep_labels_are_read",
    ),
    Statement(
        "ModelPixelScale, ModelTiepoint, ModelTransformation",
        "obeyed",
        "the place on a map; control points compared as they are",
        "formats/test_tiff_says.py::test_maps_of_another_place_are_refused",
    ),
    Statement(
        "GeoKeyDirectory: reference system, units, PixelIsPoint",
        "obeyed",
        "another system is another place; areas in its units",
        "formats/test_tiff_says.py::test_maps_of_another_place_are_refused",
    ),
    Statement(
        "PositionX, PositionY, PositionZ of OME's planes",
        "obeyed",
        "the place of the stage",
        "formats/test_tiff_says.py::test_the_place_of_the_stage_is_compared",
    ),
    Statement(
        "XPosition, YPosition",
        "obeyed",
        "the place on the page, in pixels",
        "formats/test_tiff_says.py::test_the_place_on_a_page_is_compared",
    ),
    Statement(
        "GDAL_NODATA",
        "obeyed",
        "not scored in the reference, a miss in the prediction, with a note",
        "formats/test_tiff_says.py::test_no_data_of_gdal_is_not_scored",
    ),
    Statement(
        "GDAL_METADATA scale, offset",
        "obeyed",
        "stored values are scaled",
        "formats/test_tiff_says.py::test_a_scale_of_gdal_is_obeyed",
    ),
    Statement(
        "tiles that are not stored",
        "noted",
        "they have the value of no data, or 0",
        "formats/test_tiff_says.py::test_voxels_that_are_not_stored_are_noted",
    ),
    Statement(
        "axes of OME and ImageJ metadata",
        "obeyed",
        "channels are no label map",
        "formats/test_tiff_says.py::test_channels_that_ome_names_are_no_label_map",
    ),
    Statement(
        "PhysicalSize, spacing and unit of OME and ImageJ",
        "obeyed",
        "the spacing",
        "formats/test_tiff.py::test_ome_spacing",
    ),
    Statement(
        "NewSubfileType, several images",
        "refused",
        "unless all others are smaller copies",
        "formats/test_tiff.py::test_several_images_are_refused",
    ),
    Statement(
        "XResolution, YResolution, ResolutionUnit alone",
        "irrelevant",
        "they are of printers",
        "formats/test_tiff.py::test_resolution_tags_alone_are_not_trusted",
    ),
    Statement("SamplesPerPixel", "refused", "colours are no labels", "formats/test_tiff.py::test_colours_are_refused"),
    Statement(
        "what later pages state",
        "obeyed",
        "pages that state another place, orientation, palette or no data than the first are refused",
        "formats/test_tiff_pages.py::test_pages_that_state_something_else_than_the_first_are_refused",
    ),
    Statement(
        "PhotometricInterpretation of colours and cameras",
        "refused",
        "also of a single sample",
        "formats/test_tiff_pages.py::test_samples_of_colours_and_of_cameras_are_no_labels",
    ),
    Statement(
        "Decode, LinearizationTable, BlackLevel",
        "refused",
        "they change what is stored",
        "formats/test_tiff_pages.py::test_tags_that_change_what_is_stored_are_refused",
    ),
    Statement(
        "RPCCoefficientTag",
        "obeyed",
        "other polynomials are another place",
        "formats/test_tiff_pages.py::test_rational_polynomials_place_a_picture",
    ),
    Statement(
        "calibration of ImageJ (cf, c0, c1)",
        "obeyed",
        "a straight line scales stored values; other functions are refused",
        "formats/test_imagej.py::test_values_are_calibrated_by_a_straight_line",
    ),
    Statement(
        "origin of ImageJ",
        "obeyed",
        "compared with that of other files of ImageJ",
        "formats/test_imagej.py::test_the_origin_is_compared",
    ),
    Statement(
        "MinSampleValue, TransferFunction, GrayResponseCurve, look-up tables of ImageJ",
        "irrelevant",
        "how it is shown and printed",
        "formats/test_tiff.py::test_resolution_tags_alone_are_not_trusted",
    ),
)
