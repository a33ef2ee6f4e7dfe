"""Drop-ins for the classification metrics of `sklearn.metrics`: change the line that imports them.

Columns of labels (arrays, lists, pandas Series) of bool, integers, whole floats or text, dense arrays of zeros and ones for
several labels at once, and `sample_weight` are counted here. All else goes to scikit-learn itself with the same arguments:
sparse matrices, pandas extension types, arrays of other libraries, labels of other types, negative
weights, more than 4,096 labels, losses of probabilities, and whatever is an error.

Examples
--------
>>> from fastseg.adapters.sklearn import confusion_matrix, f1_score
>>> confusion_matrix(["cat", "dog", "dog"], ["cat", "cat", "dog"])
array([[1, 0],
       [1, 1]])
>>> f1_score([0, 1, 1], [0, 0, 1])
0.6666666666666666
"""

from fastseg.adapters.sklearn.agreement import (
    accuracy_score,
    balanced_accuracy_score,
    class_likelihood_ratios,
    cohen_kappa_score,
    hamming_loss,
    matthews_corrcoef,
    zero_one_loss,
)
from fastseg.adapters.sklearn.matrices import confusion_matrix, multilabel_confusion_matrix
from fastseg.adapters.sklearn.probabilities import brier_score_loss, log_loss
from fastseg.adapters.sklearn.report import classification_report
from fastseg.adapters.sklearn.scores import (
    f1_score,
    fbeta_score,
    jaccard_score,
    precision_recall_fscore_support,
    precision_score,
    recall_score,
)

__all__ = [
    "accuracy_score",
    "balanced_accuracy_score",
    "brier_score_loss",
    "class_likelihood_ratios",
    "classification_report",
    "cohen_kappa_score",
    "confusion_matrix",
    "f1_score",
    "fbeta_score",
    "hamming_loss",
    "jaccard_score",
    "log_loss",
    "matthews_corrcoef",
    "multilabel_confusion_matrix",
    "precision_recall_fscore_support",
    "precision_score",
    "recall_score",
    "zero_one_loss",
]
