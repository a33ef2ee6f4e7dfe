"""Conventions of metrics of surfaces: what each package said, and says where it is installed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from support.surface_cases import cases
from support.surface_peers import pairs, said

import fastseg
from fastseg import surface_distances
from fastseg.counts import DIRECTIONS
from fastseg.metrics.surface_conventions import SURFACE_CONVENTIONS, surface_convention
from fastseg.metrics.surfaces import SURFACE_METRICS, hausdorff_distance, hd95, normalized_surface_dice

CASES = cases()
ASD, ASSD, MASD = (f"{word}_surface_distance" for word in ("average", "average_symmetric", "mean_average"))
NSD: dict[str, Any] = {"tolerance": 1.0}
#: What each number of `said` is here.
NUMBERS: dict[str, dict[str, tuple[str, dict[str, Any]]]] = {
    "monai": {
        "hd": ("hausdorff_distance", {}),
        "hd95": ("hd95", {}),
        "asd_pred_to_true": (ASD, {}),
        "assd": (ASSD, {}),
        "nsd": ("normalized_surface_dice", NSD),
        "nsd_subvoxels": ("normalized_surface_dice", {**NSD, "surface": "surfel"}),
    },
    "medpy": {
        "hd": ("hausdorff_distance", {}),
        "hd95": ("hd95", {}),
        "asd_pred_to_true": (ASD, {}),
        "assd": (ASSD, {}),
    },
    "surface-distance": {
        "hd": ("hausdorff_distance", {}),
        "hd95": ("hd95", {}),
        "asd_true_to_pred": (ASD, {"direction": "true_to_pred"}),
        "asd_pred_to_true": (ASD, {"direction": "pred_to_true"}),
        "nsd": ("normalized_surface_dice", NSD),
    },
    "metrics-reloaded": {
        "hd": ("hausdorff_distance", {}),
        "hd95": ("hd95", {}),
        "assd": (ASSD, {}),
        "masd": (MASD, {}),
        "nsd": ("normalized_surface_dice", NSD),
    },
    "simpleitk": {"hd": ("hausdorff_distance", {}), "average_hd": (MASD, {})},
    "panoptica": {
        "hd": ("hausdorff_distance", {}),
        "hd95": ("hd95", {}),
        "assd": (ASSD, {}),
        "nsd": ("normalized_surface_dice", NSD),
    },
    "mikan": {
        "hd": ("hausdorff_distance", {}),
        "hd95": ("hd95", {}),
        "assd": (ASSD, {}),
        "masd": (MASD, {}),
    },
    "exacta": {
        "hd": ("hausdorff_distance", {}),
        "hd95": ("hd95", {}),
        "hd95_pooled": ("hd95", {"combine": "pooled"}),
        "assd": (ASSD, {}),
        "masd": (MASD, {}),
        "nsd": ("normalized_surface_dice", NSD),
    },
}
NUMBERS["exacta surfels"] = {
    name: (metric, {**own, "surface": "surfel"}) for name, (metric, own) in NUMBERS["exacta"].items()
}
#: float32; printed with six digits.
LIMITS = {"monai": 1e-6, "panoptica": 1e-6}
#: What a package raised, and what is written here instead.
RAISED = {"medpy", "mikan", "simpleitk", "panoptica"}


@pytest.mark.parametrize("peer", NUMBERS)
@pytest.mark.parametrize("case", CASES)
def test_numbers_are_what_the_peer_said(peer: str, case: str) -> None:
    true, pred, spacing = CASES[case]
    told = said()[peer].get(case, {})
    if not told:
        assert peer in RAISED
        told = dict.fromkeys(NUMBERS[peer], math.nan)
    assert told.keys() <= NUMBERS[peer].keys() | {"area_true", "area_pred", "biou_d2_voxels", "cldice"}
    for number, (metric, own) in NUMBERS[peer].items():
        found = getattr(fastseg, metric)(true, pred, spacing=spacing, convention=peer.split()[0], **own)
        limit = LIMITS.get(peer, 1e-12)
        expected = pytest.approx(told[number], rel=limit, abs=limit, nan_ok=True)
        assert found == expected, number
        assert metric in SURFACE_CONVENTIONS[peer.split()[0]].verified


@pytest.mark.parametrize("convention", SURFACE_CONVENTIONS)
def test_a_percentile_is_the_packages_own(convention: str) -> None:
    """As its HD95 is one, where it is pooled or a class is missing."""
    options: dict[str, Any] = {"convention": convention, "surface": SURFACE_CONVENTIONS[convention].surfaces[0]}
    for true, pred, spacing in CASES.values():
        found = fastseg.hausdorff_distance(true, pred, spacing=spacing, percentile=95, **options)
        assert found == pytest.approx(fastseg.hd95(true, pred, spacing=spacing, **options), rel=0, nan_ok=True)


RAGGED: dict[str, dict[str, tuple[str, dict[str, Any]]]] = {
    "surface-distance": {
        **{f"hd{q}": ("hausdorff_distance", {"percentile": q}) for q in (5, 50, 90, 95, 100)},
        **{f"asd_{way}": (ASD, {"direction": way}) for way in DIRECTIONS},
        **{f"overlap_{way}": ("surface_overlap", {"direction": way, "tolerance": 1.1}) for way in DIRECTIONS},
        "nsd": ("normalized_surface_dice", {"tolerance": 1.1}),
    },
    "mikan": NUMBERS["mikan"],
}


@pytest.mark.parametrize("peer", RAGGED)
def test_numbers_of_ragged_masks_are_what_the_peer_said(peer: str) -> None:
    asked = 0
    for name, (true, pred, spacing) in pairs().items():
        for number, told in said()[peer].get(name, {}).items():
            metric, own = RAGGED[peer][number]
            found = getattr(fastseg, metric)(true, pred, spacing=spacing, convention=peer, **own)
            exact = (
                number.startswith("hd") and peer == "surface-distance"
            )  # percentiles are distances, never between two
            assert found == (told if exact else pytest.approx(told, rel=1e-12)), (name, number)
            asked += 1
    assert asked == {"surface-distance": 200, "mikan": 32}[peer]


def test_brats_is_panoptica_but_for_its_penalty() -> None:
    true, pred, spacing = CASES["balls"]
    for metric, own in (("hd95", {}), ("normalized_surface_dice", NSD)):
        one, other = (
            getattr(fastseg, metric)(true, pred, spacing=spacing, convention=name, **own)
            for name in ("brats", "panoptica")
        )
        assert one == other
    for case, expected in {"prediction empty": 373, "truth empty": 373, "both empty": math.nan}.items():
        true, pred, spacing = CASES[case]
        assert fastseg.hd95(true, pred, spacing=spacing, convention="brats") == pytest.approx(expected, nan_ok=True)
        found = fastseg.nsd(true, pred, spacing=spacing, convention="brats", **NSD)
        assert found == pytest.approx(0 if expected == 373 else math.nan, nan_ok=True)


def test_what_is_given_wins_over_the_convention() -> None:
    true, pred, spacing = CASES["balls"]
    surfaces = surface_distances(true, pred, spacing=spacing)
    np.testing.assert_array_equal(hd95(surfaces, convention="medpy", combine="max"), hd95(surfaces))
    assert hd95(surfaces, convention="medpy") != hd95(surfaces)
    missing = surface_distances(*CASES["prediction empty"][:2], spacing=1)
    assert hd95(missing, convention="brats").item() == 373
    assert hd95(missing, convention="brats", one_empty=374).item() == 374
    nothing = surface_distances(*CASES["both empty"][:2], spacing=1)
    assert hausdorff_distance(nothing, convention="metrics-reloaded").item() == 0
    assert hausdorff_distance(nothing, convention="metrics-reloaded", both_empty=5).item() == 5


def test_a_mean_from_a_surface_that_is_not_there_is_undefined_for_surface_distance() -> None:
    for case, value in {
        "prediction empty": math.nan,
        "truth empty": math.inf,
    }.items():  # from the prediction, by default
        true, pred, spacing = CASES[case]
        found = fastseg.asd(true, pred, spacing=spacing, convention="surface-distance")
        assert found == pytest.approx(value, nan_ok=True)
        found = fastseg.asd(true, pred, spacing=spacing, convention="surface-distance", one_empty=5)
        assert found == 5


def test_a_missing_class_is_worth_the_diagonal_of_its_image() -> None:
    maps = np.zeros((3, 4, 9, 6), bool)
    maps[0, 1:3, 2:4, 2:4] = maps[2, 1:3, 2:4, 2:4] = True
    surfaces = surface_distances(maps, np.stack([maps[1], maps[1], maps[0]]), spacing=(3, 1, 2), sample_axis=0)
    diagonal = np.sqrt(12**2 + 9**2 + 12**2)
    for metric in ("hausdorff_distance", "hd95", ASSD):
        found = SURFACE_METRICS[metric](surfaces, one_empty="diagonal")
        np.testing.assert_allclose(found[:, 0], [diagonal, np.nan, 0])
        found = SURFACE_METRICS[metric](surfaces, one_empty="diagonal", average="macro", convention="metrics-reloaded")
        np.testing.assert_allclose(found, [diagonal, 0, 0])
    apart = [surface_distances(maps[0], maps[1], spacing=step) for step in (1, 2)]
    found = hd95(apart[0].concat(apart[1]), one_empty="diagonal")
    np.testing.assert_allclose(found[:, 0], np.linalg.norm((4, 9, 6)) * np.array([1, 2]))
    with pytest.raises(TypeError, match="one_empty: expected a number, or 'diagonal', found 'diagonals'"):
        hd95(surfaces, one_empty="diagonals")
    with pytest.raises(
        ValueError, match="one_empty: expected a number for normalized_surface_dice, which is no distance"
    ):
        normalized_surface_dice(surfaces, one_empty="diagonal", **NSD)
    other = surface_distances(maps[0], maps[1], spacing=1)
    with pytest.raises(
        ValueError, match="one_empty: expected cases of one spacing for 'diagonal', found several that were"
    ):
        hd95(surfaces.concat(other).pooled(), one_empty="diagonal")


def test_a_convention_of_other_elements_says_so() -> None:
    true, pred, spacing = CASES["cube"]
    surfaces = surface_distances(true, pred, spacing=spacing)
    with pytest.raises(
        ValueError,
        match="convention: hd95 of 'surface-distance' is of the elements 'surfel', found surfaces of 'voxel'; measure them "
        "with surface='surfel'",
    ):
        hd95(surfaces, convention="surface-distance")
    with pytest.raises(ValueError, match="convention: 'mikan' takes what is outside of the image for 'extend', found"):
        hd95(surfaces, convention="mikan")
    with pytest.raises(ValueError, match=r"convention: expected one of .*; found 'medpi' \(did you mean 'medpy'\?\)"):
        hd95(surfaces, convention="medpi")
    with pytest.raises(ValueError, match="elements 'object', found"):
        fastseg.hd95(true, pred, spacing=1, convention="simpleitk", surface="voxel")
    surfels = surface_distances(true, pred, spacing=spacing, surface="surfel")
    assert normalized_surface_dice(surfels, convention="monai", **NSD).shape == (1, 1)
    with pytest.raises(ValueError, match="convention: hd95 of 'monai' is of the elements 'voxel', found"):
        hd95(surfels, convention="monai")


def test_table() -> None:
    names = {metric.name for metric in SURFACE_METRICS.values()}
    for name, convention in SURFACE_CONVENTIONS.items():
        assert surface_convention(name) is convention
        assert convention.name == name
        assert convention.description.endswith(".")
        assert convention.description.count(". ") == 0
        assert {*convention.verified, *convention.options, *convention.empty, *convention.surfaces_of} <= names
        for metric, options in convention.options.items():
            assert options.keys() <= {p.name for p in SURFACE_METRICS[metric].own}


def test_fastsegs_own_convention_is_none() -> None:
    for case in CASES.values():
        surfaces = surface_distances(*case[:2], spacing=case[2])
        for metric in SURFACE_METRICS.values():
            own = NSD if "tolerance" in {p.name for p in metric.own} else {}
            np.testing.assert_array_equal(metric(surfaces, **own), metric(surfaces, convention="fastseg", **own))
