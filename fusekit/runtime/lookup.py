"""Looking a call up without making it: which entry would serve it, else what each one misses."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from fusekit.compilers import cache
from fusekit.errors import EngineUnavailableError
from fusekit.runtime.described import Asked, text_of
from fusekit.runtime.dispatch import Dispatcher
from fusekit.runtime.engines import Engine, choose
from fusekit.runtime.entry import Entry, Generic
from fusekit.runtime.guards import Broken, broken_by, outside_now
from fusekit.runtime.kernels import generate, is_compiled
from fusekit.runtime.plan import args_of
from fusekit.runtime.program import Program
from fusekit.runtime.signature import foreign_context, unidentifiable
from fusekit.specs import ArgSpec, Decline, KernelSpec

__all__ = ["Check", "Lookup", "look_up", "why_missed"]

_UNKNOWN = "only the capture shows which kernels that takes"


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """One entry, held against a call.

    Attributes:
        number: the entry's, as in `f.history()`.
        broken: the guards that the call breaks, the first one first; empty if it fits.
    """

    number: int
    broken: tuple[Broken, ...]

    @property
    def fits(self) -> bool:
        """True if the entry would serve the call."""
        return not self.broken

    @property
    def first(self) -> Broken | None:
        """The first guard that fails; None if none does."""
        return self.broken[0] if self.broken else None

    def to_dict(self) -> dict[str, object]:
        """All of it as values that JSON has."""
        return {
            "number": self.number,
            "fits": self.fits,
            "broken": [each.to_dict() for each in self.broken],
        }


@dataclasses.dataclass(frozen=True)
class Lookup:
    """What a call would find, had it been made when it was asked.

    Attributes:
        name: of the function.
        asked: the call's signature, as `would_serve` reads it.
        serves: number of the entry that would serve it; None if there is none.
        resizes: number of the entry whose capture would be resized for it; None if none would.
        decline: why PyTorch would run the call, as far as that is known before it.
        checks: every entry of the function, held against the call.
        compiles: kernels that would be compiled; None where only a capture would tell.
        loads: of the kernels that are not in the process, those that lie in the disk cache.
        room: signatures that the function remembers at most.
    """

    name: str
    asked: str
    serves: int | None
    resizes: int | None
    decline: Decline | None
    checks: tuple[Check, ...]
    compiles: int | None
    loads: int
    room: int

    @property
    def verdict(self) -> str:
        """What would happen, in a sentence."""
        if self.serves is not None:
            served = f"served by entry {self.serves}"
            return f"{served}: PyTorch runs it, {self.decline}" if self.decline else served
        if self.decline is not None:
            return f"no entry is looked for: PyTorch runs it, {self.decline}"
        if self.resizes is not None:
            return f"a new plan by the capture of entry {self.resizes}: {self.kernels}"
        number = len(self.checks) + 1
        return f"captured anew, as {_ordinal(number)} of at most {self.room} signatures; {_UNKNOWN}"

    @property
    def kernels(self) -> str:
        """What would be compiled, in a few words."""
        if self.compiles is None:
            return _UNKNOWN
        said = f"{_count(self.compiles)} compiled" if self.compiles else "nothing is compiled"
        return f"{said}, {_count(self.loads)} loaded from disk" if self.loads else said

    def __str__(self) -> str:
        """The verdict, then each entry that does not fit with the first guard that fails."""
        lines = [f"{self.name}({self.asked}): {self.verdict}"]
        for check in self.checks:
            more = len(check.broken) - 1
            others = f" (and {more} more)" if more > 0 else ""
            said = f"{check.first}{others}" if check.first else "fits"
            lines.append(f"  entry {check.number}  {said}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, object]:
        """All of it as values that JSON has."""
        return {
            "name": self.name,
            "asked": self.asked,
            "verdict": self.verdict,
            "serves": self.serves,
            "resizes": self.resizes,
            "decline": self.decline.to_dict() if self.decline else None,
            "checks": [check.to_dict() for check in self.checks],
            "compiles": self.compiles,
            "loads": self.loads,
            "room": self.room,
        }


def look_up(dispatcher: Dispatcher, asked: Asked) -> Lookup:
    """What a call of this signature would find here and now; nothing is run or prepared."""
    held = tuple(dispatcher.prepared.values())
    decline = foreign_context() or unidentifiable([x for x in asked.values if x is not None])
    serving = resizing = None
    compiles: int | None = None
    loads = 0
    if decline is None:
        known = dispatcher.prepared.get(asked.key())
        serving = next((entry for entry in known if entry.fits(asked.values)), None)
        if serving is None:
            resizing = _resized(dispatcher, asked)
    if serving is not None:
        compiles, decline = 0, serving.decline
    elif resizing is not None:
        compiles, loads = _new_kernels(dispatcher, resizing[1])
    return Lookup(
        name=dispatcher.name,
        asked=text_of(asked.signature({})),
        serves=_number(serving),
        resizes=_number(_captured(held, resizing[0] if resizing else None)),
        decline=decline,
        checks=tuple(_checked(entry, asked, serving) for entry in held),
        compiles=compiles,
        loads=loads,
        room=dispatcher.prepared.most_keys,
    )


def why_missed(dispatcher: Dispatcher, entry: Entry) -> Lookup:
    """What the call that an entry was made for found before: the entries made earlier."""
    assert entry.made is not None
    assert entry.signature is not None
    held = [
        other
        for other in dispatcher.prepared.values()
        if other.made is not None and other.made.number < entry.made.number
    ]
    origin = next((o for o in held if not entry.made.captured and o.shares_capture(entry)), None)
    checks = [Check(_number(o) or 0, broken_by(o, entry.signature)) for o in held]
    return Lookup(
        name=dispatcher.name,
        asked=text_of(entry.signature),
        serves=None,
        resizes=_number(origin),
        decline=None,
        checks=tuple(checks),
        compiles=None,
        loads=0,
        room=dispatcher.prepared.most_keys,
    )


def _checked(entry: Entry, asked: Asked, serving: Entry | None) -> Check:
    if entry is serving:
        return Check(_number(entry) or 0, ())
    signature = asked.signature(outside_now(entry))
    return Check(_number(entry) or 0, broken_by(entry, signature))


def _resized(dispatcher: Dispatcher, asked: Asked) -> tuple[Generic, Program] | None:
    """The size-generic program that would be resized, and what it would be."""
    layouts = [(shape, strides) for shape, strides in asked.layouts if strides is not None]
    if len(layouts) < len(asked.layouts):
        return None
    return dispatcher.resized(asked.key(), layouts, asked.values)


def _new_kernels(dispatcher: Dispatcher, program: Program) -> tuple[int | None, int]:
    """(kernels to compile, kernels to load from disk) for a program."""
    try:
        engine = choose(dispatcher.engine, program.capture.device.type)
    except EngineUnavailableError:
        return None, 0
    if isinstance(engine, Decline) or not engine.compiler:
        return (None if isinstance(engine, Decline) else 0), 0
    forms = {
        (launch[0].spec.key, args_of(launch, program.device)): launch[0].spec
        for launch in program.launches
    }
    missing = [
        (spec, args) for (_, args), spec in forms.items() if not is_compiled(engine, spec, args)
    ]
    kept = sum(_is_on_disk(engine, spec, args) for spec, args in missing)
    return len(missing) - kept, kept


def _is_on_disk(engine: Engine, spec: KernelSpec, args: ArgSpec) -> bool:
    source = generate(engine, spec, args)
    return cache.size_of(engine.load_compiler().key(source)) is not None


def _captured(held: Sequence[Entry], generic: Generic | None) -> Entry | None:
    """The entry that was made by a capture that others are resized from."""
    if generic is None:
        return None
    return next((entry for entry in held if generic.entry.shares_capture(entry)), None)


def _number(entry: Entry | None) -> int | None:
    return entry.made.number if entry is not None and entry.made is not None else None


def _ordinal(number: int) -> str:
    last = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"the {number}{last}"


def _count(number: int) -> str:
    return f"{number} kernel{'' if number == 1 else 's'}"
