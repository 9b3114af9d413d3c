"""From a fused function and the arguments of one call to the model of a view."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

from torch.utils import _pytree as pytree

from fusekit.api import FusedFunction
from fusekit.fusion import Group as FusionGroup
from fusekit.fusion.rules import Rules
from fusekit.runtime.entry import Entry
from fusekit.runtime.explanation import Explanation, explanation_of
from fusekit.runtime.leaf_names import leaf_names
from fusekit.runtime.program import Program, rules_of
from fusekit.specs import Decline
from fusekit.viz.cell.userline import user_text
from fusekit.viz.collect.boxes import Box, boxes, group_name
from fusekit.viz.collect.ladder import fill_ladder
from fusekit.viz.collect.ledger import eager_launches, ledger
from fusekit.viz.collect.machine import this_machine
from fusekit.viz.collect.places import memory_of_values
from fusekit.viz.collect.sources import sources
from fusekit.viz.collect.stopwatch import timing_of
from fusekit.viz.collect.why import fill_why
from fusekit.viz.live.session import CallSession
from fusekit.viz.model.schema import (
    Compile,
    Declined,
    Edge,
    Group,
    Model,
    Node,
    Totals,
    User,
    new_model,
)
from fusekit.viz.view import FusionView

__all__ = ["Filler", "collect", "declined", "explore"]


def explore(fused: FusedFunction, *args: Any, **kwargs: Any) -> FusionView:
    """The view of one call: graph, source, bytes, and fused against eager timing."""
    return collect(fused, args, kwargs, timing=True)


def collect(
    fused: FusedFunction, args: tuple[Any, ...], kwargs: dict[str, Any], *, timing: bool
) -> FusionView:
    """Like `explore`; without `timing` nothing is run."""

    def model(function: FusedFunction, given: tuple[Any, ...], named: dict[str, Any]) -> Model:
        found = model_of(function, given, named)
        if timing:
            found["timing"] = timing_of(function, given, named)
            found["machine"] = this_machine()
        return found

    def live() -> CallSession:
        return CallSession(fused, args, kwargs, model)

    return FusionView(model(fused, args, kwargs), live)


def model_of(fused: FusedFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Model:
    """The model of one call, without timing."""
    entry = fused.entry(args, kwargs)
    model = new_model(fused.name)
    text = user_text(fused.function)
    model["user"] = User(text=text.text, first=text.first, file=text.file)
    explained = explanation_of(fused.name, entry)
    model["declined"] = [declined(decline) for decline in explained.declined]
    if entry.program is not None:
        names = leaf_names(fused.function, args, kwargs)
        call = (fused.function, args, kwargs)
        rules = rules_of(entry.program.capture, entry.program.graph, fused.planned)
        memory = memory_of_values(entry.program.capture, pytree.tree_leaves((args, kwargs)))
        filler = Filler(model, entry, entry.program, names, explained, call=call, rules=rules)
        filler.fill(memory)
    return model


class Filler:
    """Fills a model from a program."""

    def __init__(
        self,
        model: Model,
        entry: Entry,
        program: Program,
        names: list[str],
        explained: Explanation,
        *,
        call: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]] | None = None,
        rules: Rules | None = None,
    ) -> None:
        """Begin; `call` is what was captured, `rules` what its plan says, if they are known."""
        self.model = model
        self.rules = rules
        self.call = call
        self.entry = entry
        self.program = program
        self.graph = program.graph
        self.explained = explained
        self.boxes = boxes(program)
        # A value that several groups compute is the one's that stores it, for all the others.
        stored = [{*call.group.outputs} for call in program.kernels]
        self.maker: dict[int, Box] = {}
        self.within = {(value, box.group): box for box in self.boxes for value in box.makes}
        for box in self.boxes:
            for value in box.makes:
                if value not in self.maker or (
                    box.group is not None and value in stored[box.group]
                ):
                    self.maker[value] = box
        self.names = self._names(names)
        self.joined: set[tuple[str, str]] = set()

    def fill(self, memory: Mapping[int, Hashable]) -> list[Hashable]:
        """Fill in everything but what is known of the function as a whole.

        `memory` says where captured values lie. Returns the same for the rows of the ledger.
        """
        self._nodes()
        self._edges()
        self._groups()
        engine = self.entry.plan.engine if self.entry.plan else None
        self.model["sources"] = sources(self.program, engine)
        traced = self.program.capture.graph
        named = {
            old: self.names[new] for old, new in zip(traced.inputs, self.graph.inputs, strict=True)
        }
        found, places = ledger(self.program, named, self._values(), memory)
        self.model["ledger"] = found
        calls = sum(node.op == "call" for node in self.graph.nodes)
        self.model["totals"] = Totals(
            groups=len(self.program.kernels),
            launches=len(self.program.launches) + calls,
            eager_launches=eager_launches(traced),
            saved_bytes=max(found["eager"] - found["fused"], 0),
        )
        fill_why(
            self.model,
            self.program,
            self.explained,
            maker=self.maker,
            step_end=self.step_end,
            call=self.call,
            rules=self.rules,
        )
        fill_ladder(self.model, self.program, self.maker, self.rules)
        plan = self.entry.plan
        for i, kernel in enumerate(plan.kernels if plan else ()):
            self.model["compile"].append(
                Compile(
                    group=group_name(i) if len(plan.kernels) == len(self.program.kernels) else None,  # type: ignore[union-attr]
                    symbol=kernel.spec.symbol,
                    engine=kernel.engine.name,
                    seconds=kernel.seconds,
                    cached=kernel.cached,
                )
            )
        return places

    def _names(self, leaves: list[str]) -> dict[int, str]:
        """What to call the graph's inputs."""
        capture = self.program.capture
        found = {}
        for value, source in zip(self.graph.tensor_inputs, capture.sources, strict=True):
            if source.leaf is not None:
                found[value] = leaves[source.leaf]
            else:
                found[value] = source.free.name if source.free else "constant"
        for value, text in zip(self.graph.scalar_inputs, capture.scalars, strict=True):
            index = text.removeprefix("a")
            is_argument = index != text and index.isdecimal()
            found[value] = leaves[int(index)] if is_argument else "scalar"
        return found

    def _shown_inputs(self) -> list[int]:
        """All inputs but the numbers of random draws, which no user gave."""
        texts = dict(zip(self.graph.scalar_inputs, self.program.capture.scalars, strict=True))
        return [i for i in self.graph.inputs if not texts.get(i, "").isdecimal()]

    # the graph

    def _nodes(self) -> None:
        nodes = self.model["graph"]["nodes"]
        scalars = set(self.graph.scalar_inputs)
        for value in self._shown_inputs():
            kind = "scalar" if value in scalars else "input"
            nodes.append(self._node(f"i{value}", self.names[value], kind, value))
        for box in self.boxes:
            node = self._node(
                box.id, box.label, "op" if box.group is not None else "opaque", box.value
            )
            node["op"] = box.origin
            node["group"] = None if box.group is None else group_name(box.group)
            loc = box.nodes[-1].loc
            node["line"] = loc.line if loc else None
            nodes.append(node)
        for position, (name, value) in enumerate(self._outputs()):
            nodes.append(self._node(f"o{position}", name, "output", self.graph.viewed(value)))

    def _outputs(self) -> list[tuple[str, int]]:
        """Results, then what is written back into arguments."""
        found = self.program.capture
        paths, _ = pytree.tree_flatten_with_path(
            pytree.tree_unflatten(
                [result.value is not None for result in found.results], found.out_spec
            )
        )
        keys = [pytree.keystr(path) for path, is_made in paths if is_made]
        results = self.program.results
        named = [(_output_name(key), value) for key, value in zip(keys, results, strict=True)]
        return named + [(f"{self.names[x]} (written)", value) for x, value in self.program.writes]

    def _values(self) -> dict[object, int]:
        """What the ledger knows an input or an operator by -> the value of its node."""
        shown = {*self._shown_inputs()}
        found: dict[object, int] = {
            ("input", place): value
            for place, value in enumerate(self.graph.inputs)
            if value in shown
        }
        for box in self.boxes:
            is_maker = self.maker.get(box.value) is box
            for site in {node.site for node in box.nodes if node.site >= 0}:
                if is_maker or ("site", site) not in found:
                    found["site", site] = box.value
        return found

    def _node(self, node_id: str, label: str, kind: Any, value: int) -> Node:
        found = self.graph.values[value]
        return Node(
            id=node_id,
            label=label,
            op="",
            kind=kind,
            group=None,
            dtype=found.dtype.value if found.dtype else "",
            shape=list(found.shape or ()),
            strides=list(found.dense_strides if found.shape else ()),
            bytes=found.nbytes if found.shape is not None else 0,
            line=None,
            value=value,
        )

    def _edges(self) -> None:
        for box in self.boxes:
            for value in box.reads:
                self._edge(value, box.id, box.group)
        for position, (_, value) in enumerate(self._outputs()):
            self._edge(self.graph.viewed(value), f"o{position}")

    def _edge(self, value: int, target: str, group: int | None = None) -> None:
        own = self.within.get((value, group)) if group is not None else None
        source = own.id if own else self._end(value)
        found = self.graph.values[value]
        if source is None or source == target or (source, target) in self.joined:
            return
        self.joined.add((source, target))
        self.model["graph"]["edges"].append(
            Edge(
                source=source,
                target=target,
                value=value,
                dtype=found.dtype.value if found.dtype else "",
                shape=list(found.shape or ()),
                bytes=found.nbytes,
            )
        )

    def _end(self, value: int) -> str | None:
        if value in self.maker:
            return self.maker[value].id
        return f"i{value}" if value in self._shown_inputs() else None

    # groups, seams

    def _groups(self) -> None:
        for i, (call, info) in enumerate(
            zip(self.program.kernels, self.explained.groups, strict=True)
        ):
            members = [box.id for box in self.boxes if box.group == i]
            self.model["groups"].append(
                Group(
                    id=group_name(i),
                    name=f"group {i + 1}",
                    symbol=call.spec.symbol,
                    engine=info.engine,
                    key=call.spec.key,
                    ops=len(members),
                    in_bytes=info.bytes_read,
                    out_bytes=info.bytes_written,
                    nodes=members,
                )
            )

    def step_end(self, index: int) -> str | None:
        """The group or the node that a step of the partition is."""
        step = self.program.partition.steps[index]
        if isinstance(step, FusionGroup):
            number = [call.group.index for call in self.program.kernels].index(step.index)
            return group_name(number)
        made = next(iter(step.outputs), None)  # a check makes nothing
        return self.maker[made].id if made in self.maker else None


def declined(decline: Decline) -> Declined:
    """What PyTorch runs, as the model has it."""
    return Declined(
        op=decline.op,
        code=decline.code,
        reason=decline.reason.sentence,
        detail=decline.detail,
        line=decline.loc.line if decline.loc else None,
        hint=decline.hint,
    )


def _output_name(path: str) -> str:
    """What to call a result: "y" for the item "y" of a dict, "output[1]" in a tuple."""
    key = path.removeprefix("['").removesuffix("']")
    if not path:
        return "output"
    return key if f"['{key}']" == path else f"output{path}"
