"""Bounded stores: the oldest is forgotten first, but for what is pinned."""

from __future__ import annotations

import collections
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Generic, TypeVar

__all__ = ["Bounded"]

T = TypeVar("T")


class Bounded(Generic[T]):
    """Alternatives by key. Reading takes no lock; who writes holds one.

    Args:
        most_keys: beyond these, the oldest key without a pinned item goes.
        most_items: beyond these under one key, the oldest that is not pinned goes.
        is_pinned: what never goes; where nothing else is left, the store grows.
    """

    def __init__(self, most_keys: int, most_items: int, is_pinned: Callable[[T], bool]) -> None:
        self.most_keys = most_keys
        self.most_items = most_items
        self._is_pinned = is_pinned
        self._items: collections.OrderedDict[Hashable, tuple[T, ...]] = collections.OrderedDict()

    def __len__(self) -> int:
        """How many keys there are."""
        return len(self._items)

    def get(self, key: Hashable) -> Sequence[T]:
        """The alternatives under a key, oldest first."""
        return self._items.get(key, ())

    def values(self) -> Iterator[T]:
        """Everything as it is now, oldest key first."""
        for alternatives in tuple(self._items.values()):
            yield from alternatives

    def add(self, key: Hashable, item: T) -> None:
        """Put an item behind the others of its key, and forget what is too much."""
        kept = list(self.get(key))
        while len(kept) >= self.most_items:
            oldest = next((x for x in kept if not self._is_pinned(x)), None)
            if oldest is None:
                break
            kept = [x for x in kept if x is not oldest]
        self._items[key] = (*kept, item)
        while len(self._items) > self.most_keys:
            oldest_key = next((k for k in self._items if k != key and self._is_free(k)), None)
            if oldest_key is None:
                break
            del self._items[oldest_key]

    def remove(self, is_it: Callable[[T], bool]) -> int:
        """Forget every item of which `is_it` is true; how many those were."""
        removed = 0
        for key, alternatives in tuple(self._items.items()):
            kept = tuple(item for item in alternatives if not is_it(item))
            removed += len(alternatives) - len(kept)
            if kept:
                self._items[key] = kept
            else:
                del self._items[key]
        return removed

    def _is_free(self, key: Hashable) -> bool:
        return not any(map(self._is_pinned, self._items[key]))
