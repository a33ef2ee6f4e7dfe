"""joblib: each process counts a slab, the counts are merged.

Run it with ``python docs/examples/distributed_joblib.py`` (pip install joblib).
"""

from functools import reduce

from joblib import Parallel, delayed

import fastseg
from fastseg.phantom import phantom_pair

true, pred = phantom_pair((64, 64, 64), num_classes=4)
slabs = [slice(start, start + 16) for start in range(0, 64, 16)]
parts = Parallel(n_jobs=2)(delayed(fastseg.count_labels)(true[s], pred[s], num_classes=4) for s in slabs)
counts = reduce(fastseg.LabelCounts.merge, parts)
assert counts == fastseg.count_labels(true, pred, num_classes=4)
print(fastseg.metrics.dice(counts).round(4))
