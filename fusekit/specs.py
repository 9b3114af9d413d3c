"""The values that cross layers: why not (Decline), what (KernelSpec), and for which arguments."""

from __future__ import annotations

import dataclasses
import enum

from fusekit.ir import DType, Graph, Loc

__all__ = [
    "ArgSpec",
    "Decline",
    "KernelSpec",
    "PartitionDesc",
    "Reason",
    "Stride",
    "TensorDesc",
]


class Reason(enum.Enum):
    """Why something runs in PyTorch instead of in a kernel: (code, sentence, what to do)."""

    OPAQUE_OP = (
        "FK0101",
        "not a pointwise operator",
        "PyTorch runs it between the groups; nothing to do",
    )
    UNSUPPORTED_DTYPE = (
        "FK0102",
        "a dtype that kernels do not hold",
        "convert to a real floating point, integer or bool dtype",
    )
    RANDOM = (
        "FK0103",
        "draws random numbers",
        "kernels draw rand, rand_like, uniform_, bernoulli and dropout; pass other draws in",
    )
    VIEW_OF_INTERMEDIATE = (
        "FK0104",
        "a view of a computed value that is also used as it is",
        "take the view of the function's inputs instead",
    )
    CYCLE = (
        "FK0105",
        "joining would make two groups wait for each other",
        "compute it before the operator between them, or after both",
    )
    ITERATION_SPACE = (
        "FK0106",
        "its results have another shape than the group's",
        "make the shapes equal, or accept a second kernel",
    )
    ARGUMENT_LIMIT = (
        "FK0107",
        "the kernel would take too many tensors",
        "raise the option max_arguments, or split the function",
    )
    DEVICE = (
        "FK0108",
        "a tensor is on another device than the kernels",
        "move the tensors to one device first",
    )
    LAYOUT = (
        "FK0109",
        "not an ordinary strided tensor",
        "convert sparse, quantised, nested or subclassed tensors to plain ones first",
    )
    MUTATION = (
        "FK0110",
        "writes to a tensor that others still see",
        "write the operation out of place",
    )
    PLAN = (
        "FK0111",
        "the plan says so",
        "take the constraint out of the plan",
    )
    DATA_DEPENDENT = (
        "FK0201",
        "Python control flow or a size depends on tensor values",
        "use torch.where, or keep the branch outside the fused function",
    )
    CAPTURE = (
        "FK0202",
        "the function could not be traced",
        "see the detail; everything it calls must go through torch operators",
    )
    NO_TENSORS = (
        "FK0203",
        "no tensor among the arguments",
        "pass the tensors as arguments instead of closing over them",
    )
    NOTHING_TO_FUSE = (
        "FK0204",
        "no pointwise operator in the function",
        "nothing to do: PyTorch runs it as it is",
    )
    GRADIENT = (
        "FK0205",
        "gradients through operators that only PyTorch can differentiate here",
        "call it under torch.no_grad() for inference",
    )
    TRANSFORM = (
        "FK0206",
        "called under another torch mode or transform",
        "apply fusekit.fuse outermost",
    )
    GRAPH_BREAK = (
        "FK0207",
        "torch.compile ended a graph here",
        "move what it cannot follow before or after the compiled function",
    )
    DISABLED = (
        "FK0301",
        "fusion is switched off for this device",
        "call fusekit.override_can_fuse_on_cpu(True) or ..._gpu(True)",
    )
    NO_ENGINE = (
        "FK0302",
        "no engine can serve this device here",
        "run fusekit.doctor() to see what is missing",
    )
    COMPILE_FAILED = (
        "FK0303",
        "the generated kernel did not compile",
        "the log is in the detail; please report it",
    )
    SHAPES = (
        "FK0304",
        "the shapes do not broadcast to one map size",
        "check the shapes; eager PyTorch decides whether they are an error",
    )
    EMPTY = (
        "FK0305",
        "there are no elements",
        "nothing to do: no kernel is needed",
    )
    OVERLAP = (
        "FK0306",
        "an output shares memory with another argument in a different layout",
        "clone the tensor that is written in place",
    )
    TRAP = (
        "FK0307",
        "an integer was divided by zero, or a probability is not one",
        "PyTorch ran it again to raise its own error",
    )

    LAUNCH_FAILED = (
        "FK0308",
        "the driver refused to launch the kernel",
        "the detail has the driver's error; PyTorch ran the call instead",
    )
    EXHAUSTED = (
        "FK0309",
        "memory, stack or disk ran out while kernels were prepared",
        "make room for what the detail names; the next call tries again",
    )
    RAISED = (
        "FK0310",
        "an operator raised, in a function that writes to its arguments",
        "PyTorch ran the call again, so that arguments are as it leaves them",
    )
    FAULT = (
        "FK0311",
        "a fault in fusekit itself",
        "please report it, with the detail and the function",
    )

    def __init__(self, code: str, sentence: str, hint: str) -> None:
        """Name the three parts of the value."""
        self.code = code
        self.sentence = sentence
        self.hint = hint

    @property
    def page(self) -> str:
        """Where it is described at length, with programs: the file's place in the repository."""
        return f"docs/reasons/{self.code}.md"


