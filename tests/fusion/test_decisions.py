"""The decisions of the partition, replayed: they lead where it leads, and their bytes add up."""

from __future__ import annotations

import warnings

import hypothesis
import torch
from torch.utils import _pytree as pytree

from fusekit.errors import FusionDeclined
from fusekit.fusion import Partition, partition
from fusekit.fusion.decisions import Decisions, decisions
from fusekit.fusion.verdicts import Verdicts
from fusekit.ir import Graph
from fusekit.runtime.changes import Case, candidates
from fusekit.runtime.counterfactual import remedies
from fusekit.runtime.program import Program
from fusekit.specs import Reason
from tests.fusion.programs import program
from tests.graph_programs import Program as Random
from tests.graph_programs import programs

X, Y = torch.randn(64, 64), torch.randn(64, 64)


def moved(graph: Graph, divided: Partition) -> int:
    """Bytes that the kernels of a partition load and store, each value for itself."""
    found = 0
    base = {i: i for i in graph.inputs}
    for node in graph.nodes:
        for out in node.outputs:
            base[out] = base[node.inputs[0]] if node.op == "view" else out
    counted = {node.output for node in graph.nodes if node.op == "index"}
    for group in divided.groups:
        for value in (*group.inputs, *group.outputs):
            held = graph.values[value]
            if not held.scalar and base[value] not in counted:
                pairs = zip(held.shape, held.dense_strides, strict=True)
                elements = 1
                for extent, stride in pairs:
                    elements *= extent if stride or not extent else 1
                found += elements * held.dtype.itemsize
    return found


def check(graph: Graph, limit: int) -> Decisions:
    found = decisions(graph, limit)
    kept = partition(graph, limit, recomputing=False)
    left = found.joins[-1].kernels if found.joins else found.kernels
    saved = sum(decision.saved for decision in found.joins)
    assert left == len(kept.groups)
    assert found.nbytes - saved == moved(graph, kept)
    again = partition(graph, limit)
    assert found.kernels_after == len(again.groups)
    assert found.nbytes - saved - found.saved_again == moved(graph, again)
    return found


def divided(given: Random, limit: int) -> Program:
    try:
        with warnings.catch_warnings(action="ignore"):
            return program(given.function(), *given.arguments(0), max_arguments=limit)
    except FusionDeclined:
        hypothesis.reject()


@hypothesis.given(programs(most=40), hypothesis.strategies.sampled_from((128, 5)))
def test_they_lead_to_the_same_kernels_and_bytes(given: Random, limit: int):
    check(divided(given, limit).graph, limit)


@hypothesis.given(programs(most=40), hypothesis.strategies.sampled_from((128, 5)))
def test_the_first_check_that_fails_is_what_the_partition_says(given: Random, limit: int):
    made = divided(given, limit)
    verdicts = Verdicts(made.partition, limit)
    for seam in made.partition.seams:
        failing = [check.reason for check in verdicts.of_seam(seam) if not check.holds]
        # a group that is computed anew elsewhere may have been free to join
        assert failing[:1] == [seam.reason] or (not failing and seam.reason is Reason.CYCLE)


@hypothesis.given(programs(most=40))
def test_no_change_is_promised_that_does_not_save(given: Random):
    for outcome in remedies(divided(given, 128), 128):
        found = outcome.remedy
        assert found is None or (found.saved, found.launches[0] - found.launches[1]) > (0, 0)
        assert found is None or min(found.saved, found.launches[0] - found.launches[1]) >= 0


def test_an_operator_of_many_nodes_is_no_decision():
    made = program(lambda x, y: torch.nn.functional.gelu(x + y) * x, X, Y)
    found = check(made.graph, 128)
    assert found.kernels == 3
    assert [decision.kernels for decision in found.joins] == [2, 1]
    assert [decision.saved for decision in found.joins] == [2 * X.nbytes, 3 * X.nbytes]


def test_what_is_computed_again_is_named():
    made = program(lambda x, y: torch.cat([x * 2, y + 1], 1).relu() + 1, X, Y)
    found = check(made.graph, 128)
    assert len(found.recomputed) == 2
    assert found.saved_again == 2 * X.nbytes


def test_watching_changes_nothing():
    made = program(lambda x, y: torch.sigmoid(torch.relu(x) @ y) + x, X, Y)
    steps = made.partition.steps
    decisions(made.graph, 128)
    assert partition(made.graph, 128).steps == steps


def test_a_change_keeps_what_the_function_returns():
    def function(x, y):
        return torch.relu(x + 1).flip(0) * 2 + y

    made = program(function, X, Y)
    spec = pytree.tree_structure(function(X, Y))
    for seam in made.partition.seams:
        for change in candidates(Case(made, seam, made.capture.graph, 128, 1000)):
            shapes = [change.graph.values[i].shape for i in change.graph.outputs]
            assert shapes == [tuple(X.shape)] * spec.num_leaves
