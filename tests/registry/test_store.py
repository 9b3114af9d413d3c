"""Keys, KernelSpecs, and the store."""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fusekit import events
from fusekit.errors import GraphError
from fusekit.ir import DType, GraphBuilder
from fusekit.registry import Store, normalize, spec_of
from fusekit.specs import PartitionDesc

ROOT = Path(__file__).parents[2]


def inputs(builder, count):
    return [builder.input(DType.F32) for _ in range(count)]


def scaled(value):
    builder = GraphBuilder()
    (x,) = inputs(builder, 1)
    return normalize(builder.finish([builder.apply("mul", x, builder.const(value, DType.F32))]))[0]


def test_a_key_is_a_digest_and_names_the_kernel():
    spec = spec_of(scaled(2.0))
    assert re.fullmatch(r"[0-9a-f]{64}", spec.key)
    assert spec.symbol == f"fk_{spec.key[:12]}"
    assert spec_of(scaled(2.0)).key == spec.key
    assert spec_of(scaled(3.0)).key != spec.key


def test_keys_are_the_same_in_every_process():
    code = (
        "from fusekit.ir import *; from fusekit.registry import *; b = GraphBuilder('other');"
        "x = b.input(DType.F32);"
        "g = b.finish([b.apply('mul', x, b.const(2.0, DType.F32))]);"
        "print(spec_of(normalize(g)[0]).key)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == spec_of(scaled(2.0)).key


def test_broadcast_groups_are_what_each_result_depends_on():
    builder = GraphBuilder()
    a, b, c, d = inputs(builder, 4)
    scale = builder.cast(builder.scalar(DType.F64), DType.F32)
    ab = builder.apply("mul", builder.apply("add", a, b), scale)
    dc = builder.apply("sub", d, c)
    graph = builder.finish([ab, dc, builder.apply("neg", ab), builder.apply("mul", ab, dc)])
    assert spec_of(graph).broadcast_groups == ((0, 1), (2, 3), (0, 1, 2, 3))


def test_each_piece_of_a_cat_has_a_broadcast_group():
    builder = GraphBuilder()
    a, b, c = inputs(builder, 3)
    pieces = [builder.apply("add", a, b), builder.apply("neg", c)]
    spec = spec_of(builder.finish([builder.cat(pieces, 1)]))
    assert spec.broadcast_groups == ((0, 1), (2,))
    assert spec.output_partitions == (PartitionDesc(2, 1),)
    assert spec.tensors_out == tuple(pieces)


def test_a_result_without_inputs_has_an_empty_group():
    builder = GraphBuilder()
    (x,) = inputs(builder, 1)
    filled = builder.apply("copy", builder.const(1.0, DType.F32))
    spec = spec_of(builder.finish([filled, builder.apply("neg", x)]))
    assert spec.broadcast_groups == ((), (0,))


def test_partitions_of_chunked_inputs():
    builder = GraphBuilder()
    x, y, z = inputs(builder, 3)
    halves = builder.chunk(y, 2, -1)
    thirds = builder.chunk(z, 3, 0)
    total = x
    for piece in (*halves, *thirds):
        total = builder.apply("add", total, piece)
    spec = spec_of(builder.finish([total]))
    assert spec.input_partitions == (None, PartitionDesc(2, -1), PartitionDesc(3, 0))
    assert spec.tensors_in == (x, *halves, *thirds)
    assert spec.output_partitions == (None,)
    assert spec.broadcast_groups == ((0, 1, 2),)


def test_an_input_has_one_partition():
    builder = GraphBuilder()
    (x,) = inputs(builder, 1)
    a, b = builder.chunk(x, 2, 0)
    c, d = builder.chunk(x, 2, 1)
    twice = builder.finish([builder.apply("mul", a, b), builder.apply("mul", c, d)])
    with pytest.raises(GraphError, match="%0 is chunked and read"):
        spec_of(twice)


def test_traps():
    def graph(op, dtype):
        builder = GraphBuilder()
        return builder.finish([builder.apply(op, builder.input(dtype), builder.input(dtype))])

    assert spec_of(graph("floordiv", DType.I32)).traps
    assert spec_of(graph("fmod", DType.U8)).traps
    assert not spec_of(graph("fmod", DType.F32)).traps
    assert not spec_of(graph("add", DType.I32)).traps


def test_a_store_keeps_one_spec_for_each_key():
    store = Store()
    with events.listening() as seen:
        first = store.intern(scaled(2.0), "f")
        assert store.intern(scaled(2.0), "g") is first
        second = store.intern(scaled(3.0))
    assert second is not first
    assert len(store) == 2
    assert [event.key for event in seen] == [first.key, second.key]


def test_many_threads_get_the_same_spec():
    store = Store()
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: store.intern(scaled(float(n % 4))), range(64)))
    assert len(store) == 4
    assert len({id(spec) for spec in made}) == 4