@dataclasses.dataclass(frozen=True, slots=True)
class Decline:
    """A refusal, as a value.

    Attributes:
        reason: which rule.
        detail: the particulars of this case, with names and sizes.
        op: the torch operator it is about, or "".
        loc: the user's line, if known.
        advice: what to change in this very case; "" if no more is known than the reason's hint.
    """

    reason: Reason
    detail: str = ""
    op: str = ""
    loc: Loc | None = None
    advice: str = ""

    @property
    def code(self) -> str:
        """The stable code, FKnnnn."""
        return self.reason.code

    @property
    def hint(self) -> str:
        """What the user can do about it."""
        return self.advice or self.reason.hint

    @property
    def page(self) -> str:
        """The page about its reason."""
        return self.reason.page

    def to_dict(self) -> dict[str, object]:
        """All of it as values that JSON has."""
        return {
            "code": self.code,
            "sentence": self.reason.sentence,
            "detail": self.detail,
            "op": self.op,
            "file": self.loc.file if self.loc else None,
            "line": self.loc.line if self.loc else None,
            "text": self.loc.text if self.loc else None,
            "hint": self.hint,
            "page": self.page,
        }

    def __str__(self) -> str:
        """One line: code, operator, sentence, detail, place."""
        subject = f"{self.op}: " if self.op else ""
        detail = f" ({self.detail})" if self.detail else ""
        where = f" at {self.loc}" if self.loc else ""
        return f"[{self.code}] {subject}{self.reason.sentence}{detail}{where}"


@dataclasses.dataclass(frozen=True, slots=True)
class PartitionDesc:
    """How an input is chunked or an output is concatenated: `pieces` equal parts along `dim`."""

    pieces: int
    dim: int


@dataclasses.dataclass(frozen=True)
class KernelSpec:
    """One fusion group, device-independent: what every kernel compiled from it shares.

    Attributes:
        key: digest of the graph's normal form; the name of its kernels derives from it.
        graph: the group graph in normal form.
        broadcast_groups: for each output (for a cat, each of its pieces) the positions of the
            tensor inputs it depends on, sorted; each distinct set once.
        input_partitions: one entry for each tensor input; None if it is not chunked.
        output_partitions: one entry for each output; None if it is not a cat.
        tensors_in: value ids that a kernel loads: an input's own, or its pieces'.
        tensors_out: value ids that a kernel stores: an output's own, or its pieces'.
        indices: value ids of the `index` nodes, in order.
    """

    key: str
    graph: Graph
    broadcast_groups: tuple[tuple[int, ...], ...]
    input_partitions: tuple[PartitionDesc | None, ...]
    output_partitions: tuple[PartitionDesc | None, ...]
    tensors_in: tuple[int, ...]
    tensors_out: tuple[int, ...]
    indices: tuple[int, ...] = ()

    @property
    def symbol(self) -> str:
        """The kernels' name in generated source: the same in every process."""
        return f"fk_{self.key[:12]}"

    @property
    def traps(self) -> bool:
        """True when a kernel must report an integer division by zero."""
        return any(
            node.row.traps and self.graph.dtype(node.output).is_integral
            for node in self.graph.nodes
        )


class Stride(enum.Enum):
    """What a kernel knows at compile time of a stride."""

    BROADCAST = 0
    UNIT = 1
    STRIDED = 2

    __hash__ = object.__hash__  # members are single; an enum's own hash is that of the name

    def __repr__(self) -> str:
        """One letter: 0, 1 or s."""
        return "01s"[self.value]


@dataclasses.dataclass(frozen=True, slots=True)
class TensorDesc:
    """What a kernel is specialised on, for one tensor.

    Attributes:
        dtype: element type.
        strides: one class for each collapsed dimension, outermost first. On the CPU, UNIT appears
            in the innermost; and in the one before, for inputs that are transposed.
        alignment: bytes that the address and every row are a multiple of; at least the itemsize.
            Rows do not count where `flat` is set.
        flat: its elements follow each other in memory as they do in the walk. Set for all outputs,
            or for no tensor; on the CPU, only where rows are short, and every input that is not has
            one row that all rows read.
        step: on the CPU, an input's innermost stride if it is 2, 3 or 4, so that what lies between
            its elements is loaded too; 0 for any other.
    """

    dtype: DType
    strides: tuple[Stride, ...]
    alignment: int
    flat: bool = False
    step: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class ArgSpec:
    """What a kernel is specialised on, for all its tensors. Never sizes.

    On the CPU, strides of 2 to 4 are known, and whether rows are short or tensors lie across them.

    Attributes:
        device: "cpu" or "cuda".
        ndim: dimensions left after collapsing; 0 for a single element.
        inputs: one for each of `KernelSpec.tensors_in`.
        outputs: one for each of `KernelSpec.tensors_out`.
        index_bits: 32 or 64.
        inner_multiple: on a GPU, the largest power of two, at most 16, that divides the innermost
            extent, and that along which inputs are transposed; where there is only one, 16, or 0:
            then the rest is masked.
        period: on a GPU, the innermost of two extents, if it is from 2 to 4, vectors run on across
            it, 16 divides the other one, and what is not flat repeats with it; 0 otherwise.
        indices: one for each of `KernelSpec.indices`: how it moves. It has no pointer; where a
            tensor would have an address, an index has a value.
        in_place: (input, output) for each pair that is one tensor: elements are read where their
            results are stored. All other outputs share no memory with any tensor.
        calls: on a GPU, how many calls one launch has room for; 0 for a kernel that takes the
            arguments of one call.
    """

    device: str
    ndim: int
    inputs: tuple[TensorDesc, ...]
    outputs: tuple[TensorDesc, ...]
    index_bits: int = 64
    inner_multiple: int = 1
    period: int = 0
    indices: tuple[TensorDesc, ...] = ()
    in_place: tuple[tuple[int, int], ...] = ()
    calls: int = 0

    @property
    def tensors(self) -> tuple[TensorDesc, ...]:
        """Inputs, then outputs: what has an address."""
        return self.inputs + self.outputs

    @property
    def operands(self) -> tuple[TensorDesc, ...]:
        """The tensors, then the indices: what has strides."""
        return self.tensors + self.indices
