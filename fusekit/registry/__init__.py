"""Fusion groups by content: normal form, key, KernelSpec, and the store of those seen so far."""

from fusekit.registry.normalize import group_graph, normalize
from fusekit.registry.store import Store, spec_of

__all__ = ["Store", "group_graph", "normalize", "spec_of"]
