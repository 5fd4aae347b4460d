"""Which tasks should train together: who helps whom, and groups that make the most of it."""

from accord.grouping.affinity import Affinity, Evidence
from accord.grouping.agglomerative import Agglomerative
from accord.grouping.branch_and_bound import BranchAndBound
from accord.grouping.cka import CKA
from accord.grouping.compression_distance import CompressionDistance
from accord.grouping.data_maps import DataMaps
from accord.grouping.gradient_cosine import GradientCosine
from accord.grouping.inter_task_affinity import InterTaskAffinity
from accord.grouping.interval_clustering import IntervalClustering
from accord.grouping.lasso_relevance import LassoRelevance
from accord.grouping.lookahead import lookahead
from accord.grouping.merge_and_split import MergeAndSplit, Split
from accord.grouping.partition import Budget, Partition, Partitioner
from accord.grouping.pg_fed import PGFed
from accord.grouping.rsa import RSA
from accord.grouping.run import Outcome, probe_jobs, run_study
from accord.grouping.shuffled import shuffled
from accord.grouping.spec import GroupSpec, parse_group
from accord.grouping.spectral import Spectral
from accord.grouping.study import GroupStudy, begin
from accord.grouping.task_selection import TaskSelection

__all__ = [
    "CKA",
    "RSA",
    "Affinity",
    "Agglomerative",
    "BranchAndBound",
    "Budget",
    "CompressionDistance",
    "DataMaps",
    "Evidence",
    "GradientCosine",
    "GroupSpec",
    "GroupStudy",
    "InterTaskAffinity",
    "IntervalClustering",
    "LassoRelevance",
    "MergeAndSplit",
    "Outcome",
    "PGFed",
    "Partition",
    "Partitioner",
    "Spectral",
    "Split",
    "TaskSelection",
    "begin",
    "lookahead",
    "parse_group",
    "probe_jobs",
    "run_study",
    "shuffled",
]
