"""From a captured graph to fusion groups: simplification, motion of views and cats, partition.

Groups that do the same to different tensors are then put together, to be launched as one.
"""

from fusekit.fusion.batches import in_stages
from fusekit.fusion.flow import Flow
from fusekit.fusion.motion import move
from fusekit.fusion.partition import Group, Partition, Seam, partition
from fusekit.fusion.plan import Plan, as_plan
from fusekit.fusion.rules import Rules, check_fits, operators_of
from fusekit.fusion.simplify import simplify

__all__ = [
    "Flow",
    "Group",
    "Partition",
    "Plan",
    "Rules",
    "Seam",
    "as_plan",
    "check_fits",
    "in_stages",
    "move",
    "operators_of",
    "partition",
    "simplify",
]
