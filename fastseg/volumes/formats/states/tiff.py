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
        "read where the data say that nothing was lost: an error of 0, the reversible transform, no XYB; a stream of JPEG "
        "2000 that was cut short does not say so",
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
)
