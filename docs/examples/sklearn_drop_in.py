"""scikit-learn's metrics of a volume of 2 million voxels, by one changed line of imports; then as scorers of a search.

Run it with ``python docs/examples/sklearn_drop_in.py`` (pip install scikit-learn).
"""

from time import perf_counter

import numpy as np
from sklearn import metrics as theirs
from sklearn.datasets import load_iris
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier

# from sklearn.metrics import classification_report, f1_score, make_scorer
from fastseg.adapters import report
from fastseg.adapters.sklearn import classification_report, f1_score
from fastseg.phantom import phantom_pair

truth, prediction = (labels.reshape(-1) for labels in phantom_pair((128, 128, 128), 4))
names = np.array(["background", "liver", "spleen", "kidney"])
print(classification_report(truth, prediction, target_names=names, digits=3))

seconds = []
for function in (theirs.f1_score, f1_score):
    start = perf_counter()
    score = function(truth, prediction, average="macro")
    seconds.append(perf_counter() - start)
    print(f"{function.__module__}.{function.__name__}: {score:.6f} in {seconds[-1] * 1e3:.1f} ms")

features, species = load_iris(return_X_y=True)
scorer = theirs.make_scorer(f1_score, average="macro")
print("five folds of the irises:", cross_val_score(KNeighborsClassifier(), features, species, scoring=scorer).round(3))

print(report())  # what was counted here, and what scikit-learn was asked, and why
