"""The metrics of partitions, explained: a row for each that is registered."""

from __future__ import annotations

from ext.explanation import Explanation

__all__ = ["PARTITIONS"]

_CHANCE = "Many small segments bring it near its best value whatever they are: "
_PAIRS = r"JOINED_BOTH - \frac{JOINED_T \cdot JOINED_P}{VOXEL_PAIRS}"

PARTITIONS = {
    "variation_of_information": Explanation(
        formula="H_PT + H_TP",
        reading="What is left to be said of one map once the other is known, in bits, as halves: *split*, H(P | T), counts "
        "true segments that were cut; *merge*, H(T | P), those that were joined. Of neurons a merge is the worse error: "
        "report both. The sum (shown here) is a distance: 0 of equal maps, and never longer by a way around. A segment weighs "
        "as many voxels as it has. scikit-image returns the same two numbers in the same order.",
    ),
    "adjusted_rand_error": Explanation(
        formula=r"1 - \frac{2 \cdot JOINED_BOTH}{JOINED_T + JOINED_P}",
        reading="1 minus the F-score of pairs of voxels: precision is the part of what the prediction joins that belongs "
        "together, recall the part of what belongs together that it joins. Large segments make nearly all pairs: a merge of "
        "two large neurons outweighs a hundred small ones. CREMI and SNEMI report it without the background, by rules of "
        "their own ([conventions](../guide/partitions.md#whose-definition)); scikit-image gives precision and recall in each "
        "other's place.",
    ),
    "rand_index": Explanation(
        formula=r"\frac{VOXEL_PAIRS + 2 \cdot JOINED_BOTH - JOINED_T - JOINED_P}{VOXEL_PAIRS}",
        reading="The part of all pairs of voxels on which both maps agree, that they are of one segment or of two. "
        + _CHANCE
        + "nearly all pairs are of two segments in both maps.",
        peers={
            "sklearn": "sklearn.metrics.rand_score",
            "torchmetrics": "torchmetrics.functional.clustering.rand_score",
        },
    ),
    "adjusted_rand_index": Explanation(
        formula=rf"\frac{{{_PAIRS}}}{{\frac{{JOINED_T + JOINED_P}}{{2}} - \frac{{JOINED_T \cdot JOINED_P}}{{VOXEL_PAIRS}}}}",
        reading="The Rand index on a scale where independent maps have 0 and equal ones 1; below 0 they agree less than by "
        "chance.",
        peers={
            "sklearn": "sklearn.metrics.adjusted_rand_score",
            "torchmetrics": "torchmetrics.functional.clustering.adjusted_rand_score",
        },
    ),
    "fowlkes_mallows": Explanation(
        formula=r"\frac{JOINED_BOTH}{\sqrt{JOINED_T \cdot JOINED_P}}",
        reading="The geometric mean of precision and recall of pairs of voxels, where the [adjusted Rand "
        "error](adjusted_rand_error.md) has the harmonic one. Pairs that both maps keep apart have no say.",
        peers={
            "sklearn": "sklearn.metrics.fowlkes_mallows_score",
            "torchmetrics": "torchmetrics.functional.clustering.fowlkes_mallows_index",
        },
    ),
    "mutual_information": Explanation(
        formula="H_T - H_TP",
        reading="How many bits one map tells of the other. It has no upper end of its own, and grows with the number of "
        "segments: take a normalised form of it to compare volumes.",
        peers={
            "sklearn": 'sklearn.metrics.mutual_info_score in nats, as `convention="sklearn"` is',
            "torchmetrics": "torchmetrics.functional.clustering.mutual_info_score in nats",
        },
    ),
    "normalized_mutual_information": Explanation(
        formula=r"\frac{2 \cdot (H_T - H_TP)}{H_T + H_P}",
        reading="Mutual information as a fraction of the mean of both entropies; it is the [V-measure](v_measure.md) with "
        "β = 1. " + _CHANCE + "it is not adjusted for chance.",
        peers={
            "sklearn": "sklearn.metrics.normalized_mutual_info_score",
            "torchmetrics": "torchmetrics.functional.clustering.normalized_mutual_info_score",
        },
    ),
    "homogeneity": Explanation(
        formula=r"1 - \frac{H_TP}{H_T}",
        reading="How far each predicted segment lies in one true one: 1 where nothing is merged. Cutting everything into "
        "voxels reaches 1: read it beside completeness.",
        peers={
            "sklearn": "sklearn.metrics.homogeneity_score",
            "torchmetrics": "torchmetrics.functional.clustering.homogeneity_score",
        },
    ),
    "completeness": Explanation(
        formula=r"1 - \frac{H_PT}{H_P}",
        reading="How far each true segment lies in one predicted one: 1 where nothing is split. A single segment over "
        "everything reaches 1: read it beside homogeneity.",
        peers={
            "sklearn": "sklearn.metrics.completeness_score",
            "torchmetrics": "torchmetrics.functional.clustering.completeness_score",
        },
    ),
    "v_measure": Explanation(
        formula=r"\frac{(1 + BETA) \cdot HOMOGENEITY \cdot COMPLETENESS}{BETA \cdot HOMOGENEITY + COMPLETENESS}",
        reading="The harmonic mean of [homogeneity](homogeneity.md) h and [completeness](completeness.md) c; β above 1 weighs "
        "completeness more.",
        peers={
            "sklearn": "sklearn.metrics.v_measure_score",
            "torchmetrics": "torchmetrics.functional.clustering.v_measure_score",
        },
    ),
}
