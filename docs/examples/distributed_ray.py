"""Ray: a task a case, merged as they come.

Run it with ``python docs/examples/distributed_ray.py`` (pip install ray).
"""

import ray

import fastseg
from fastseg.phantom import phantom_pair


@ray.remote(num_cpus=1)
def count(case: int) -> fastseg.LabelCounts:
    """Return the counts of a case, on as many threads as the task was given."""
    fastseg.set_num_threads(1)
    return fastseg.count_labels(*phantom_pair((32, 32, 32), num_classes=3, seed=case), num_classes=3)


waiting = [count.remote(case) for case in range(6)]
counts = fastseg.LabelCounts.zeros(3)
while waiting:
    (done,), waiting = ray.wait(waiting, num_returns=1)
    counts = counts.merge(ray.get(done))
print(fastseg.metrics.dice(counts).round(4))
