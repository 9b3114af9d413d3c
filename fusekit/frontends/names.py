"""Which value each fake tensor of a trace stands for."""

from __future__ import annotations

import torch  # noqa: TC002  an annotation

from fusekit.frontends.calls import UnknownTensorError

__all__ = ["Names"]


class Names:
    """Fake tensors and the ids of their values."""

    def __init__(self) -> None:
        """Start with none."""
        self._ids: dict[int, int] = {}
        self._alive: list[torch.Tensor] = []

    def bind(self, fake: torch.Tensor, value_id: int) -> None:
        """Remember which value a fake tensor stands for."""
        self._ids[id(fake)] = value_id
        self._alive.append(fake)

    def identify(self, tensor: torch.Tensor) -> int:
        """The value of a fake tensor; UnknownTensorError for a stranger."""
        value_id = self._ids.get(id(tensor))
        if value_id is None:
            raise UnknownTensorError(
                "a tensor is used that is neither an argument nor found among what the function "
                "closes over; pass it as an argument"
            )
        return value_id

    def knows(self, tensor: torch.Tensor) -> bool:
        """True for a fake tensor of this trace."""
        return id(tensor) in self._ids

    def mark(self) -> int:
        """A point to which `forget` looks back."""
        return len(self._alive)

    def forget(self, first: int, mark: int) -> None:
        """Values from `first` on, all bound since `mark`, were rolled back."""
        for fake in self._alive[mark:]:  # kept alive, so that nothing else gets its id
            if self._ids.get(id(fake), -1) >= first:
                del self._ids[id(fake)]
