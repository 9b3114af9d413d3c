"""From a KernelSpec and an ArgSpec to source text: one walk, many dialects."""

from fusekit.codegen.emit import emit, emit_nodes
from fusekit.codegen.schedule import Schedule, Target, choose
from fusekit.codegen.source import KernelSource, Parameter

__all__ = ["KernelSource", "Parameter", "Schedule", "Target", "choose", "emit", "emit_nodes"]
