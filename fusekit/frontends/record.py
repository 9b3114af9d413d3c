"""What a trace has written down: values, symbols, who owns memory, and how to take it back."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from fusekit.errors import FusionDeclined
from fusekit.frontends.calls import tensors_in
from fusekit.frontends.draws import Draws
from fusekit.frontends.dtypes import held_dtype
from fusekit.frontends.fake import Fakes
from fusekit.frontends.lines import user_line
from fusekit.frontends.names import Names
from fusekit.frontends.scalars import ScalarNode, pinned_tree
from fusekit.ir import DType, GraphBuilder, Ref
from fusekit.ir.graph import Attr
from fusekit.specs import Decline, Reason

__all__ = ["Mark", "Record"]

Mark = tuple[tuple[int, int], int]
"""A point of a trace: the builder's, and that of the names."""


class Record:
    """The state of one trace.

    Attributes:
        fakes: results without data.
        builder: the graph so far.
        device: that of the trace's tensors; None before it is known.
        names: which value each fake tensor stands for.
        draws: its random numbers.
        scalars: expression over argument names -> id of the scalar input that carries it.
        constants: tensors made from literals inside the function, by value id.
        obstacles: why an operator is a call, by its site.
        outside: value of an input that the function closes over -> what it is called.
        writes: (value of an input, value written into it), in order.
        states_sizes: True if a size may be part of the graph.
    """

    def __init__(self, fakes: Fakes, builder: GraphBuilder) -> None:
        """Nothing yet."""
        self.fakes = fakes
        self.builder = builder
        self.device: torch.device | None = None
        self.names = Names()
        self.draws = Draws(builder, fakes, self.names.identify, self.symbol)
        self.scalars: dict[str, int] = {}
        self.constants: dict[int, torch.Tensor] = {}
        self.obstacles: dict[int, Decline] = {}
        self.outside: dict[int, str] = {}
        self.writes: list[tuple[int, int]] = []
        self.states_sizes = False
        self._owned: set[int] = set()

    def stamp(self, func: Any) -> None:
        """What is written from now on belongs to this operator, which the user called."""
        self.builder.site += 1
        self.builder.loc = user_line()
        self.builder.origin = str(func)

    # values and symbols

    def dtype_of(self, tensor: torch.Tensor) -> DType | None:
        """Its dtype, or None for a tensor that no kernel of this trace can touch."""
        return held_dtype(tensor, self.device)

    def all_plain(self, tree: Any) -> bool:
        """True if kernels of this trace can touch all tensors in it."""
        return all(self.dtype_of(tensor) is not None for tensor in tensors_in(tree))

    def identify(self, tensor: torch.Tensor) -> int:
        """The value of a fake tensor; UnknownTensorError for a stranger."""
        return self.names.identify(tensor)

    def new_value(self, fake: torch.Tensor) -> int:
        """A value with the fake tensor's dtype, shape and strides."""
        value_id = self.builder.value(self.dtype_of(fake), tuple(fake.shape), _strides(fake))
        self.names.bind(fake, value_id)
        return value_id

    def new_input(self, fake: torch.Tensor) -> int:
        """A tensor input with the fake tensor's dtype, shape and strides."""
        value_id = self.builder.input(self.dtype_of(fake), tuple(fake.shape), _strides(fake))
        self.names.bind(fake, value_id)
        return value_id

    def literal(self, tensor: torch.Tensor) -> torch.Tensor:
        """`torch.tensor([...])` inside the function: a constant of the trace."""
        fake = self.fakes.like(tensor)
        self.constants[self.new_input(fake)] = tensor
        return fake

    def symbol(self, node: ScalarNode) -> int:
        """The scalar input for a symbolic scalar."""
        if node.expression not in self.scalars:
            dtype = DType.F64 if node.is_float() else DType.BOOL if node.is_bool() else DType.I64
            self.scalars[node.expression] = self.builder.scalar(dtype)
        return self.scalars[node.expression]

    def restate(self, made: Any, source: Any, target: str, given: tuple[Attr, ...]) -> bool:
        """Have the view that has just made a tensor be another operator that gives the same.

        Returns:
            False if the last node is no such view; it then stays as it is.
        """
        node = self.builder.nodes[-1] if self.builder.nodes else None
        if node is None or node.op != "view" or not (self._knows(made) and self._knows(source)):
            return False
        if (node.inputs, node.outputs) != ((self.identify(source),), (self.identify(made),)):
            return False
        attrs = (("args", (Ref(node.inputs[0]), *given)), ("kwargs", ()), ("target", target))
        self.builder.nodes[-1] = dataclasses.replace(node, attrs=attrs)
        return True

    def _knows(self, tensor: Any) -> bool:
        return isinstance(tensor, torch.Tensor) and self.names.knows(tensor)

    def finish(self, value_id: int, first: int, fake: torch.Tensor) -> None:
        """Give a result its own value, with the shape and strides that torch states.

        Values from `first` on were made for it.
        """
        shape = tuple(fake.shape)
        if value_id < first or self.builder.values[value_id].shape != shape:
            value_id = self.builder.apply("copy", value_id, shape=shape)
        self.builder.set_strides(value_id, fake.stride())
        self.names.bind(fake, value_id)

    def note_size(self, arguments: dict[str, Any]) -> None:
        """A stated size is part of the graph, also one that comes from a Python number."""
        self.states_sizes |= bool(pinned_tree(arguments.get("size")))

    def note_obstacle(self, why: Decline) -> Decline:
        """The current operator is a call, and this is why."""
        why = dataclasses.replace(why, op=self.builder.origin, loc=self.builder.loc)
        self.obstacles[self.builder.site] = why
        return why

    def laid_out(self, fake: torch.Tensor, strides: tuple[int, ...]) -> torch.Tensor:
        """The same elements under other strides.

        Raises:
            FusionDeclined: no kernel can copy them.
        """
        dtype = self.dtype_of(fake)
        if dtype is None:
            detail = f"a tensor of {fake.dtype} that is not contiguous is written"
            raise FusionDeclined(Decline(Reason.MUTATION, detail))
        shape = tuple(fake.shape)
        value = self.builder.apply("copy", self.identify(fake), shape=shape)
        self.builder.set_strides(value, strides)
        made = self.fakes.like_of(fake, fake.dtype, strides)
        self.names.bind(made, value)
        return made

    # whose memory is whose

    def made_here(self, tensor: torch.Tensor) -> bool:
        """True for the result of an operator of this trace."""
        known = self.names.knows(tensor)
        return known and self.builder.maker(self.identify(tensor)) is not None

    def owns(self, tensor: Any) -> bool:
        """True for a tensor whose memory is new in this trace, and seen by nobody else."""
        return id(tensor) in self._owned

    def own(self, tree: Any) -> None:
        """The memory of these tensors is new."""
        self._owned.update(map(id, tensors_in(tree)))

    def share(self, tree: Any) -> None:
        """Others may see the memory of these tensors from now on."""
        self._owned.difference_update(map(id, tensors_in(tree)))

    # taking back

    def mark(self) -> Mark:
        """A point to which `rollback` returns."""
        return self.builder.mark(), self.names.mark()

    def rollback(self, mark: Mark) -> None:
        """Forget all values and nodes since `mark`, looking only at those."""
        made, bound = mark
        self.builder.rollback(made)
        self.names.forget(made[0], bound)
        while self.scalars and next(reversed(self.scalars.values())) >= made[0]:
            self.scalars.popitem()
        self.draws.forget(made[0])


def _strides(fake: torch.Tensor) -> tuple[int, ...] | None:
    return fake.stride() if fake.layout is torch.strided else None
