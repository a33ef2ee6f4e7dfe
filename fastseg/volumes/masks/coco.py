"""Masks from COCO's JSON: a class is the union of the annotations of a category in a picture."""

from __future__ import annotations

import functools
import json
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes.decoded import DecodedVolume, failures_of, quiet
from fastseg.volumes.errors import VolumeError
from fastseg.volumes.masks.runs import checked_counts, fill
from fastseg.volumes.masks.source import Layer, MaskSource
from fastseg.volumes.paths import split_inside
from fastseg.volumes.volume import Geometry, require

__all__ = ["is_coco", "of_coco", "pictures_in"]

#: Pixels of a picture, beyond which its size is taken for a mistake.
_MOST_PIXELS = 1 << 30
_SHOWN = 5

Shape = tuple[int, int]


@dataclass
class Picture:
    """A picture, and what is annotated in it."""

    id: int | str
    key: str
    """Its file's name without folder and suffix; its id where the file names none."""
    file: str
    shape: Shape | None
    annotations: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    """What messages call each, and what it says."""


@dataclass
class Annotated:
    """What a file holds."""

    pictures: dict[str, Picture]
    """By key."""
    categories: dict[int, str]
    """Names, by id."""
    results: bool
    """Whether it is a list of results, which name neither pictures nor categories: what it has none of is empty."""


class CategoryVolume(DecodedVolume):
    """The union of some annotations of a picture, as a binary mask; `fastseg.volumes.volume.Volume` describes the members.

    Parameters
    ----------
    path : str
    shape : (int, int)
        Height and width.
    annotations : sequence of (str, mapping)
        What messages call each, and what it says.
    notes : sequence of str
    """

    order: Literal["F", "C"] = "F"

    def __init__(
        self, path: str, shape: Shape, annotations: Sequence[tuple[str, Mapping[str, Any]]], notes: Sequence[str] = ()
    ) -> None:
        super().__init__(path)
        self._annotations, self.notes = annotations, tuple(notes)
        self.geometry = Geometry(shape, None, (np.nan, np.nan), "yx")
        self.dtype, self.blocks = np.dtype(np.uint8), (1, 1)

    def _decode(self) -> NDArray[Any]:
        height, width = shape = self.geometry.shape
        pixels = np.zeros(height * width, np.uint8)
        for name, annotation in self._annotations:
            for counts in _runs_of(f"{self.path}: {name}", annotation.get("segmentation"), (height, width)):
                fill(pixels, counts)
        return pixels.reshape(shape, order="F")


def is_coco(path: str) -> bool:
    """Tell whether a path may be COCO's JSON, by its suffix."""
    return split_inside(path)[0].lower().endswith(".json")


