"""The memory of one kernel call: regions that tensors lie in, and where in them each one begins."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch

from fusekit.errors import FusionDeclined
from fusekit.frontends.dtypes import TO_TORCH
from fusekit.ir import DType
from fusekit.runtime.engines import Engine
from fusekit.runtime.fallback import reference_launcher
from fusekit.runtime.place import Place
from fusekit.runtime.program import KernelCall, Program
from fusekit.runtime.replay import inputs_of, made_by, numbers_of
from fusekit.specs import Decline

__all__ = ["KernelMemory", "Region", "by_reference", "contents_of", "memory_of", "scalars_of"]


@dataclasses.dataclass(frozen=True, slots=True)
class Region:
    """Memory of one tensor and its views.

    Attributes:
        dtype: of its elements.
        elements: how many the kernel may touch, from the first on.
        is_written: the kernel stores into it.
    """

    dtype: DType
    elements: int
    is_written: bool

    @property
    def nbytes(self) -> int:
        """Its size."""
        return self.elements * self.dtype.itemsize


@dataclasses.dataclass(frozen=True, slots=True)
class KernelMemory:
    """Regions, and the kernel's tensors in them.

    Attributes:
        regions: one for each tensor that owns memory.
        places: of what is loaded, then of what is stored; `base` is a position in `regions`.
        n_inputs: how many are loaded.
    """

    regions: tuple[Region, ...]
    places: tuple[Place, ...]
    n_inputs: int

    @property
    def outputs(self) -> tuple[Place, ...]:
        """Where results are stored."""
        return self.places[self.n_inputs :]

    def view(self, contents: Sequence[torch.Tensor], place: Place) -> torch.Tensor:
        """One tensor, given the regions as flat tensors."""
        return contents[place.base].as_strided(place.shape, place.strides, place.offset)


def memory_of(call: KernelCall) -> KernelMemory:
    """The memory that a kernel call touches."""
    position: dict[int, int] = {}
    sizes: list[int] = []
    dtypes: list[DType] = []
    places = []
    for place, desc in zip((*call.reads, *call.writes), call.binding.args.tensors, strict=True):
        index = position.setdefault(place.base, len(position))
        if index == len(sizes):
            sizes.append(0)
            dtypes.append(desc.dtype)
        sizes[index] = max(sizes[index], _end(place))
        places.append(dataclasses.replace(place, base=index))
    written = {place.base for place in places[len(call.reads) :]}
    regions = zip(dtypes, sizes, strict=True)
    return KernelMemory(
        tuple(Region(dtype, size, i in written) for i, (dtype, size) in enumerate(regions)),
        tuple(places),
        len(call.reads),
    )


def _end(place: Place) -> int:
    """The element behind the last one."""
    if 0 in place.shape:
        return place.offset
    steps = zip(place.shape, place.strides, strict=True)
    return place.offset + 1 + sum((extent - 1) * stride for extent, stride in steps)


def scalars_of(program: Program, leaves: Sequence[Any], call: KernelCall) -> tuple[Any, ...]:
    """What the call passes for the kernel's scalars."""
    numbers = numbers_of(program, leaves)
    return tuple(numbers[value] for value in call.scalars)


def contents_of(
    program: Program, engine: Engine, leaves: Sequence[Any], call: KernelCall, memory: KernelMemory
) -> list[torch.Tensor]:
    """The regions before the kernel runs, flat and on the CPU, with what the call would put there.

    What earlier kernels and operators make is made once, without writes into arguments.

    Raises:
        FusionDeclined: the call runs in PyTorch after all.
    """
    found = inputs_of(program, leaves)
    bases = {value: program.places[value].base for value in call.tensors}
    missing = tuple(dict.fromkeys(base for base in bases.values() if base not in found))
    if missing:
        found |= made_by(program, engine, leaves, missing, _declined)
    contents = [
        torch.zeros(region.elements, dtype=TO_TORCH[region.dtype]) for region in memory.regions
    ]
    for value, place in zip(call.tensors, memory.places, strict=False):
        lies = program.places[value]
        base = found[lies.base].detach()
        given = base.as_strided(lies.shape, lies.strides, base.storage_offset() + lies.offset)
        target = memory.view(contents, place)
        for dim, stride in enumerate(place.strides):
            if stride == 0 and place.shape[dim]:  # many coordinates, one element
                given, target = given.narrow(dim, 0, 1), target.narrow(dim, 0, 1)
        target.copy_(given)
    return contents


def by_reference(
    call: KernelCall, memory: KernelMemory, contents: Sequence[torch.Tensor], scalars: Sequence[Any]
) -> list[torch.Tensor]:
    """The results as PyTorch's own operators compute them, on a copy of the regions."""
    copies = [region.clone() for region in contents]
    run = reference_launcher(call.spec, call.group.shape, call.counts)
    run(None, *scalars, *(memory.view(copies, place) for place in memory.places))
    return [memory.view(copies, place) for place in memory.outputs]


def _declined(_leaves: Sequence[Any], decline: Decline) -> Any:
    raise FusionDeclined(decline)
