"""MPI: each rank counts its slab, and a reduction merges the counts.

Run it with ``mpiexec -n 2 python docs/examples/distributed_mpi.py`` (pip install mpi4py, and an MPI).
"""

from mpi4py import MPI

import fastseg
from fastseg.phantom import phantom_pair

ranks = MPI.COMM_WORLD
true, pred = phantom_pair((64, 64, 64), num_classes=4)
mine = slice(64 * ranks.rank // ranks.size, 64 * (ranks.rank + 1) // ranks.size)
part = fastseg.count_labels(true[mine], pred[mine], num_classes=4)
counts = ranks.reduce(part, op=lambda one, other: one.merge(other), root=0)
if ranks.rank == 0:
    assert counts == fastseg.count_labels(true, pred, num_classes=4)
    print(fastseg.metrics.dice(counts).round(4))
