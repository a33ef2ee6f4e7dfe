"""Drop-ins for torchmetrics."""

from fastseg.adapters.hosts import load

load("torchmetrics")  # so that its absence is said of it, not of PyTorch

from fastseg.adapters.torchmetrics.calibration import CALIBRATION_ERRORS  # noqa: E402
from fastseg.adapters.torchmetrics.functions import FUNCTIONS  # noqa: E402
from fastseg.adapters.torchmetrics.metrics import CLASSES  # noqa: E402
from fastseg.adapters.torchmetrics.segmentation import SEGMENTATION  # noqa: E402

_DROP_INS = {**FUNCTIONS, **CLASSES, **SEGMENTATION, **CALIBRATION_ERRORS}
globals().update(_DROP_INS)
__all__ = [*_DROP_INS]
