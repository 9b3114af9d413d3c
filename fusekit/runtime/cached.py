"""What is held for one function: entries with their guards, kernels, and what they cost."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.utils import _pytree as pytree

from fusekit.compilers import cache
from fusekit.errors import UsageError
from fusekit.runtime.cache_export import export_entry
from fusekit.runtime.described import asked_of, described, text_of
from fusekit.runtime.dispatch import Dispatcher
from fusekit.runtime.entry import Entry
from fusekit.runtime.gradient import Differentiable
from fusekit.runtime.guards import Guard, guards_of
from fusekit.runtime.kernels import Kernel, forget
from fusekit.runtime.leaf_names import parameters_of
from fusekit.runtime.lookup import Lookup, look_up, why_missed
from fusekit.runtime.seeded import Drawing
from fusekit.specs import Decline

__all__ = ["CachedEntry", "CachedKernel", "FunctionCache"]


@dataclasses.dataclass(frozen=True, slots=True)
class CachedKernel:
    """A compiled kernel.

    Attributes:
        symbol: its name in generated source.
        key: of its spec: the digest of the group in normal form.
        engine: what runs it.
        seconds: what generating and compiling it took, or loading it.
        from_disk: its machine code came from the disk cache.
        disk_bytes: what it takes there; None if it is not there.
        launches: by the entries that use it, so far.
    """

    symbol: str
    key: str
    engine: str
    seconds: float
    from_disk: bool
    disk_bytes: int | None
    launches: int

    def to_dict(self) -> dict[str, object]:
        """All of it as values that JSON has."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, slots=True)
class CachedEntry:
    """What was prepared for one signature.

    Attributes:
        number: as in `f.history()`.
        function: the function's own name, or that of its backward.
        asked: the signature, as `would_serve` reads it.
        guards: what it asks of a call.
        engine: what runs it; "" if PyTorch does.
        symbols: of its kernels, in order.
        decline: why PyTorch runs it; None if kernels do.
        captured: False if a size-generic program was resized for it.
        differentiable: gradients are recorded.
        pinned: no bounded store forgets it.
        calls: that its plan served; None where PyTorch runs it.
        launches: kernel launches of these.
    """

    number: int
    function: str
    asked: str
    guards: tuple[Guard, ...]
    engine: str
    symbols: tuple[str, ...]
    decline: Decline | None
    captured: bool
    differentiable: bool
    pinned: bool
    calls: int | None
    launches: int

    def __str__(self) -> str:
        """One line, without what differs from run to run."""
        runs = str(self.decline) if self.decline else f"{self.engine}: {' '.join(self.symbols)}"
        marks = [
            word
            for word, is_so in (
                ("resized", not self.captured),
                ("differentiable", self.differentiable),
                ("pinned", self.pinned),
            )
            if is_so
        ]
        more = f" ({', '.join(marks)})" if marks else ""
        return f"{self.number}  {self.function}({self.asked}){more}: {runs}"

    def to_dict(self) -> dict[str, object]:
        """All of it as values that JSON has."""
        return {
            **{f.name: getattr(self, f.name) for f in dataclasses.fields(self)},
            "guards": [guard.to_dict() for guard in self.guards],
            "symbols": list(self.symbols),
            "decline": self.decline.to_dict() if self.decline else None,
        }