def pictures_in(path: str) -> Annotated:
    """Return what a file holds; a picture is ``file.json::key``.

    Raises
    ------
    VolumeError
        If the file cannot be read, or is no such file.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        raise VolumeError(f"{path}: cannot be opened: {error.strerror}") from error
    return _parsed(path, status.st_size, status.st_mtime_ns)


def of_coco(path: str, threshold: float | None) -> MaskSource:
    """Return the masks of a picture by the names of the categories; those without annotations are empty.

    Parameters
    ----------
    path
        ``file.json::picture``, the name of its file or its id; the file alone, where it has one picture.
    threshold
        The least score of annotations that have one; None: all are taken.

    Raises
    ------
    VolumeError
        If the file cannot be read, or there is no such picture.
    """
    outer, inside = split_inside(path)
    whole = pictures_in(outer)
    picture = _picture(path, whole, inside)
    taken, notes = _scored(path, picture, threshold)
    names = _names(whole.categories)
    ids = {name: f"category {number}" for number, name in names.items()}
    shape = picture.shape or _stated(path, picture)
    of_category: dict[int, list[tuple[str, Mapping[str, Any]]]] = {}
    for name, annotation in taken:
        of_category.setdefault(annotation["category_id"], []).append((name, annotation))
    layers = []
    if shape is not None:
        layers = [
            Layer(path, partial(CategoryVolume, path, shape, of_category[number], notes), {name: None})
            for number, name in names.items()
            if number in of_category
        ]
        empty: dict[str, tuple[int, ...] | None] = {n: None for k, n in names.items() if k not in of_category}
        if empty:  # one volume of zeros is all of them
            layers.append(Layer(path, partial(CategoryVolume, path, shape, (), notes), empty))
    return MaskSource(path, layers, ids, sparse=whole.results)


def _picture(path: str, whole: Annotated, inside: str | None) -> Picture:
    if inside is None:
        if len(whole.pictures) == 1:
            return next(iter(whole.pictures.values()))
        raise VolumeError(
            f"{path}: expected one picture or the name of one (file.json::name), found {len(whole.pictures)}: "
            f"{_listed(whole.pictures)}"
        )
    if inside in whole.pictures:
        return whole.pictures[inside]
    for picture in whole.pictures.values():
        if inside in (picture.file, str(picture.id)):
            return picture
    alike = [each for each in whole.pictures.values() if _number(str(each.id)) == _number(inside)]
    if len(alike) == 1:  # 000000000139 is 139
        return alike[0]
    if whole.results:  # in which nothing was found
        return Picture(inside, inside, "", None)
    raise VolumeError(f"{path}: expected the name or id of a picture, found none such among {_listed(whole.pictures)}")


def _number(text: str) -> str:
    """Return a number without the zeros that file names are filled up with, and any other text as it is."""
    return str(int(text)) if text.isascii() and text.isdigit() and len(text) < 20 else text


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join([*list(names)[:_SHOWN], *["…"][: len(names) > _SHOWN]]) or "no pictures"


def _names(categories: Mapping[int, str]) -> dict[int, str]:
    """Return what categories are called; two of one name are told apart by their ids."""
    times = Counter(categories.values())
    return {number: n if times[n] == 1 else f"{n} ({number})" for number, n in categories.items()}


def _scored(
    path: str, picture: Picture, threshold: float | None
) -> tuple[list[tuple[str, Mapping[str, Any]]], list[str]]:
    """Return the annotations whose score suffices, and a note where nobody said which does."""
    scores = []
    for name, annotation in picture.annotations:
        score = annotation.get("score", math.inf)
        if type(score) not in (int, float) or score != score:
            raise VolumeError(f"{path}: {name}: expected a number as its score, found {score!r}")
        scores.append(score)
    if threshold is not None:
        return [each for each, score in zip(picture.annotations, scores, strict=True) if score >= threshold], []
    known = [score for score in scores if score < math.inf]
    hint = "all are taken: a threshold (threshold=, --threshold) leaves out those below"
    return picture.annotations, [f"{path}: annotations have scores from {min(known):g} on; {hint}"] if known else []


def _stated(path: str, picture: Picture) -> Shape | None:
    """Return the size that the first annotation states; None where there are none."""
    for name, annotation in picture.annotations:
        size = annotation["segmentation"].get("size") if isinstance(annotation.get("segmentation"), dict) else None
        if not isinstance(size, list) or len(size) != 2:
            raise VolumeError(
                f"{path}: {name}: expected run lengths with a size [height, width], or pictures with both"
            )
        return _checked_shape(f"{path}: {name}", *size)
    return None


def _runs_of(where: str, segmentation: Any, shape: Shape) -> list[list[int]]:
    """Return the run lengths of an annotation, of each of its polygons where it has some."""
    pixels = shape[0] * shape[1]
    parts = [segmentation]
    if isinstance(segmentation, list) and segmentation:
        parts = _of_polygons(where, segmentation, shape)
    elif not isinstance(segmentation, dict):
        raise VolumeError(f"{where}: expected a segmentation of run lengths or polygons, found none")
    elif segmentation.get("size") != [*shape]:
        raise VolumeError(
            f"{where}: expected the size {[*shape]} of its picture, found {segmentation.get('size')!r:.60}"
        )
    try:
        return [checked_counts(part.get("counts"), pixels) for part in parts]
    except ValueError as error:
        raise VolumeError(f"{where}: {error}") from None


def _of_polygons(where: str, polygons: list[Any], shape: Shape) -> list[dict[str, str]]:
    """Return polygons as pycocotools draws them, once their numbers are such that it can."""
    limit = 2 * max(shape)
    for polygon in polygons:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            raise VolumeError(f"{where}: expected polygons [x, y, x, y, …] of three points or more, found another list")
        if not all(type(number) in (int, float) and -limit <= number <= limit for number in polygon):
            raise VolumeError(f"{where}: expected points in or near the picture of size {[*shape]}, found others")
    draw = require("pycocotools.mask", "coco", where, "polygons").frPyObjects
    with failures_of("pycocotools", where), quiet("pycocotools"):
        return [{"counts": each["counts"].decode("ascii")} for each in draw(polygons, *shape)]


@functools.lru_cache(maxsize=2)  # two sides, whose pictures are counted one by one
def _parsed(path: str, _size: int, _changed: int) -> Annotated:
    try:
        with open(path, encoding="utf-8-sig") as file:
            found = json.load(file)
    except OSError as error:
        raise VolumeError(f"{path}: cannot be opened: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise VolumeError(f"{path}: expected COCO's JSON, found none: {str(error)[:200]}") from None
    results = isinstance(found, list)
    annotations = found if results else found.get("annotations") if isinstance(found, dict) else None
    if not isinstance(annotations, list) or not all(isinstance(each, dict) for each in annotations):
        raise VolumeError(
            f"{path}: expected COCO's JSON: an object with annotations, or a list of results; found neither"
        )
    pictures = {} if results else _pictures(path, found.get("images"))
    categories = {} if results else _categories(path, found.get("categories"))
    by_id: dict[int | str, Picture] = {picture.id: picture for picture in pictures.values()}
    for place, annotation in enumerate(annotations):
        name = f"annotation {annotation.get('id', place)!r:.40}" if not results else f"result {place}"
        image, category = annotation.get("image_id"), annotation.get("category_id")
        if "segments_info" in annotation:
            raise VolumeError(
                f"{path}: expected COCO's instances, found a panoptic file, whose segments are in pictures beside it: "
                "fastseg.match_panoptic_files reads these"
            )
        if type(image) not in (int, str) or type(category) is not int:
            raise VolumeError(
                f"{path}: {name}: expected image_id and a whole category_id, found {image!r:.40}, {category!r:.40}"
            )
        if results:
            by_id.setdefault(image, Picture(image, str(image), "", None))
            categories[category] = str(category)
        elif image not in by_id or category not in categories:
            what = "an image_id that images has" if image not in by_id else "a category_id that categories has"
            raise VolumeError(
                f"{path}: {name}: expected {what}, found {image if image not in by_id else category!r:.40}"
            )
        by_id[image].annotations.append((name, annotation))
    ordered = dict(sorted(categories.items()))
    return Annotated(pictures or {picture.key: picture for picture in by_id.values()}, ordered, results)


def _pictures(path: str, images: Any) -> dict[str, Picture]:
    if not isinstance(images, list) or not all(isinstance(each, dict) for each in images):
        raise VolumeError(f"{path}: expected a list of images, found none")
    found = []
    for place, image in enumerate(images):
        number, file = image.get("id"), image.get("file_name", "")
        if type(number) not in (int, str) or not isinstance(file, str):
            raise VolumeError(
                f"{path}: image {place}: expected an id and a file_name, found {number!r:.40}, {file!r:.40}"
            )
        shape = _checked_shape(f"{path}: image {number}", image.get("height"), image.get("width"))
        found.append(Picture(number, os.path.splitext(os.path.basename(file))[0] or str(number), file, shape))
    if len({picture.key for picture in found}) < len(found):  # in folders of their own
        for picture in found:
            picture.key = os.path.splitext(picture.file)[0] or str(picture.id)
    by_key = {picture.key: picture for picture in found}
    if len(by_key) < len(found) or len({picture.id for picture in found}) < len(found):
        raise VolumeError(f"{path}: expected images with an id and a file_name of their own, found one of them twice")
    return by_key


def _categories(path: str, categories: Any) -> dict[int, str]:
    if not isinstance(categories, list) or not all(isinstance(each, dict) for each in categories):
        raise VolumeError(f"{path}: expected a list of categories, found none")
    found: dict[int, str] = {}
    for place, category in enumerate(categories):
        number, name = category.get("id"), category.get("name")
        if type(number) is not int or not isinstance(name, str) or not name or number in found:
            raise VolumeError(
                f"{path}: category {place}: expected an id of its own and a name, found {number!r:.40}, {name!r:.40}"
            )
        found[number] = name
    return found


def _checked_shape(where: str, height: Any, width: Any) -> Shape:
    if type(height) is not int or type(width) is not int or min(height, width) < 1:
        raise VolumeError(f"{where}: expected height and width above 0, found {height!r:.40} and {width!r:.40}")
    if height * width > _MOST_PIXELS:
        raise VolumeError(f"{where}: expected at most {_MOST_PIXELS} pixels, found {height} × {width}")
    return height, width
