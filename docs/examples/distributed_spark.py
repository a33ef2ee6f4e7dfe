"""Spark: each partition of cases becomes one row of counts as bytes, and a reduction merges them.

Run it with ``python docs/examples/distributed_spark.py`` (pip install pyspark pandas pyarrow).
"""

from collections.abc import Iterator

import pandas as pd
from pyspark.sql import SparkSession

import fastseg
from fastseg.phantom import phantom_pair


def count(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Yield the counts of all cases of a partition as one row."""
    counts = fastseg.LabelCounts.zeros(3)
    for batch in batches:
        for case in batch["id"]:
            counts = counts.merge(
                fastseg.count_labels(*phantom_pair((32, 32, 32), num_classes=3, seed=case), num_classes=3)
            )
    yield pd.DataFrame({"counts": [counts.to_bytes()]})


rows = SparkSession.builder.getOrCreate().range(6).mapInPandas(count, "counts binary").collect()
counts = fastseg.LabelCounts.zeros(3)
for row in rows:
    counts = counts.merge(fastseg.LabelCounts.from_bytes(bytes(row["counts"])))
print(fastseg.metrics.dice(counts).round(4))