class FunctionCache:
    """What a fused function has prepared, and its gradients; always as it is now.

    Three stores are bounded. A function remembers 4096 signatures and 64 entries of each, which
    differ in pinned numbers or in what the function closes over; the oldest goes first. The disk
    cache holds 256 MiB; what was used longest ago goes first. The process keeps the kernels of all
    entries, and 512 more. A pinned entry stays in all of them, but for what other processes do to
    the disk cache.
    """

    def __init__(self, dispatcher: Dispatcher) -> None:
        """The cache of a function."""
        self._dispatcher = dispatcher

    @property
    def entries(self) -> tuple[CachedEntry, ...]:
        """Everything that was prepared, by number."""
        found = [_shown(owner, entry) for owner, entry in self._held()]
        return tuple(sorted(found, key=lambda each: each.number))

    @property
    def kernels(self) -> tuple[CachedKernel, ...]:
        """The kernels of all entries, each once, in the order of their first entry."""
        launches: collections.Counter[int] = collections.Counter()
        kernels: dict[int, Kernel] = {}
        held = sorted(self._held(), key=lambda pair: _number(pair[1]))
        for _, entry in held:
            for kernel in entry.plan.kernels if entry.plan is not None else ():
                kernels[id(kernel)] = kernel
            for made, count in _launched(entry).items():
                launches[made] += count
        return tuple(_shown_kernel(made, launches[number]) for number, made in kernels.items())

    def would_serve(self, *args: Any, **kwargs: Any) -> Lookup:
        """Which entry would serve a call; else the first guard of each that fails, and what then.

        Nothing is executed, captured or compiled. Torch's modes and fusekit's options count as
        they are here and now.

        Args:
            *args: as for the call; or one text such as "f32[8,128], f32[128] requires_grad", or
                one dict of such items by argument name (see `fusekit.runtime.described`).
            **kwargs: as for the call.

        Raises:
            UsageError: the description cannot be read.
        """
        owner = self._dispatcher
        if len(args) == 1 and not kwargs and _describes(args[0]):
            names = parameters_of(owner.original)
            return look_up(owner, described(owner.original, args[0], names))
        return look_up(owner, asked_of(owner.original, args, kwargs))

    def why(self, number: int) -> Lookup:
        """Why the call that an entry was made for was a miss: the earlier entries, held against it.

        Raises:
            UsageError: there is no such entry.
        """
        return why_missed(*self._find(number))

    def evict(self, number: int, *, kernels: bool = False) -> None:
        """Forget an entry, and the capture behind it: such a call is captured anew.

        Args:
            number: the entry's.
            kernels: forget its machine code, too, in memory and on disk: whoever asks for one of
                its kernels next compiles it. Other entries that use them keep theirs.

        Raises:
            UsageError: there is no such entry.
        """
        owner, entry = self._find(number)
        self.unpin(number)
        owner.evict(entry)
        if kernels and entry.plan is not None:
            for kernel in entry.plan.kernels:
                forget(kernel)

    def pin(self, number: int) -> None:
        """Have no bounded store forget an entry, whatever else comes; UsageError if none is it."""
        owner, entry = self._find(number)
        owner.pin(entry, pinned=True)
        for key in _disk_keys(entry):
            cache.hold(key)

    def unpin(self, number: int) -> None:
        """Undo `pin`; UsageError if there is no such entry."""
        owner, entry = self._find(number)
        owner.pin(entry, pinned=False)
        wanted = {k for o, e in self._held() if o.is_pinned(e) for k in _disk_keys(e)}
        for key in _disk_keys(entry):
            if key not in wanted:
                cache.release(key)

    def export(self, number: int, directory: str | Path) -> list[Path]:
        """Write an entry's kernels into a directory: source, spec, machine code, and what it asks.

        Returns:
            The files that were written.

        Raises:
            UsageError: there is no such entry.
        """
        _, entry = self._find(number)
        shown = next(each for each in self.entries if each.number == number)
        return export_entry(entry, shown.to_dict(), Path(directory))

    def __repr__(self) -> str:
        """`<cache of NAME: 2 entries, 1 kernel>`."""
        return f"<cache of {self._dispatcher.name}: {self._counts()}>"

    def __str__(self) -> str:
        """A line for each entry, and its guards below; no times and no counters."""
        lines = [f"cache of {self._dispatcher.name}: {self._counts()}"]
        for entry in self.entries:
            lines.append(f"  {entry}")
            lines += [f"       {text}" for text in _guard_lines(entry.guards)]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, object]:
        """All of it as values that JSON has."""
        return {
            "name": self._dispatcher.name,
            "entries": [entry.to_dict() for entry in self.entries],
            "kernels": [kernel.to_dict() for kernel in self.kernels],
            "most_signatures": self._dispatcher.prepared.most_keys,
            "most_of_one": self._dispatcher.prepared.most_items,
            "most_disk_bytes": cache.LIMIT_BYTES,
        }

    def _counts(self) -> str:
        n_entries, n_kernels = len(self.entries), len(self.kernels)
        entries = "entry" if n_entries == 1 else "entries"
        return f"{n_entries} {entries}, {n_kernels} kernel{'' if n_kernels == 1 else 's'}"

    def _held(self) -> Iterator[tuple[Dispatcher, Entry]]:
        for owner in _with_gradients(self._dispatcher):
            for entry in owner.prepared.values():
                if entry.made is not None:
                    yield owner, entry

    def _find(self, number: int) -> tuple[Dispatcher, Entry]:
        held = list(self._held())
        for owner, entry in held:
            if _number(entry) == number:
                return owner, entry
        known = ", ".join(str(_number(entry)) for _, entry in held) or "none"
        raise UsageError(f"no entry {number!r}; there are {known}")


