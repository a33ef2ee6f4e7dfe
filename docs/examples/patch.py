"""scikit-learn counted by fastseg without an edit of the code that calls it: reports, scorers by name, earlier imports.

Needs `pip install scikit-learn`. From the command line, without the two lines of fastseg:
`python -m fastseg.patch sklearn patch.py`.
"""

import numpy as np
from sklearn.metrics import classification_report, jaccard_score
from sklearn.model_selection import cross_validate
from sklearn.tree import DecisionTreeClassifier

import fastseg


def evaluate() -> list[float]:
    """Score a model as any program does, which knows nothing of fastseg."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(20_000, 3))
    labels = (features @ [1, 2, 3] + rng.normal(size=20_000) > 0).astype(int)
    model = DecisionTreeClassifier(max_depth=3, random_state=0)
    scores = cross_validate(model, features, labels, cv=3, scoring=["f1_macro", "balanced_accuracy"])
    predicted = model.fit(features, labels).predict(features)
    report = classification_report(labels, predicted, output_dict=True)
    found = [*scores["test_f1_macro"], *scores["test_balanced_accuracy"]]
    return [*map(float, found), report["macro avg"]["recall"], float(jaccard_score(labels, predicted))]


def main() -> None:
    """Compare the scores with those while scikit-learn is patched."""
    plain = evaluate()
    with fastseg.patch("sklearn"):
        patched = evaluate()
        print(fastseg.patch.status())
    print(fastseg.patch.status()["sklearn"].calls)
    print(f"{len(plain)} scores, the largest difference {max(np.abs(np.subtract(plain, patched)))}")


if __name__ == "__main__":
    main()
