"""The fusion-group graph: element types, op table, graphs, builder, verifier, text form."""

from fusekit.ir.builder import GraphBuilder
from fusekit.ir.graph import Graph, Loc, Node, Ref, Token, Value
from fusekit.ir.ops import OPS, Op, Rule
from fusekit.ir.text import parse_graph, print_graph
from fusekit.ir.types import DType, Kind
from fusekit.ir.verify import check

__all__ = [
    "OPS",
    "DType",
    "Graph",
    "GraphBuilder",
    "Kind",
    "Loc",
    "Node",
    "Op",
    "Ref",
    "Rule",
    "Token",
    "Value",
    "check",
    "parse_graph",
    "print_graph",
]
