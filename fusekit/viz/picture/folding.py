"""What is folded into what: nodes into groups, equal stretches into one box, the rest into parts.

The order of the nodes is kept, and every fold is a stretch of it, so folds never close a cycle.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import operator
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from typing import Literal

from fusekit.viz.model.schema import Model, Node
from fusekit.viz.picture.repeats import Run, repeats
from fusekit.viz.words import plural

__all__ = ["LIMIT", "Fold", "Item", "fold", "leaves"]

LIMIT = 150
"""More boxes than this are no picture any more."""

_WORTH = 6
"""Fewer steps than this are not folded, however they repeat."""

_PART = 60
"""Steps in one part of what does not repeat."""


@dataclasses.dataclass(frozen=True, slots=True)
class Fold:
    """Items that are one box, until it is unfolded.

    Attributes:
        key: unique in the page; "g3" for the group number 3.
        kind: a kernel, many equal stretches, one of these, or a part of what does not repeat.
        label: its first line.
        detail: its second line; "" if there is nothing to say.
        items: what is in it, in the order of the graph.
    """

    key: str
    kind: Literal["group", "repeat", "layer", "part"]
    label: str
    detail: str
    items: tuple[Item, ...]


Item = int | Fold
"""A node, by its index in the graph, or a fold."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Step:
    """What moves as one: a group or an operator, after the inputs that only it reads."""

    items: tuple[Item, ...]
    token: Hashable
    owned: tuple[int, ...] = ()


def fold(model: Model, *, limit: int = LIMIT, grouped: bool = True) -> tuple[Item, ...]:
    """The tree: no level of it has more than `limit` items, as far as the graph allows.

    Without `grouped`, operators are not in groups, as before fusion.
    """
    return _Folder(model, limit, grouped=grouped).tree()


def leaves(items: Sequence[Item]) -> Iterator[int]:
    """The nodes in it, in order."""
    for item in items:
        if isinstance(item, Fold):
            yield from leaves(item.items)
        else:
            yield item


