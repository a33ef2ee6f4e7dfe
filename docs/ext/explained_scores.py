"""The losses and the metrics of scores, explained: a row for each that is registered."""

from __future__ import annotations

from ext.explanation import Explanation

__all__ = ["SCORES"]

_SUMS = "Sums go over the voxels of one case and class; the loss is the mean over cases and classes. "
_VOXELS = r"\ell(v) = -\ln p_{v, t(v)}"

SCORES = {
    "soft_dice_loss": Explanation(
        formula=r"1 - \frac{2 \cdot SUM_PT + EPSILON}{SUM_PP + SUM_TT + EPSILON}",
        reading=_SUMS
        + "This is V-Net's form, with squares in the denominator; `squared=False` has none, as MONAI's by default, and "
        "is another number: of the example about twice as much. ε makes the loss of a class that is absent from both "
        "0.",
        term="overlap",
        peers={
            "monai": "monai.losses.DiceLoss with `squared_pred=True`",
            "exacta": "exacta.losses.DiceLoss with `squared_pred=True`",
        },
    ),
    "soft_iou_loss": Explanation(
        formula=r"1 - \frac{SUM_PT + EPSILON}{SUM_P + SUM_T - SUM_PT + EPSILON}",
        reading=_SUMS + "Its gradient is steeper than soft Dice's where little overlaps.",
        term="overlap",
        peers={"monai": "monai.losses.DiceLoss with `jaccard=True`"},
    ),
    "generalized_dice_loss": Explanation(
        formula=r"1 - \frac{2 \sum_c w_c \sum p \, t + \varepsilon}{\sum_c w_c (\sum p + \sum t) + \varepsilon}, "
        r"\quad w_c = (\sum t)^{-2}",
        worked=r"1 - \frac{2 \cdot SUM_PT / SUM_T^2 + EPSILON}{(SUM_P + SUM_T) / SUM_T^2 + EPSILON}",
        reading="One ratio for all classes of a case, in which a class weighs as the inverse square of its volume: rare "
        "classes count as much as large ones. Of a single class, as in the example, the weight goes out.",
        term="overlap",
        peers={
            "monai": "monai.losses.GeneralizedDiceLoss",
            "exacta": "exacta.losses.GeneralizedDiceLoss",
        },
    ),
    "tversky_loss": Explanation(
        formula=r"1 - \frac{SUM_PT + EPSILON}{SUM_PT + ALPHA \cdot (SUM_P - SUM_PT) + BETA \cdot (SUM_T - SUM_PT) + EPSILON}",
        reading=_SUMS
        + "α is the price of what is invented, β of what is missed. α = β = 1/2 is the soft Dice loss without squares.",
        options={"alpha": 0.3, "beta": 0.7},
        term="overlap",
        peers={"monai": "monai.losses.TverskyLoss", "exacta": "exacta.losses.TverskyLoss"},
    ),
    "focal_tversky_loss": Explanation(
        formula=r"(1 - \frac{SUM_PT + EPSILON}{SUM_PT + ALPHA \cdot (SUM_P - SUM_PT) + BETA \cdot (SUM_T - SUM_PT) + EPSILON})"
        r"^{1 / GAMMA}",
        reading=_SUMS
        + "γ > 1 raises the loss of cases and classes that are nearly right, and so their weight in the gradient. In "
        "the paper α goes with what is missed; here α always is the weight of false positives, so that the defaults "
        "are the paper's weights: 0.3 of what is invented, 0.7 of what is missed, γ = 4/3.",
        options={"alpha": 0.3, "beta": 0.7, "gamma": 2},
        term="overlap",
        peers={"exacta": "exacta.losses.FocalTverskyLoss, whose `gamma` is the exponent, 1/γ"},
    ),
    "log_cosh_dice_loss": Explanation(
        formula=r"\ln \cosh (1 - \frac{2 \cdot SUM_PT + EPSILON}{SUM_PP + SUM_TT + EPSILON})",
        reading="About half the square of the soft Dice loss: flat near 0, so that what is nearly right is left alone. It is "
        "never beyond 0.434.",
        term="overlap",
    ),
    "cross_entropy": Explanation(
        formula=rf"\frac{{SUM_TERMS}}{{VOXELS}}, \quad {_VOXELS}",
        worked=r"\frac{SUM_TERMS}{VOXELS}",
        reading="The mean surprise at the true class. Voxels count alike, so large classes decide; class weights go into "
        "numerator and denominator, as PyTorch's do. One voxel whose true class got probability 0 makes it infinite.",
        term="entropy",
        peers={
            "sklearn": "sklearn.metrics.log_loss",
            "monai": "monai.losses.DiceCELoss with `lambda_dice=0`",
            "exacta": "exacta.losses.DiceCELoss with `lambda_dice=0`",
        },
    ),
    "focal_loss": Explanation(
        formula=r"\frac{SUM_TERMS}{VOXELS}, \quad \ell(v) = -(1 - p_{v, t(v)})^\gamma \ln p_{v, t(v)}",
        worked=r"\frac{SUM_TERMS}{VOXELS}",
        reading="Cross-entropy, in which voxels that are right already fade: with γ = 2, one at p = 0.9 counts a hundredth. γ"
        " = 0 is cross-entropy.",
        term="focal",
        peers={
            "monai": "monai.losses.FocalLoss with `use_softmax=True`, whose mean is over classes too: ours / C",
            "exacta": "exacta.losses.FocalLoss",
        },
    ),
    "dice_cross_entropy_loss": Explanation(
        formula=r"w_D \cdot \mathrm{soft\ Dice\ loss} + w_{CE} \cdot \mathrm{cross\ entropy}",
        worked=r"(1 - \frac{2 \cdot SUM_PT + EPSILON}{SUM_PP + SUM_TT + EPSILON}) + \frac{SUM_TERMS}{VOXELS}",
        reading="What nnU-Net made usual: Dice sees a class as a whole, cross-entropy each voxel. Its number can be compared "
        "only with that of the same weights and the same form of Dice.",
        term="entropy",
        peers={
            "monai": "monai.losses.DiceCELoss with `squared_pred=True`",
            "exacta": "exacta.losses.DiceCELoss with `squared_pred=True`",
        },
    ),
    "brier_score": Explanation(
        formula=r"\frac{SUM_TERMS}{VOXELS}, \quad \ell(v) = \sum_c (p_{vc} - t_{vc})^2",
        worked=r"\frac{SUM_TERMS}{VOXELS}",
        reading="The squared error of the probabilities, bounded and a proper score: least for the true probabilities. Summed"
        " over the classes it goes to 2; scikit-learn's of two classes and binary sums go to 1, and are half of it.",
        better="lower",
        term="brier",
        peers={
            "sklearn": "sklearn.metrics.brier_score_loss with `scale_by_half=False`",
            "exacta": "exacta.functional.brier_score",
        },
    ),
    "negative_log_likelihood": Explanation(
        formula=rf"\frac{{SUM_TERMS}}{{VOXELS}}, \quad {_VOXELS}",
        worked=r"\frac{SUM_TERMS}{VOXELS}",
        reading="Cross-entropy as a score: without class weights and label smoothing, whatever the sums keep of them.",
        better="lower",
        term="entropy",
        peers={"sklearn": "sklearn.metrics.log_loss", "exacta": "exacta.functional.negative_log_likelihood"},
    ),
    "top_k_accuracy": Explanation(
        formula=r"\frac{SUM_TERMS}{VOXELS}, \quad \ell(v) = 1\ \mathrm{if}\ t(v)\ \mathrm{is\ among\ the}\ k\ "
        r"\mathrm{most\ probable,\ else}\ 0",
        worked=r"\frac{SUM_TERMS}{VOXELS}",
        reading="How often the true class is among the k most probable: for many classes that are much alike. Of two classes "
        "k = 2 is always 1, so the example takes k = 1, which is accuracy.",
        better="higher",
        term="right",
        options={"k": 1},
        peers={
            "sklearn": "sklearn.metrics.top_k_accuracy_score",
            "torchmetrics": 'torchmetrics.functional.classification.multiclass_accuracy with `top_k=k, average="micro"`',
        },
    ),
    "expected_calibration_error": Explanation(
        formula=r"\sum_b \frac{V_b}{V} \, \left| \mathrm{accuracy}_b - \mathrm{confidence}_b \right|",
        worked=r"\frac{|4 - 4.5| + |9 - 7.7|}{VOXELS}",
        reading="How far confidence is from being right, averaged over bins of confidence. It depends on the number of bins, "
        "and a prediction of the prevalence everywhere is calibrated without being of any use: read it beside a score"
        " such as Brier's.",
        better="lower",
        term="confidence",
        options={"bins": 5},
        peers={
            "torchmetrics": 'torchmetrics.functional.classification.multiclass_calibration_error with `norm="l1"`',
            "monai": 'monai.metrics.CalibrationErrorMetric, of each class (here `per="class"`)',
            "exacta": "exacta.functional.expected_calibration_error",
        },
    ),
    "maximum_calibration_error": Explanation(
        formula=r"\max_b \left| \mathrm{accuracy}_b - \mathrm{confidence}_b \right|",
        worked=r"\frac{|9 - 7.7|}{9}",
        reading="The worst bin of confidence that is not empty. A bin of few voxels may decide it.",
        better="lower",
        term="confidence",
        options={"bins": 5},
        peers={
            "torchmetrics": 'torchmetrics.functional.classification.multiclass_calibration_error with `norm="max"`',
        },
    ),
    "threshold_curve": Explanation(
        formula=r"TP_k = \sum t \, [p \ge k / B], \quad FP_k = \sum (1 - t) \, [p \ge k / B]",
        reading="The four counts of a class at each of B thresholds, from one pass: Dice, IoU, precision, recall, the average"
        " precision, and the best threshold. The best threshold of the data that it was chosen on flatters: choose it"
        " on others.",
        term="overlap",
        options={"bins": 10},
        peers={
            "sklearn": "sklearn.metrics.precision_recall_curve",
            "torchmetrics": "torchmetrics.functional.classification.binary_precision_recall_curve",
            "exacta": "exacta.functional.voxel_ranking",
        },
    ),
}
