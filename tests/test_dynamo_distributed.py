"""The torch.compile backend under DistributedDataParallel, which averages gradients."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  the usual name

import fusekit
from fusekit.dynamo import backend as fusekit_backend

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="this torch was built without torch.distributed"
)

PROCESSES = 2


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(8, 16)
        self.second = torch.nn.Linear(16, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(F.gelu(self.first(x)) * 2).tanh() + x


def batches(rank: int, device: str) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(rank)
    return [torch.randn(4, 8, generator=generator).to(device) for _ in range(3)]


def train(rank: int, port: int, backend: str, device: str, folder: str) -> None:
    """What each process does: three steps of compiled training, then its weights to a file."""
    where = f"{device}:{rank}" if device == "cuda" else device
    torch.distributed.init_process_group(
        backend, init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=PROCESSES
    )
    try:
        torch.manual_seed(0)
        net = Net().to(where)
        model = torch.nn.parallel.DistributedDataParallel(net)
        step(torch.compile(model, backend=fusekit_backend), net, [batches(rank, where)])
        state = {"weights": net.state_dict(), "launches": fusekit.stats().launches}
        torch.save(state, Path(folder) / f"{rank}.pt")
    finally:
        torch.distributed.destroy_process_group()


def step(run: Any, net: Net, shards: list[list[torch.Tensor]]) -> None:
    """Plain gradient descent on the mean over the shards."""
    for parts in zip(*shards, strict=True):
        net.zero_grad()
        for x in parts:
            (run(x).square().mean() / len(parts)).backward()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.sub_(parameter.grad, alpha=0.1)


def check(backend: str, device: str, folder: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = (port, backend, device, str(folder))
    torch.multiprocessing.spawn(train, arguments, nprocs=PROCESSES)
    torch.manual_seed(0)
    reference = Net()
    step(reference, reference, [batches(rank, "cpu") for rank in range(PROCESSES)])
    for rank in range(PROCESSES):
        found = torch.load(folder / f"{rank}.pt", map_location="cpu")
        torch.testing.assert_close(found["weights"], dict(reference.state_dict()))
        assert found["launches"] >= 6


def test_two_processes_over_gloo(tmp_path: Path) -> None:
    check("gloo", "cpu", tmp_path)


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < PROCESSES, reason="needs two GPUs")
def test_two_gpus_over_nccl(tmp_path: Path) -> None:
    check("nccl", "cuda", tmp_path)
