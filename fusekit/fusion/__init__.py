"""From a captured graph to fusion groups: simplification, motion of views and cats, partition.

Groups that do the same to different tensors are then put together, to be launched as one.
"""

from fusekit.fusion.batches import in_stages
from fusekit.fusion.motion import move
from fusekit.fusion.partition import Group, Partition, Seam, partition
from fusekit.fusion.simplify import simplify

__all__ = ["Group", "Partition", "Seam", "in_stages", "move", "partition", "simplify"]
