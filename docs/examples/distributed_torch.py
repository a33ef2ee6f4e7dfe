"""torch.distributed: each rank evaluates its batches, the states are gathered and merged; no batch is counted twice.

Run it with ``torchrun --nproc-per-node 2 docs/examples/distributed_torch.py`` (pip install torch).
"""

import torch.distributed as dist

import fastseg
from fastseg.phantom import phantom_pair

dist.init_process_group("gloo")  # or nccl: states are gathered as Python objects
rank, ranks = dist.get_rank(), dist.get_world_size()
evaluator = fastseg.Evaluator(num_classes=3)
for batch in range(rank, 6, ranks):  # the share of this rank; a sampler that pads would count cases twice
    evaluator.update(*phantom_pair((32, 32, 32), num_classes=3, seed=batch))

states = [None] * ranks
dist.all_gather_object(states, evaluator.state_dict())
total = fastseg.Evaluator(num_classes=3)
for state in states:
    part = fastseg.Evaluator(num_classes=3)
    part.load_state_dict(state)
    total.merge(part)
if rank == 0:
    print(total.compute())
dist.destroy_process_group()
