"""Conventions of instances, against what the packages themselves said; torchmetrics, MONAI and exacta are asked again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays
from support.instance_cases import PEERS, cells, lesions

import fastseg
from fastseg import InstanceMatching, component_dice, match_instances
from fastseg.metrics.instances import INSTANCE_CONVENTIONS

A, B = PEERS["A"], PEERS["B"]
CLOSE: dict[str, Any] = {"rel": 1e-6, "abs": 1e-6}  # most of them count in float32


def counts(matching: InstanceMatching) -> tuple[int, int, int]:
    return matching.tp, matching.fp, matching.fn


PANOPTICA = {
    "panoptica A naive IoU>=.5": {},
    "panoptica A naive many to one": {"matching": "many_to_one"},
    "panoptica A naive IoU>=.1": {"threshold": 0.1},
    "panoptica A bipartite DSC 1e-6 (BraTS 2026)": {"matching": "optimal", "criterion": "dice", "threshold": 1e-6},
    "panoptica A maximize merge": {"matching": "merge"},
    "B panoptica naive IoU>=.5": {},
    "B panoptica naive strict .5": {"strict": True},
    "B panoptica naive >=.1": {"threshold": 0.1},
    "B panoptica naive many-to-one >=.1": {"threshold": 0.1, "matching": "many_to_one"},
    "B panoptica bipartite >=.5": {"matching": "optimal"},
    "B panoptica bipartite >=.1": {"matching": "optimal", "threshold": 0.1},
    "B panoptica maximize merge >=.5": {"matching": "merge"},
}


@pytest.mark.parametrize("name", PANOPTICA)
def test_panoptica(name: str) -> None:
    if " A " in name:
        wanted, found = A[name], match_instances(*lesions(), connectivity=26, convention="panoptica", **PANOPTICA[name])
    else:
        wanted, found = B[name], match_instances(*cells()[:2], convention="panoptica", **PANOPTICA[name])
    assert counts(found) == (wanted["tp"], wanted["fp"], wanted["fn"])
    assert found.recognition_quality == pytest.approx(wanted["rq"], **CLOSE)
    assert found.segmentation_quality == pytest.approx(wanted["sq"], **CLOSE)
    assert found.panoptic_quality == pytest.approx(wanted["pq"], **CLOSE)
    assert found.segmentation_quality_dice == pytest.approx(wanted["sq_dsc"], **CLOSE)
    assert found.panoptic_quality_dice == pytest.approx(wanted["pq_dsc"], **CLOSE)


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.75])
def test_stardist(threshold: float) -> None:
    wanted, found = B[f"B stardist thresh {threshold}"], match_instances(*cells()[:2], threshold, convention="stardist")
    assert counts(found) == (wanted["tp"], wanted["fp"], wanted["fn"])
    for own, theirs in {
        "precision": "precision", "recall": "recall", "accuracy": "accuracy", "f1": "f1",
        "panoptic_quality": "panoptic_quality", "segmentation_quality": "mean_matched_score",
    }.items():  # fmt: skip
        assert getattr(found, own) == pytest.approx(wanted[theirs], **CLOSE), own


@pytest.mark.parametrize("criterion", ["reference", "prediction"])
def test_stardist_with_one_sided_scores(criterion: str) -> None:
    wanted = B[f"B stardist {'iot' if criterion == 'reference' else 'iop'} .5"]
    found = match_instances(*cells()[:2], convention="stardist", criterion=f"intersection_over_{criterion}")
    assert counts(found) == (wanted["tp"], wanted["fp"], wanted["fn"])


def test_cellpose() -> None:
    accuracies, *wanted = B["B cellpose ap/tp/fp/fn at .1 .5 .75"]
    found = [match_instances(*cells()[:2], t, convention="cellpose") for t in (0.1, 0.5, 0.75)]
    assert [each.accuracy for each in found] == pytest.approx(accuracies, **CLOSE)
    assert [list(each) for each in zip(*map(counts, found), strict=True)] == wanted


@pytest.mark.parametrize(("convention", "challenge"), [("brats", "BraTS-GLI"), ("brats-met", "BraTS-MET")])
def test_brats(convention: str, challenge: str) -> None:
    wanted = A[f"BraTS-2023 {challenge}"]
    found = match_instances(*lesions(), convention=convention, surface="surfel")
    assert counts(found) == (wanted["Num_TP"], wanted["Num_FP"], wanted["Num_FN"])
    assert found.instance_dice == pytest.approx(wanted["LesionWise_Score_Dice"], **CLOSE)
    assert found.instance_distance() == pytest.approx(wanted["LesionWise_Score_HD95"], **CLOSE)


def test_surfaces_of_what_panoptica_found() -> None:
    for name, options in (("panoptica A naive IoU>=.5", {}), ("panoptica A naive IoU>=.1", {"threshold": 0.1})):
        found = match_instances(
            *lesions(), connectivity=26, convention="panoptica", surface="voxel", spacing=1, **options
        )
        assert found.surfaces is not None
        assert fastseg.hd95(found.surfaces, convention="panoptica").mean() == pytest.approx(A[name]["sq_hd95"])


def test_volumes_decide_what_brats_counts() -> None:
    """The lesion of 8 voxels that was missed has 8 mm³, or 1."""
    large, small = (match_instances(*lesions(), convention="brats-met", spacing=s) for s in (None, 0.5))
    assert (large.fn, small.fn) == (1, 0)
    assert (large.voxel_ml, small.voxel_ml) == (None, 0.000125)


def test_autopet_isles_and_segauge() -> None:
    autopet, isles = (match_instances(*lesions(), convention=name) for name in ("autopet", "isles"))
    assert [autopet.false_positive_voxels, autopet.false_negative_voxels] == A["autoPET fp/fn voxels, dice"][:2]
    assert [isles.f1, isles.count_difference] == A["ISLES22 lesion f1, lesion count difference"]
    for neighbours, name in ((6, "None"), (26, "3")):
        found = match_instances(*lesions(), 0.1, strict=False, connectivity=neighbours)
        wanted = A[f"segauge connectivity={name}, IoU>=0.1 tp fp fn precision recall f1"]
        assert [*counts(found), found.precision, found.recall, found.f1] == pytest.approx(wanted)


def test_coco_and_torchmetrics_treat_void_differently() -> None:
    true, pred, true_classes, pred_classes = cells()
    options: dict[str, Any] = {"true_classes": true_classes, "pred_classes": pred_classes, "stuff": [3]}
    coco, torchmetrics = (
        match_instances(true, pred, convention=c, **options) for c in ("coco-panoptic", "torchmetrics")
    )
    assert coco.panoptic_quality == pytest.approx(0.1937, abs=5e-5)  # of panopticapi
    wanted = B["B torchmetrics class 0 unknown = void (allow_unknown_preds_category=True) per class sq rq"]
    found = [torchmetrics.of_classes(f"{each}_quality") for each in ("panoptic", "segmentation", "recognition")]
    assert np.nan_to_num(np.array(found).T) == pytest.approx(np.array(wanted), **CLOSE)
    assert torchmetrics.panoptic_quality == pytest.approx(0.4810, abs=5e-5)


def test_monai() -> None:
    for threshold in (0.1, 0.5):
        found = match_instances(*cells()[:2], threshold, convention="monai")
        wanted = B[f"B monai tp fp fn iou_sum thr {threshold}"]
        assert [*counts(found), float(found.pairs.iou.sum())] == pytest.approx(wanted, **CLOSE)


def test_ioumatch_and_funlib() -> None:
    wanted = B["B ioumatch tp greedy > .5, >= .5, > .1; hungarian > .5, >= .5, > .1"]
    rules = [(0.5, True), (0.5, False), (0.1, True)]
    found = [match_instances(*cells()[:2], t, strict=s, matching=m).tp for m in ("greedy", "optimal") for t, s in rules]
    assert found == wanted
    funlib = match_instances(*cells()[:2], strict=False, matching="optimal")
    assert funlib.tp == B["B funlib detection iou >= 0.5"]["tp"]
    assert funlib.segmentation_quality == pytest.approx(B["B funlib detection iou >= 0.5"]["avg_iou"], **CLOSE)


NOTHING = {  # both maps are empty; the truth is; the prediction is
    "panoptica": ("f1", [np.nan, 0, 0]),
    "exacta": ("f1", [np.nan, 0, 0]),
    "brats": ("instance_dice", [1, 0, 0]),
    "isles": ("f1", [1, 0, 0]),
    "stardist": ("precision", [0, 0, 0]),
    "cellpose": ("accuracy", [np.nan, 0, 0]),
    "monai": ("panoptic_quality", [0, 0, 0]),
    "fastseg": ("precision", [np.nan, 0, np.nan]),
}


@pytest.mark.parametrize("convention", NOTHING)
def test_what_nothing_is_worth(convention: str) -> None:
    some = np.zeros((5, 6, 6), np.uint8)
    some[1:4, 1:5, 1:6] = 1
    metric, wanted = NOTHING[convention]
    pairs = ((some * 0, some * 0), (some * 0, some), (some, some * 0))
    found = [getattr(match_instances(*maps, convention=convention), metric) for maps in pairs]
    assert found == pytest.approx(wanted, nan_ok=True)


def test_the_names_of_the_conventions() -> None:
    assert all(convention.name == name for name, convention in INSTANCE_CONVENTIONS.items())
    with pytest.raises(
        ValueError, match=r"convention: expected one of .*; found 'coco-panoptik' \(did you mean 'coco-panoptic'"
    ):
        match_instances([1], [1], convention="coco-panoptik")


# ---- Asked again
def ids(classes: int) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.int64, (6, 7), elements=st.integers(0, classes))


@pytest.mark.torch
@given(true=ids(4), pred=ids(4), threshold=st.sampled_from([0.2, 0.5, 0.7]))
@settings(max_examples=60, deadline=None)
def test_monai_itself(true: np.ndarray, pred: np.ndarray, threshold: float) -> None:
    import torch
    from monai.metrics.panoptic_quality import compute_panoptic_quality

    found = match_instances(true, pred, threshold, convention="monai")
    for name in ("pq", "sq", "rq"):
        wanted = compute_panoptic_quality(
            torch.tensor(pred), torch.tensor(true), metric_name=name, match_iou_threshold=threshold
        )
        own = {"pq": "panoptic", "sq": "segmentation", "rq": "recognition"}[name] + "_quality"
        assert getattr(found, own) == pytest.approx(float(wanted), **CLOSE), name


@pytest.mark.torch
@given(maps=arrays(np.int64, (2, 2, 30), elements=st.integers(0, 4)))
@settings(max_examples=60, deadline=None)
def test_torchmetrics_itself(maps: np.ndarray) -> None:
    """Two samples of things 1, stuff 2 and what is unknown; an id is class and number together."""
    import torch
    from torchmetrics.functional.detection import panoptic_quality

    true, pred = maps  # 0 is void, 1 and 3 are things of class 1, 2 and 4 stuff of class 2
    classes = {1: 1, 3: 1, 2: 2, 4: 2}
    pairs = [torch.tensor(np.stack([np.vectorize({0: 9, **classes}.get)(m), m], axis=-1)) for m in (pred, true)]
    wanted = panoptic_quality(
        *pairs, things={1}, stuffs={2}, allow_unknown_preds_category=True, return_sq_and_rq=True, return_per_class=True
    )
    found = match_instances(
        true, pred, sample_axis=0, true_classes=classes, pred_classes=classes, stuff=2, convention="torchmetrics"
    )
    for k, name in enumerate(("panoptic", "segmentation", "recognition")):
        own = dict(zip(found.classes.tolist(), found.of_classes(f"{name}_quality").tolist(), strict=True))
        assert [np.nan_to_num(own.get(c, 0.0)) for c in (1, 2)] == pytest.approx(wanted[:, k].tolist(), **CLOSE)


@pytest.mark.torch
@given(maps=arrays(np.uint8, (2, 5, 6, 4), elements=st.sampled_from([0, 0, 1])), rule=st.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_exacta_itself(maps: np.ndarray, rule: int) -> None:
    import torch
    from exacta import lesions as peer

    true, pred = maps
    matching = ("greedy", "hungarian", "merge", "greedy")[rule]
    options: dict[str, Any] = {"threshold": 0.2 if rule == 3 else 0.5, "score": "dice" if rule == 3 else "iou"}
    wanted = peer.evaluate(
        torch.tensor(pred)[None], torch.tensor(true)[None], matching=matching, connectivity=3, num_classes=2,
        include_background=False, **options,
    )  # fmt: skip
    found = match_instances(
        true, pred, options["threshold"], criterion=options["score"], connectivity=26, convention="exacta",
        matching={"hungarian": "optimal"}.get(matching, matching),
    )  # fmt: skip
    assert counts(found) == tuple(int(getattr(wanted, name)) for name in ("tp", "fp", "fn"))
    for own, theirs in {"f1": "f1", "segmentation_quality": "sq_iou", "panoptic_quality_dice": "pq_dice"}.items():
        assert getattr(found, own) == pytest.approx(float(getattr(wanted, theirs)), nan_ok=True), own
    assert found.instance_dice == pytest.approx(float(wanted.lesion_dice), nan_ok=True)
    brats = peer.evaluate(
        torch.tensor(pred)[None], torch.tensor(true)[None], matching="overlap", connectivity=3, dilation=1,
        dilation_connectivity=2, min_target_volume=2.0, both_empty=1.0, num_classes=2, include_background=False,
    )  # fmt: skip
    found = match_instances(true, pred, convention="brats-met")
    assert counts(found) == tuple(int(getattr(brats, name)) for name in ("tp", "fp", "fn"))
    assert found.instance_dice == pytest.approx(float(brats.lesion_dice))


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore:Voronoi computation is running on CPU")
@given(maps=arrays(np.uint8, (2, 2, 5, 6, 4), elements=st.sampled_from([0, 0, 0, 1])))
@settings(max_examples=10, deadline=None)
def test_monai_per_component(maps: np.ndarray) -> None:
    import torch
    from monai.metrics import compute_dice

    true, pred = (torch.nn.functional.one_hot(torch.tensor(m).long(), 2).movedim(-1, 1).float() for m in maps)
    wanted = compute_dice(pred, true, per_component=True)
    assert component_dice(*maps, sample_axis=0) == pytest.approx(wanted.numpy().reshape(-1), nan_ok=True, **CLOSE)


def test_per_component_of_the_lesions() -> None:
    assert component_dice(*lesions()) == pytest.approx(B["A monai per_component Dice"][0][0], **CLOSE)
    assert np.isnan(component_dice(*np.zeros((2, 3, 3), bool)))
    assert component_dice([[1, 0, 2]], [[1, 0, 0]]) == 0.5
    assert component_dice([[1, 0, 2]], [[1, 0, 0]], region=1) == 1.0
