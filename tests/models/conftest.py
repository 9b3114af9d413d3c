"""Building models for tests, and forgetting what torch.compile made of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from fusekit.bench.models import TINY, ZOO, Built, missing

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What TorchDynamo says of the code of `transformers` is for its authors."""
    quiet = pytest.mark.filterwarnings("ignore:Dynamo detected a call to a `functools.lru_cache`")
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(quiet)


@pytest.fixture
def build():
    """`build(name, layers=12)`: a model of the zoo, tiny but for what is said."""

    def built(name: str, **changes: object) -> Built:
        entry = ZOO[name]
        if (reason := missing(entry)) is not None:
            pytest.skip(reason)
        return entry.build(dataclasses.replace(TINY, **changes))

    return built


@pytest.fixture(autouse=True)
def forget_compiled_code() -> Iterator[None]:
    yield
    torch._dynamo.reset()