class _Folder:
    def __init__(self, model: Model, limit: int, *, grouped: bool) -> None:
        self.grouped = grouped
        self.nodes = model["graph"]["nodes"]
        self.groups = model["groups"]
        self.limit = limit
        self.numbers = itertools.count()
        self.letter = "f" if grouped else "e"
        self.index = {node["id"]: i for i, node in enumerate(self.nodes)}
        self.edges = [
            (self.index[e["source"]], self.index[e["target"]]) for e in model["graph"]["edges"]
        ]

    def tree(self) -> tuple[Item, ...]:
        return self._compact(self._steps(), whole=True)

    def _steps(self) -> list[_Step]:
        """Groups and operators in order; an input that one of them reads belongs to it."""
        order = {group["id"]: i for i, group in enumerate(self.groups)}
        members: dict[int, list[int]] = {}
        home: list[int] = []
        for i, node in enumerate(self.nodes):
            group = node["group"] if self.grouped else None
            home.append(len(self.nodes) + order[group] if group else i)
            members.setdefault(home[-1], []).append(i)
        readers: dict[int, set[int]] = {}
        for source, target in self.edges:
            readers.setdefault(source, set()).add(home[target])
        owned: dict[int, list[int]] = {}
        for i, node in enumerate(self.nodes):
            if node["kind"] in ("input", "scalar") and len(readers.get(i, ())) == 1:
                owned.setdefault(next(iter(readers[i])), []).append(i)
                del members[i]
        return [self._step(key, inside, owned.get(key, [])) for key, inside in members.items()]

    def _step(self, key: int, inside: list[int], owned: list[int]) -> _Step:
        first = self.nodes[inside[0]]
        if key < len(self.nodes):
            alone = first["kind"] in ("input", "scalar", "output")
            token = (key if alone else first["op"], _form(first))
            return _Step((*owned, inside[0]), token, tuple(owned))
        group = self.groups[key - len(self.nodes)]
        detail = f"{group['engine']} · {plural(group['ops'], 'op')}"
        items = self._compact([self._step(i, [i], []) for i in inside])
        made = Fold(f"g{key - len(self.nodes)}", "group", group["name"], detail, items)
        return _Step((*owned, made), group["key"], tuple(owned))

    def _compact(self, steps: list[_Step], *, whole: bool = False) -> tuple[Item, ...]:
        """Fold what repeats, then cut what is still too much into parts.

        Inside a kernel nothing is folded that fits: there a repetition says little.
        """
        if not whole and len(_items(steps)) <= self.limit:
            return _items(steps)
        return self._cut(self._folded(steps))

    def _cut(self, steps: list[_Step]) -> tuple[Item, ...]:
        while len(_items(steps)) > self.limit and len(steps) > 1:
            steps = self._parts(steps)
        return _items(steps)

    def _folded(self, steps: list[_Step]) -> list[_Step]:
        runs = [
            run for run in repeats([s.token for s in steps]) if run.period * run.count >= _WORTH
        ]
        crossing = self._crossing(steps) if runs else []
        found: list[_Step] = []
        done = 0
        for run in runs:
            start = self._begin(run, crossing)
            stop = start + run.period * run.count
            found += steps[done:start]
            equal = [
                self._alike(steps[at : stop : run.period])
                for at in range(start, start + run.period)
            ]
            found += [_Step((i,), i) for _, extra in equal for i in extra]
            stretches = [list(each) for each in zip(*(kept for kept, _ in equal), strict=True)]
            found.append(_Step((self._repeat(run, stretches),), object()))
            done = stop
        return found + steps[done:]

    def _alike(self, steps: list[_Step]) -> tuple[list[_Step], list[int]]:
        """The same step of each stretch with as many inputs, and the inputs that some have more.

        The first layer of a model has its parameters like any other, and the user's argument.
        """
        forms = [Counter(_form(self.nodes[i]) for i in step.owned) for step in steps]
        shared = functools.reduce(operator.and_, forms)
        kept, extra = [], []
        for step, form in zip(steps, forms, strict=True):
            more = form - shared
            out = []
            for i in step.owned:
                if more[_form(self.nodes[i])] > 0:
                    more[_form(self.nodes[i])] -= 1
                    out.append(i)
            items = tuple(item for item in step.items if item not in out)
            kept.append(dataclasses.replace(step, items=items))
            extra += out
        return kept, extra

    def _crossing(self, steps: list[_Step]) -> list[int]:
        """How many edges lead from before each step to it or past it."""
        place = {node: i for i, step in enumerate(steps) for node in leaves(step.items)}
        change = [0] * (len(steps) + 1)
        for source, target in self.edges:
            a, b = place.get(source), place.get(target)
            if a is not None and b is not None and a < b:
                change[a + 1] += 1
                change[b + 1 if b + 1 <= len(steps) else b] -= 1
        return list(itertools.accumulate(change))

    def _begin(self, run: Run, crossing: Sequence[int]) -> int:
        """Where least is handed from one stretch to the next."""
        return min(
            range(run.start, run.start + run.slack + 1), key=lambda i: crossing[i + run.period]
        )

    def _repeat(self, run: Run, stretches: list[list[_Step]]) -> Fold:
        if run.period == 1:
            item = stretches[0][0].items[-1]
            name = item.label if isinstance(item, Fold) else self.nodes[item]["label"]
            name = "kernel" if isinstance(item, Fold) and item.kind == "group" else name
            inside = self._cut([step for (step,) in stretches])
        else:
            name = "layer"
            layers = [self._layer(i, stretch) for i, stretch in enumerate(stretches, start=1)]
            inside = self._cut([_Step((layer,), i) for i, layer in enumerate(layers)])
        count = len({*leaves(inside)})
        label = f"{name} ×{run.count}"
        return Fold(self._key(), "repeat", label, plural(count, "node"), inside)

    def _layer(self, number: int, steps: list[_Step]) -> Fold:
        items = self._compact(steps)
        detail = self._path(items) or plural(len({*leaves(items)}), "node")
        return Fold(self._key(), "layer", f"layer {number}", detail, items)

    def _path(self, items: Sequence[Item]) -> str:
        """What the names of its parameters begin with: "model.layers.3"."""
        names = [self.nodes[i]["label"] for i in leaves(items) if self.nodes[i]["kind"] == "input"]
        parts = [name.split(".")[:-1] for name in names]
        shared = itertools.takewhile(lambda each: len(set(each)) == 1, zip(*parts, strict=False))
        return ".".join(each[0] for each in shared) if len(names) > 1 else ""

    def _parts(self, steps: list[_Step]) -> list[_Step]:
        """Equal stretches of steps, each one box."""
        size = max(_PART, -(-len(steps) // self.limit))
        size = -(-len(steps) // -(-len(steps) // size))
        cut = [steps[at : at + size] for at in range(0, len(steps), size)]
        return [_Step((self._part(i, len(cut), each),), i) for i, each in enumerate(cut, start=1)]

    def _key(self) -> str:
        return f"{self.letter}{next(self.numbers)}"

    def _part(self, number: int, total: int, steps: list[_Step]) -> Fold:
        items = _items(steps)
        detail = plural(len({*leaves(items)}), "node")
        return Fold(self._key(), "part", f"part {number} of {total}", detail, items)


def _items(steps: Sequence[_Step]) -> tuple[Item, ...]:
    return tuple(item for step in steps for item in step.items)


def _form(node: Node) -> Hashable:
    return node["kind"], node["dtype"], tuple(node["shape"])
