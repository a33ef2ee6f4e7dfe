"""Drop-ins for metrics and losses of MONAI: change where they are imported from, and nothing else.

Counted here are tensors of the CPU or of a GPU, MetaTensors and lists of them too. All else goes to MONAI: tensors on other
devices, soft maps, maps of 16 bits, `per_component`, derivatives of metrics, second derivatives, scripts, `torch.compile`,
and small inputs where MONAI is quicker; of losses `other_act`, the focal loss of each voxel, and soft truths of which
`soft_label`, or the focal loss of the sigmoid, makes something else. `fastseg.adapters.report` says what, and why.

Four differences are meant. Scores of 16 bits are summed exactly in losses, where MONAI's sums are of 16 bits, and infinite in
float16 beyond 65,504. Scores at ignored voxels do not matter to a loss, even if they are NaN. Gradients of the focal loss are
exact where a prediction is right, where MONAI's are differences of larger numbers in 32 bits. Counts are integers, where MONAI
adds up in float32.
"""

from fastseg.adapters.hosts import load

load("monai")

from fastseg.adapters.monai.losses import (  # noqa: E402
    DiceCELoss,
    DiceFocalLoss,
    DiceLoss,
    FocalLoss,
    GeneralizedDiceLoss,
    TverskyLoss,
)
from fastseg.adapters.monai.metrics import DiceHelper, DiceMetric, compute_dice  # noqa: E402
from fastseg.adapters.monai.one_hot_metrics import (  # noqa: E402
    ConfusionMatrixMetric,
    GeneralizedDiceScore,
    MeanIoU,
    compute_confusion_matrix_metric,
    compute_generalized_dice,
    compute_iou,
    get_confusion_matrix,
)

__all__ = [
    "ConfusionMatrixMetric",
    "DiceCELoss",
    "DiceFocalLoss",
    "DiceHelper",
    "DiceLoss",
    "DiceMetric",
    "FocalLoss",
    "GeneralizedDiceLoss",
    "GeneralizedDiceScore",
    "MeanIoU",
    "TverskyLoss",
    "compute_confusion_matrix_metric",
    "compute_dice",
    "compute_generalized_dice",
    "compute_iou",
    "get_confusion_matrix",
]
