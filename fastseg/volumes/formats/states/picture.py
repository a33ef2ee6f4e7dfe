"""What PNG, BMP, GIF, WebP and Netpbm pictures files can state, and what is done with it."""

from __future__ import annotations

from fastseg.volumes.statements import Statement

STATES = (
    Statement(
        "bit depth, maxval",
        "obeyed",
        "samples are not stretched",
        "formats/test_picture.py::test_netpbm_samples_are_not_stretched",
    ),
    Statement(
        "palette",
        "obeyed",
        "labels are the indexes; two palettes in unlike order are compared by colour, of unlike colours refused",
        "../counting/test_palettes.py::test_the_same_colours_in_another_order_are_compared_by_colour",
    ),
    Statement(
        "palettes from white to black",
        "refused",
        "programs do not agree on what a negative holds",
        "formats/test_picture.py::test_palettes_from_white_to_black_are_refused",
    ),
    Statement("colour, alpha", "refused", "colours are no labels", "formats/test_picture.py::test_colours_are_refused"),
    Statement(
        "lossy codecs",
        "refused",
        "JPEG, and WebP unless it is lossless",
        "formats/test_picture.py::test_lossy_pictures_are_refused",
    ),
    Statement("animation", "refused", "", "formats/test_picture.py::test_several_frames_are_refused"),
    Statement(
        "Exif Orientation",
        "refused",
        "some programs turn the picture, some do not",
        "formats/test_picture_says.py::test_greys_that_were_stretched_or_are_turned_are_refused",
    ),
    Statement(
        "sBIT of PNG",
        "refused",
        "where greys were stretched from fewer bits",
        "formats/test_picture_says.py::test_greys_that_were_stretched_or_are_turned_are_refused",
    ),
    Statement(
        "gAMA, sRGB, tRNS, pHYs of PNG",
        "irrelevant",
        "how it is shown and printed",
        "formats/test_picture_says.py::test_how_greys_are_shown_or_printed_changes_nothing",
    ),
    Statement(
        "direction of rows of BMP", "obeyed", "", "formats/test_picture_says.py::test_rows_of_bmp_from_above_or_below"
    ),
    Statement(
        "scale and byte order of PFM",
        "obeyed",
        "",
        "formats/test_picture_says.py::test_scale_and_byte_order_of_pfm_are_obeyed",
    ),
    Statement(
        "black and white of PBM",
        "obeyed",
        "white is 1, black 0, as everybody reads it",
        "formats/test_picture_says.py::test_a_bit_of_pbm_is_its_colour",
    ),
    Statement(
        "eXIf, Exif and XMP in texts, before or behind the pixels of PNG",
        "refused",
        "where they say that the picture is to be turned",
        "formats/test_png_says.py::test_a_picture_to_be_turned_is_refused_wherever_it_says_so",
    ),
    Statement(
        "pCAL of PNG",
        "refused",
        "values stand for others",
        "formats/test_png_says.py::test_values_and_chunks_that_nobody_knows_are_refused",
    ),
    Statement(
        "sCAL of PNG",
        "obeyed",
        "the spacing, in metres",
        "formats/test_png_says.py::test_the_size_of_pixels_and_the_place_in_a_larger_picture_are_compared",
    ),
    Statement(
        "oFFs of PNG",
        "obeyed",
        "the place in a larger picture, where both say it",
        "formats/test_png_says.py::test_the_size_of_pixels_and_the_place_in_a_larger_picture_are_compared",
    ),
    Statement(
        "critical chunks of PNG that are not known",
        "refused",
        "",
        "formats/test_png_says.py::test_values_and_chunks_that_nobody_knows_are_refused",
    ),
    Statement(
        "several pictures in a Netpbm file",
        "refused",
        "",
        "formats/test_png_says.py::test_several_pictures_in_a_netpbm_file_are_refused",
    ),
)
