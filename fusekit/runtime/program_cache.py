"""What is held for a program that torch.compile took apart: the cache of each of its graphs."""

from __future__ import annotations

import dataclasses

from fusekit.runtime.cached import FunctionCache

__all__ = ["ProgramCache"]


@dataclasses.dataclass(frozen=True, repr=False)
class ProgramCache:
    """The caches of the graphs that a call of a program ran; always as they are now.

    What torch.compile itself holds, its guards and its code, is not in it.

    Attributes:
        name: of the program.
        graphs: the cache of each graph, in the order of their first run, each once.
    """

    name: str
    graphs: tuple[FunctionCache, ...]

    def __repr__(self) -> str:
        """`<cache of NAME: 2 graphs, 3 entries, 2 kernels>`."""
        entries = sum(len(graph.entries) for graph in self.graphs)
        kernels = len({(k.key, k.engine) for graph in self.graphs for k in graph.kernels})
        counts = ((len(self.graphs), "graph"), (entries, "entry"), (kernels, "kernel"))
        return f"<cache of {self.name}: {', '.join(_count(*each) for each in counts)}>"

    def __str__(self) -> str:
        """Each graph with its entries and their guards; no times and no counters."""
        return "\n".join(str(graph) for graph in self.graphs) or f"cache of {self.name}: no graph"

    def to_dict(self) -> dict[str, object]:
        """All of it as values that JSON has."""
        return {"name": self.name, "graphs": [graph.to_dict() for graph in self.graphs]}


def _count(number: int, noun: str) -> str:
    several = "entries" if noun == "entry" else f"{noun}s"
    return f"{number} {noun if number == 1 else several}"
