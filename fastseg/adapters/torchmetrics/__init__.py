"""Drop-ins for torchmetrics."""

from fastseg.adapters.hosts import load

load("torchmetrics")

from fastseg.adapters.torchmetrics.functions import FUNCTIONS
from fastseg.adapters.torchmetrics.metrics import CLASSES

globals().update(FUNCTIONS, **CLASSES)
__all__ = [*FUNCTIONS, *CLASSES]
