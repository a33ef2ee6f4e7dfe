"""The metrics of surfaces, and of parts of objects, explained: a row for each that is registered."""

from __future__ import annotations

from ext.explanation import Explanation

__all__ = ["SURFACES"]

_SPACING = "Distances are in mm where the spacing is, in the order of the array's axes. "

SURFACES = {
    "hausdorff_distance": Explanation(
        formula=r"\max(FAR_T, FAR_P)",
        reading=_SPACING
        + "The largest error there is: a single stray voxel at the other end of the image decides it, so that it is for "
        "those who have to know of every voxel. Most report a percentile of it (`percentile=`, [hd95](hd95.md)) instead.",
        peers={
            "monai": "monai.metrics.compute_hausdorff_distance",
            "torchmetrics": "torchmetrics.functional.segmentation.hausdorff_distance of square images; of others it is "
            "wrong or raises an error",
            "exacta": "exacta.functional.hausdorff_distance",
        },
    ),
    "hd95": Explanation(
        formula=r"\max(P95_T, P95_P)",
        reading=_SPACING
        + "How far away the farthest twentieth of a surface begins. It forgives a stray voxel, and a missed lesion, too, if "
        "that is a small part of the surface. Percentiles are taken in at least three ways: say which "
        "([conventions](../guide/conventions.md#surfaces)).",
        peers={
            "monai": "monai.metrics.compute_hausdorff_distance with `percentile=95`",
            "exacta": "exacta.functional.hd95",
        },
    ),
    "average_surface_distance": Explanation(
        formula=r"\frac{SUM_DP}{N_P}",
        reading=_SPACING
        + "How far the elements of one surface are from the other on average: by default those of the prediction, which does "
        'not see what was missed; `direction="true_to_pred"` does not see what was invented.',
        peers={"monai": "monai.metrics.compute_average_surface_distance"},
    ),
    "average_symmetric_surface_distance": Explanation(
        formula=r"\frac{SUM_DT + SUM_DP}{N_T + N_P}",
        reading=_SPACING
        + "The mean over the elements of both surfaces, so the larger surface has more to say. Some packages call the mean "
        "of both means by this name, which is [another number](mean_average_surface_distance.md).",
        peers={
            "monai": "monai.metrics.compute_average_surface_distance with `symmetric=True`",
            "exacta": "exacta.functional.assd",
        },
    ),
    "mean_average_surface_distance": Explanation(
        formula=r"\frac{1}{2} \cdot (\frac{SUM_DT}{N_T} + \frac{SUM_DP}{N_P})",
        reading=_SPACING + "Both surfaces have as much to say, however large they are. panoptica calls it ASSD.",
        peers={"exacta": 'exacta.functional.assd with `combine="mean"`'},
    ),
    "normalized_surface_dice": Explanation(
        formula=r"\frac{NEAR_T + NEAR_P}{N_T + N_P}",
        reading="The part of both surfaces that need not be corrected if an error up to the tolerance τ is none. Choose τ as "
        "far as two experts differ, and say it: without it the number means nothing. A curve over tolerances shows what the "
        "choice does.",
        options={"tolerance": 0.5},
        peers={
            "monai": "monai.metrics.compute_surface_dice with `class_thresholds=[0.5]`",
            "exacta": "exacta.functional.nsd",
        },
    ),
    "surface_overlap": Explanation(
        formula=r"\frac{NEAR_T}{N_T}",
        reading="NSD of one direction: by default the part of the truth's surface that was found within τ, as recall is of "
        'voxels; `direction="pred_to_true"` is its precision.',
        options={"tolerance": 0.5},
    ),
    "boundary_iou": Explanation(
        formula=r"\frac{|T_d \cap P_d|}{|T_d \cup P_d|}",
        worked=r"\frac{TP}{TP + FP + FN}",
        reading="IoU of what is near the boundaries. IoU of a large object is near 1 even if its boundary is poor; boundary "
        "IoU is not. Of objects as small as in the example all is near, and it is IoU.",
        options={"distance": 1},
    ),
    "centerline_dice": Explanation(
        formula=r"\frac{2 \, p \, s}{p + s}, \quad p = \frac{IN_P}{LINE_P}, \quad s = \frac{IN_T}{LINE_T}",
        worked=r"\frac{2 \cdot \frac{IN_P}{LINE_P} \cdot \frac{IN_T}{LINE_T}}{\frac{IN_P}{LINE_P} + \frac{IN_T}{LINE_T}}",
        reading="Whether thin structures are found from end to end: a vessel that is cut loses its line, one that is too "
        "thin or too thick does not. It says nothing of volume: read it beside Dice. Lines are skeletons, of which some "
        "solid objects, such as a cube, have none; then it is undefined.",
    ),
}
