"""An acyclic graph of units that are joined two by two, and never close a cycle.

Units stand in a line that respects every edge. A path from one to another passes only through what
stands between them, so looking for it goes from both ends in turn, within these bounds, and is over
when either end has nothing left: the work is that of the smaller side. If there is no path, the two
join, and that smaller side moves past the joined unit (Pearce and Kelly, "A dynamic topological
sort algorithm for directed acyclic graphs", 2007, by contraction in place of insertion). Places in
the line are integers with gaps; when one is full, all are dealt anew.

The calls of a program form one long path, past which most searches would go. Where one unit comes
before a call that comes before the other, which is known from the start, no search is needed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

__all__ = ["AcyclicOrder"]

_GAP = 1 << 32
_END = -1
"""Before the first unit and after the last."""


class AcyclicOrder:
    """Units as they are joined.

    Attributes:
        after: unit -> those that have to wait for it.
        before: unit -> those it has to wait for.
    """

    def __init__(
        self,
        units: Sequence[int],
        edges: Iterable[tuple[int, int]],
        barriers: Mapping[int, int],
    ) -> None:
        """Start from units in an order that respects the edges.

        `barriers` numbers some units, never joined, of which each waits for the one before.
        """
        self.after: dict[int, set[int]] = {unit: set() for unit in units}
        self.before: dict[int, set[int]] = {unit: set() for unit in units}
        for early, late in edges:
            self.after[early].add(late)
            self.before[late].add(early)
        self._next = dict(zip((_END, *units), (*units, _END), strict=True))
        self._previous = {late: early for early, late in self._next.items()}
        self._place: dict[int, int] = {}
        self._deal()
        self._next_barrier = {unit: barriers.get(unit, len(barriers)) for unit in units}
        self._last_barrier = {unit: barriers.get(unit, -1) for unit in units}
        for unit in reversed(units):
            for early in self.before[unit]:
                later = self._next_barrier[unit]
                self._next_barrier[early] = min(self._next_barrier[early], later)
        for unit in units:
            for late in self.after[unit]:
                earlier = self._last_barrier[unit]
                self._last_barrier[late] = max(self._last_barrier[late], earlier)

    def leads_around(self, one: int, other: int) -> bool:
        """True if a path of more than one edge leads from either to the other."""
        return self._beside(*self._sorted(one, other)) is None

    def join(self, one: int, other: int) -> int | None:
        """Make two units one, and say which name it has; None if a path leads around."""
        early, late = self._sorted(one, other)
        found = self._beside(early, late)
        if found is None:
            return None
        followers, moving = found
        ordered = sorted(moving, key=self._place.__getitem__)
        for unit in ordered:
            self._unlink(unit)
        self._insert(ordered, late if followers else self._previous[early])
        kept, gone = early, late
        if len(self.after[early]) + len(self.before[early]) < (
            len(self.after[late]) + len(self.before[late])
        ):
            kept, gone = late, early
        stays = late if followers else early
        if kept != stays:
            self._unlink(kept)
            self._take_place(kept, stays)
        else:
            self._unlink(gone)
        self._rename(gone, kept)
        return kept

    def between(self, units: Collection[int]) -> set[int]:
        """The units that a path from one of some to another leads through, without these."""
        places = [self._place[unit] for unit in units]
        ends = min(places), max(places)
        reached = [self._reach(units, edges, ends) for edges in (self.after, self.before)]
        return (reached[0] & reached[1]).difference(units)

    def in_line(self, units: Iterable[int]) -> list[int]:
        """Units in an order that respects the edges."""
        return sorted(units, key=self._place.__getitem__)

    def _reach(
        self, units: Iterable[int], edges: Mapping[int, set[int]], ends: tuple[int, int]
    ) -> set[int]:
        """Everything between two places to which edges lead from some units."""
        found: set[int] = set()
        pending = list(units)
        while pending:
            for other in edges[pending.pop()]:
                if other not in found and ends[0] <= self._place[other] <= ends[1]:
                    found.add(other)
                    pending.append(other)
        return found

    # looking for a path

    def _sorted(self, one: int, other: int) -> tuple[int, int]:
        return (one, other) if self._place[one] < self._place[other] else (other, one)

    def _beside(self, early: int, late: int) -> tuple[bool, set[int]] | None:
        """What between two units follows the first (True), or precedes the second (False).

        None if a path of more than one edge leads from the first to the second.
        """
        # an earlier join may have brought a barrier nearer than noted: the search will find it
        if self._next_barrier[early] <= self._last_barrier[late]:
            return None
        following: set[int] = set()
        preceding: set[int] = set()
        ends = self._place[early], self._place[late]
        forward = self._walk(early, late, self.after, ends, following)
        backward = self._walk(late, early, self.before, ends, preceding)
        while True:
            for walk in (forward, backward):
                arrived = next(walk, None)
                if arrived:
                    return None
                if arrived is None:
                    followers = walk is forward
                    return followers, following if followers else preceding

    def _walk(
        self,
        start: int,
        end: int,
        edges: Mapping[int, set[int]],
        ends: tuple[int, int],
        seen: set[int],
    ) -> Iterator[bool]:
        """Follow edges one by one; True when `end` is met by way of another unit."""
        low, high = ends
        pending = [start]
        while pending:
            unit = pending.pop()
            for other in edges[unit]:
                if other == end:
                    yield unit != start
                else:
                    if low < self._place[other] < high and other not in seen:
                        seen.add(other)
                        pending.append(other)
                    yield False

    # the line

    def _deal(self) -> None:
        """Places for all, far apart."""
        unit, place = self._next[_END], 0
        while unit != _END:
            place += _GAP
            self._place[unit] = place
            unit = self._next[unit]

    def _unlink(self, unit: int) -> None:
        before, after = self._previous.pop(unit), self._next.pop(unit)
        self._next[before], self._previous[after] = after, before

    def _take_place(self, unit: int, of: int) -> None:
        before, after = self._previous.pop(of), self._next.pop(of)
        self._next[before] = self._previous[after] = unit
        self._previous[unit], self._next[unit] = before, after
        self._place[unit] = self._place[of]

    def _insert(self, units: Sequence[int], before: int) -> None:
        """Put units, in their order, right behind another."""
        after = self._next[before]
        low = 0 if before == _END else self._place[before]
        high = low + _GAP * (len(units) + 1) if after == _END else self._place[after]
        step = (high - low) // (len(units) + 1)
        for number, unit in enumerate(units, start=1):
            self._next[before], self._previous[unit] = unit, before
            self._place[unit] = low + number * step
            before = unit
        self._next[before], self._previous[after] = after, before
        if units and not step:
            self._deal()

    def _rename(self, gone: int, kept: int) -> None:
        """Give one unit the edges of another."""
        for edges, backs in ((self.after, self.before), (self.before, self.after)):
            for other in edges.pop(gone):
                backs[other].discard(gone)
                if other != kept:
                    backs[other].add(kept)
                    edges[kept].add(other)
            edges[kept].discard(gone)
        next_barrier, last_barrier = self._next_barrier.pop(gone), self._last_barrier.pop(gone)
        self._next_barrier[kept] = min(self._next_barrier[kept], next_barrier)
        self._last_barrier[kept] = max(self._last_barrier[kept], last_barrier)
        del self._place[gone]
