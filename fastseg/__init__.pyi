"""Made by tests/support/stubs.py, which is run again where a test says so."""

from fastseg import adapters as adapters, losses as losses, metrics as metrics
from fastseg._version import __version__ as __version__
from fastseg.api.boundaries import (
    boundary_iou as boundary_iou,
    centerline_dice as centerline_dice,
    count_boundaries as count_boundaries,
    count_centerlines as count_centerlines,
)
from fastseg.api.component_dice import (
    component_dice as component_dice,
)
from fastseg.api.components import (
    label_components as label_components,
)
from fastseg.api.encoding import (
    argmax_labels as argmax_labels,
    one_hot as one_hot,
)
from fastseg.api.evaluator import (
    Evaluator as Evaluator,
)
from fastseg.api.files import (
    count_files as count_files,
    evaluate_files as evaluate_files,
)
from fastseg.api.functions import (
    accuracy as accuracy,
    adapted_rand_error as adapted_rand_error,
    adjusted_rand_error as adjusted_rand_error,
    adjusted_rand_index as adjusted_rand_index,
    adjusted_rand_score as adjusted_rand_score,
    asd as asd,
    assd as assd,
    average_surface_distance as average_surface_distance,
    average_symmetric_surface_distance as average_symmetric_surface_distance,
    balanced_accuracy as balanced_accuracy,
    brier_score as brier_score,
    cohen_kappa as cohen_kappa,
    completeness as completeness,
    completeness_score as completeness_score,
    cross_entropy as cross_entropy,
    dice as dice,
    dice_cross_entropy_loss as dice_cross_entropy_loss,
    expected_calibration_error as expected_calibration_error,
    f1 as f1,
    fall_out as fall_out,
    false_negative_rate as false_negative_rate,
    false_positive_rate as false_positive_rate,
    fbeta as fbeta,
    focal_loss as focal_loss,
    focal_tversky_loss as focal_tversky_loss,
    fowlkes_mallows as fowlkes_mallows,
    fowlkes_mallows_score as fowlkes_mallows_score,
    frequency_weighted_iou as frequency_weighted_iou,
    generalized_dice_loss as generalized_dice_loss,
    hausdorff_distance as hausdorff_distance,
    hd as hd,
    hd95 as hd95,
    homogeneity as homogeneity,
    homogeneity_score as homogeneity_score,
    iou as iou,
    jaccard as jaccard,
    jaccard_loss as jaccard_loss,
    log_cosh_dice_loss as log_cosh_dice_loss,
    masd as masd,
    matthews_corrcoef as matthews_corrcoef,
    maximum_calibration_error as maximum_calibration_error,
    mcc as mcc,
    mean_average_surface_distance as mean_average_surface_distance,
    miss_rate as miss_rate,
    mutual_info_score as mutual_info_score,
    mutual_information as mutual_information,
    negative_log_likelihood as negative_log_likelihood,
    negative_predictive_value as negative_predictive_value,
    normalized_mutual_info_score as normalized_mutual_info_score,
    normalized_mutual_information as normalized_mutual_information,
    normalized_surface_dice as normalized_surface_dice,
    nsd as nsd,
    positive_predictive_value as positive_predictive_value,
    precision as precision,
    prevalence as prevalence,
    rand_index as rand_index,
    rand_score as rand_score,
    recall as recall,
    relative_volume_difference as relative_volume_difference,
    sensitivity as sensitivity,
    soft_dice_loss as soft_dice_loss,
    soft_iou_loss as soft_iou_loss,
    specificity as specificity,
    support as support,
    surface_overlap as surface_overlap,
    threshold_curve as threshold_curve,
    top_k_accuracy as top_k_accuracy,
    true_negative_rate as true_negative_rate,
    true_positive_rate as true_positive_rate,
    tversky as tversky,
    tversky_loss as tversky_loss,
    v_measure as v_measure,
    v_measure_score as v_measure_score,
    variation_of_information as variation_of_information,
    volume_similarity as volume_similarity,
)
from fastseg.api.instance_confidences import (
    instance_confidences as instance_confidences,
)
from fastseg.api.instance_files import (
    match_instance_files as match_instance_files,
)
from fastseg.api.instances import (
    match_instances as match_instances,
)
from fastseg.api.labels import (
    confusion_matrix as confusion_matrix,
    count_labels as count_labels,
    evaluate as evaluate,
)
from fastseg.api.mask_files import (
    count_mask_files as count_mask_files,
)
from fastseg.api.masks import (
    count_masks as count_masks,
)
from fastseg.api.pair_evaluator import (
    PairEvaluator as PairEvaluator,
)
from fastseg.api.pairs import (
    count_pair_files as count_pair_files,
    count_pairs as count_pairs,
)
from fastseg.api.panoptic_files import (
    match_panoptic_files as match_panoptic_files,
)
from fastseg.api.score_files import (
    evaluate_score_files as evaluate_score_files,
    sum_files as sum_files,
)
from fastseg.api.scores import (
    evaluate_scores as evaluate_scores,
    sum_scores as sum_scores,
)
from fastseg.api.surfaces import (
    surface_distances as surface_distances,
)
from fastseg.api.table import (
    Scores as Scores,
)
from fastseg.counting.threads import (
    get_num_threads as get_num_threads,
    set_num_threads as set_num_threads,
)
from fastseg.counts import (
    BinaryCounts as BinaryCounts,
    BoundaryCounts as BoundaryCounts,
    CenterlineCounts as CenterlineCounts,
    LabelCounts as LabelCounts,
    PairCounts as PairCounts,
    ScoreSums as ScoreSums,
    SurfaceDistances as SurfaceDistances,
)
from fastseg.metrics.instances import (
    InstanceMatching as InstanceMatching,
)
from fastseg.metrics.scores import (
    ThresholdCurve as ThresholdCurve,
)
from fastseg.patch.patching import (
    patch as patch,
)
from fastseg.report.figure import (
    plot_overlay as plot_overlay,
)
from fastseg.runs.comparison.compare import (
    compare_runs as compare_runs,
)
from fastseg.runs.evaluate import (
    evaluate_folder as evaluate_folder,
)
from fastseg.runs.merge import (
    merge_runs as merge_runs,
)
from fastseg.runs.run import (
    Run as Run,
)
