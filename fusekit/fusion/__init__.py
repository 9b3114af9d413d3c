"""From a captured graph to fusion groups: simplification, motion of views and cats, partition."""

from fusekit.fusion.motion import move
from fusekit.fusion.partition import Group, Partition, Seam, partition
from fusekit.fusion.simplify import simplify

__all__ = ["Group", "Partition", "Seam", "move", "partition", "simplify"]
