"""The metrics of counts, explained: a row for each that is registered."""

from __future__ import annotations

from ext.explanation import Explanation

__all__ = ["METRICS"]

_MONAI = 'monai.metrics.ConfusionMatrixMetric with `metric_name="{}"`'

METRICS = {
    "iou": Explanation(
        formula=r"\frac{TP}{TP + FP + FN}",
        reading="What both maps have of a class, as a fraction of what either has. It ranks two predictions of one class as "
        "Dice does (IoU = Dice / (2 − Dice)), but means of it may rank them otherwise, since it is harder on poor "
        "cases. Of small objects it falls fast: a border of one voxel, lost all around a ball of 10 voxels' diameter,"
        " halves it.",
        peers={"nnunet": "`IoU` in summary.json", "exacta": "exacta.functional.iou"},
    ),
    "dice": Explanation(
        formula=r"\frac{2 \cdot TP}{2 \cdot TP + FP + FN}",
        reading="The harmonic mean of precision and recall. It says nothing of *where* the errors are: a smooth shift of a "
        "border and a hole inside may cost the same. Do not compare it between structures of different sizes.",
        peers={"nnunet": "`Dice` in summary.json", "exacta": "exacta.functional.dice"},
    ),
    "precision": Explanation(
        formula=r"\frac{TP}{TP + FP}",
        reading="Of what was predicted, the fraction that is right. A prediction of a single right voxel reaches 1: read it "
        "beside recall.",
        peers={"monai": _MONAI.format("precision"), "exacta": "exacta.functional.precision"},
    ),
    "recall": Explanation(
        formula=r"\frac{TP}{TP + FN}",
        reading="Of what is there, the fraction that was found. Predicting the class everywhere reaches 1: read it beside "
        "precision.",
        peers={"monai": _MONAI.format("sensitivity"), "exacta": "exacta.functional.sensitivity"},
    ),
    "specificity": Explanation(
        formula=r"\frac{TN}{TN + FP}",
        reading="Of what is not the class, the fraction that was left alone. In segmentation the background is most of the "
        "image, so that it is near 1 for any prediction, and depends on how the image was cropped.",
        peers={"monai": _MONAI.format("specificity"), "exacta": "exacta.functional.specificity"},
    ),
    "negative_predictive_value": Explanation(
        formula=r"\frac{TN}{TN + FN}",
        reading="Of what was not predicted, the fraction that is rightly so. As specificity, it is near 1 where the "
        "background is large.",
        peers={"monai": _MONAI.format("negative predictive value")},
    ),
    "fbeta": Explanation(
        formula=r"\frac{(1 + BETA^2) \cdot TP}{(1 + BETA^2) \cdot TP + BETA^2 \cdot FN + FP}",
        reading="Dice, in which recall is β times as important as precision: β = 2 where what is missed costs more than what "
        "is invented. β = 1 is Dice.",
        options={"beta": 2},
        peers={"monai": "monai.metrics.FBetaScore"},
    ),
    "tversky": Explanation(
        formula=r"\frac{TP}{TP + ALPHA \cdot FP + BETA \cdot FN}",
        reading="IoU with a price for each kind of error: α for what is invented, β for what is missed. α = β = 1 is IoU, α ="
        " β = 1/2 is Dice.",
        options={"alpha": 0.3, "beta": 0.7},
    ),
    "false_positive_rate": Explanation(
        formula=r"\frac{FP}{FP + TN}",
        reading="1 − specificity: of what is not the class, the fraction that was predicted. It shrinks as the background "
        "grows.",
        peers={"monai": _MONAI.format("fall out")},
    ),
    "false_negative_rate": Explanation(
        formula=r"\frac{FN}{FN + TP}",
        reading="1 − recall: of what is there, the fraction that was missed.",
        peers={"monai": _MONAI.format("miss rate")},
    ),
    "volume_similarity": Explanation(
        formula=r"1 - \frac{|FN - FP|}{2 \cdot TP + FP + FN}",
        reading="How alike the two volumes are, wherever they lie: two maps that do not touch may reach 1. It is for "
        "questions of volume alone. SimpleITK calls another number by this name, signed and from −2 to 2.",
        peers={"exacta": 'exacta.functional.volume_similarity with `convention="taha"`'},
    ),
    "relative_volume_difference": Explanation(
        formula=r"\frac{FP - FN}{TP + FN}",
        reading="By which fraction of the true volume the predicted one is too large; negative where it is too small. The "
        "mean over cases is the bias: errors of opposite signs cancel out in it.",
        peers={"exacta": "exacta.functional.relative_volume_difference"},
    ),
    "prevalence": Explanation(
        formula=r"\frac{TP + FN}{TP + FP + FN + TN}",
        reading="How much of the image the class is, in the truth. It judges no prediction; it says how seriously to take "
        "accuracy, specificity and whatever else counts true negatives.",
    ),
    "support": Explanation(
        formula=r"TP + FN",
        reading='The voxels of the class in the truth, or the sum of their weights: what `average="weighted"` weighs with.',
        peers={
            "sklearn": "sklearn.metrics.precision_recall_fscore_support (the last of the four)",
            "torchmetrics": "torchmetrics.functional.classification.multiclass_stat_scores (the last of the five)",
            "nnunet": "`n_ref` in summary.json",
        },
    ),
    "accuracy": Explanation(
        formula=r"\frac{TP + TN}{TP + FP + FN + TN}",
        reading="The fraction of voxels whose label is right. Where the background is 99% of an image, a prediction of "
        "nothing reaches 0.99.",
        peers={
            "sklearn": "sklearn.metrics.accuracy_score",
            "torchmetrics": 'torchmetrics.functional.classification.multiclass_accuracy with `average="micro"`',
            "monai": _MONAI.format("accuracy"),
        },
    ),
    "balanced_accuracy": Explanation(
        formula=r"\frac{1}{C} \sum_c \frac{TP_c}{TP_c + FN_c}",
        worked=r"\frac{1}{2} \cdot (\frac{TN}{TN + FP} + \frac{TP}{TP + FN})",
        reading="The mean recall of the classes that the truth has: each class counts alike, however small. What is invented "
        "of a small class hardly shows.",
        peers={
            "sklearn": "sklearn.metrics.balanced_accuracy_score",
            "torchmetrics": 'torchmetrics.functional.classification.multiclass_accuracy with `average="macro"`',
            "monai": _MONAI.format("balanced accuracy"),
        },
    ),
    "frequency_weighted_iou": Explanation(
        formula=r"\sum_c \frac{TP_c + FN_c}{V} \, \mathrm{IoU}_c",
        worked=r"\frac{TN + FP}{VOXELS} \cdot \frac{TN}{TN + FP + FN} + \frac{TP + FN}{VOXELS} \cdot \frac{TP}{TP + FP + FN}",
        reading="IoU, in which each class counts as much as it has true voxels: large classes decide, the background first of"
        " all.",
        peers={
            "sklearn": 'sklearn.metrics.jaccard_score with `average="weighted"`',
            "torchmetrics": 'torchmetrics.functional.classification.multiclass_jaccard_index with `average="weighted"`',
        },
    ),
    "cohen_kappa": Explanation(
        formula=r"\frac{p_o - p_e}{1 - p_e}",
        worked=r"\frac{2 \cdot (TP \cdot TN - FP \cdot FN)}{(TP + FP) \cdot (FP + TN) + (TP + FN) \cdot (FN + TN)}",
        reading="How much of the agreement $p_o$ (accuracy) lies beyond $p_e$, the agreement of two maps with these volumes "
        "that are otherwise unrelated. It depends on the prevalence: compare it only between sets alike.",
        peers={"sklearn": "sklearn.metrics.cohen_kappa_score"},
    ),
    "matthews_corrcoef": Explanation(
        formula=r"\frac{TP \cdot TN - FP \cdot FN}{\sqrt{(TP + FP) \cdot (TP + FN) \cdot (TN + FP) \cdot (TN + FN)}}",
        reading="The correlation of the two maps, of two classes (Gorodkin's generalisation, of more): 0 is chance, −1 is the"
        " opposite of the truth. All four counts matter, and so does the size of the background.",
        peers={
            "sklearn": "sklearn.metrics.matthews_corrcoef",
            "monai": _MONAI.format("matthews correlation coefficient"),
        },
    ),
}