def _describes(value: Any) -> bool:
    """True for a described signature: no call whose only argument it is would be fused."""
    if not isinstance(value, dict):
        return isinstance(value, str)
    return not any(isinstance(leaf, torch.Tensor) for leaf in pytree.tree_leaves(value))


def _with_gradients(dispatcher: Dispatcher) -> Iterator[Dispatcher]:
    """The function, its backwards, theirs, and so on."""
    yield dispatcher
    for entry in dispatcher.prepared.values():
        wrapped = entry.differentiable
        inner = wrapped.backward if isinstance(wrapped, Differentiable) else None
        if isinstance(wrapped, Drawing):
            inner = wrapped.run
        if isinstance(inner, Dispatcher):
            yield from _with_gradients(inner)


def _number(entry: Entry) -> int:
    assert entry.made is not None
    return entry.made.number


def _shown(owner: Dispatcher, entry: Entry) -> CachedEntry:
    assert entry.made is not None
    assert entry.signature is not None
    plan = entry.plan
    calls = None if plan is None else plan.counter.calls
    return CachedEntry(
        number=entry.made.number,
        function=owner.name,
        asked=text_of(entry.signature),
        guards=guards_of(entry.signature),
        engine=plan.engine.name if plan is not None else "",
        symbols=tuple(call.spec.symbol for call in plan.program.kernels) if plan else (),
        decline=entry.decline,
        captured=entry.made.captured,
        differentiable=entry.differentiable is not None,
        pinned=owner.is_pinned(entry),
        calls=calls,
        launches=(calls or 0) * plan.counter.launches if plan is not None else 0,
    )


def _shown_kernel(kernel: Kernel, launches: int) -> CachedKernel:
    return CachedKernel(
        symbol=kernel.spec.symbol,
        key=kernel.spec.key,
        engine=kernel.engine.name,
        seconds=kernel.seconds,
        from_disk=kernel.cached,
        disk_bytes=cache.size_of(kernel.engine.load_compiler().key(kernel.source)),
        launches=launches,
    )


def _launched(entry: Entry) -> Mapping[int, int]:
    """Id of a kernel -> how often the entry's calls launched it; a batch is one launch."""
    if entry.plan is None:
        return {}
    plan = entry.plan
    launched = sorted(call.group.index for launch in plan.program.launches for call in launch)
    made = dict(zip(launched, plan.kernels, strict=False))  # the reference has none
    found: collections.Counter[int] = collections.Counter()
    for launch in plan.program.launches:
        kernel = made.get(launch[0].group.index)
        if kernel is not None:
            found[id(kernel)] += plan.counter.calls
    return found


def _disk_keys(entry: Entry) -> tuple[str, ...]:
    kernels = entry.plan.kernels if entry.plan is not None else ()
    return tuple(kernel.engine.load_compiler().key(kernel.source) for kernel in kernels)


def _guard_lines(guards: tuple[Guard, ...]) -> Iterator[str]:
    """A line for each subject."""
    by_subject: dict[str, list[Guard]] = {}
    for guard in guards:
        by_subject.setdefault(guard.subject, []).append(guard)
    for subject, each in by_subject.items():
        yield f"{subject}: {', '.join(f'{guard.fact} {guard.value}' for guard in each)}"
