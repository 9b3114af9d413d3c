"""Models as an adapter would make them, written by hand: what the tests of `viz` look at."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fusekit.viz.model.schema import (
    Compile,
    Declined,
    Edge,
    Group,
    LedgerRow,
    Model,
    Node,
    Seam,
    Source,
    Timing,
    TimingRow,
    User,
    new_model,
)

SIZES = {"f32": 4, "bool": 1, "i64": 8, "f64": 8}


def strides_of(shape: Sequence[int]) -> list[int]:
    """Those of a contiguous tensor."""
    return [math.prod(shape[i + 1 :]) for i in range(len(shape))]


class Maker:
    """Builds a model node by node; a node's number is also its value."""

    def __init__(self, name: str, text: str, *, first: int = 1, file: str = "cell.py") -> None:
        self.model = new_model(name)
        self.model["user"] = User(text=text, first=first, file=file)
        self.first = first

    def node(
        self,
        label: str,
        *inputs: str,
        kind: str = "op",
        op: str = "",
        group: str | None = None,
        shape: Sequence[int] = (2048, 4096),
        dtype: str = "f32",
        line: int | None = None,
        value: int | None = None,
    ) -> str:
        nodes = self.model["graph"]["nodes"]
        number = len(nodes)
        made = Node(
            id=f"n{number}",
            label=label,
            op=op or (f"aten.{label}.default" if kind in ("op", "opaque") else ""),
            kind=kind,
            group=group,
            dtype=dtype,
            shape=list(shape),
            strides=[] if kind == "scalar" else strides_of(shape),
            bytes=0 if kind == "scalar" else math.prod(shape) * SIZES[dtype],
            line=None if line is None else self.first + line - 1,
            value=number if value is None else value,
        )
        nodes.append(made)
        for source in inputs:
            self._edge(source, made)
        return made["id"]

    def _edge(self, source: str, target: Node) -> None:
        tail = next(node for node in self.model["graph"]["nodes"] if node["id"] == source)
        size = math.prod(tail["shape"]) * SIZES[tail["dtype"]]
        self.model["graph"]["edges"].append(
            Edge(
                source=source,
                target=target["id"],
                value=tail["value"],
                dtype=tail["dtype"],
                shape=tail["shape"],
                bytes=0 if tail["kind"] == "scalar" else size,
            )
        )

    def group(self, name: str, engine: str, symbol: str, reads: int, writes: int) -> None:
        members = [n["id"] for n in self.model["graph"]["nodes"] if n["group"] == name]
        self.model["groups"].append(
            Group(
                id=name,
                name=name,
                symbol=symbol,
                engine=engine,
                key=f"{symbol[3:]}8d1f0c",
                ops=len(members),
                in_bytes=reads,
                out_bytes=writes,
                nodes=members,
            )
        )

    def ledger(self, *rows: tuple[str, str, int, int]) -> None:
        """(name, node, bytes eager, bytes fused) each."""
        nodes = {node["id"]: node for node in self.model["graph"]["nodes"]}
        ledger = self.model["ledger"]
        for name, node, eager, fused in rows:
            ledger["rows"].append(
                LedgerRow(
                    name=name,
                    shape=nodes[node]["shape"],
                    dtype=nodes[node]["dtype"],
                    eager=eager,
                    fused=fused,
                    removed=fused == 0,
                    value=nodes[node]["value"],
                )
            )
        ledger["eager"] = sum(row["eager"] for row in ledger["rows"])
        ledger["fused"] = sum(row["fused"] for row in ledger["rows"])

    def totals(self, launches: int, eager: int, floor: int) -> None:
        ledger, totals = self.model["ledger"], self.model["totals"]
        ledger["floor"] = floor
        totals["groups"] = len(self.model["groups"])
        totals["launches"] = launches
        totals["eager_launches"] = eager
        totals["saved_bytes"] = ledger["eager"] - ledger["fused"]


LSTM = """\
def lstm_cell(xg, hg, cx):
    gates = xg + hg
    i, f, g, o = gates.chunk(4, 1)
    i, f, o = i.sigmoid(), f.sigmoid(), o.sigmoid()
    cy = f * cx + i * g.tanh()
    return o * cy.tanh(), cy
"""

LSTM_CPP = """\
#include <cmath>
#include <cstdint>

// e ** -x, by range reduction and a polynomial: at most 1.1 ulp
static inline float fk_sigmoid_f32(float x);
static inline float fk_tanh_f32(float x);

extern "C" void fk_3fa1c07be2d4(const int64_t* layout, const float* x0, const float* x1,
                                const float* x2, float* __restrict y0, float* __restrict y1) {
  const int64_t rows = layout[0], columns = layout[1];
  #pragma omp parallel for schedule(static)
  for (int64_t r = 0; r < rows; ++r) {
    #pragma omp simd
    for (int64_t c = 0; c < columns; ++c) {
      const float i = x0[r * 4 * columns + c] + x1[r * 4 * columns + c];
      const float f = x0[(r * 4 + 1) * columns + c] + x1[(r * 4 + 1) * columns + c];
      const float g = x0[(r * 4 + 2) * columns + c] + x1[(r * 4 + 2) * columns + c];
      const float o = x0[(r * 4 + 3) * columns + c] + x1[(r * 4 + 3) * columns + c];
      const float t6 = fk_sigmoid_f32(i);
      const float t7 = fk_sigmoid_f32(f);
      const float t8 = fk_sigmoid_f32(o);
      const float t9 = fk_tanh_f32(g);
      const float t10 = t7 * x2[r * columns + c];
      const float t11 = t6 * t9;
      const float t12 = t10 + t11;
      const float t13 = fk_tanh_f32(t12);
      y0[r * columns + c] = t8 * t13;
      y1[r * columns + c] = t12;
    }
  }
}
"""

LSTM_IR = """\
graph lstm_cell(%0: f32, %1: f32, %2: f32) {
  %3: f32 = add %0, %1   ; aten.add.Tensor @ cell.py:12 | gates = xg + hg
  %4: f32, %5: f32, %6: f32, %7: f32 = chunk %3 chunks=4 dim=1
  %8: f32 = sigmoid %4
  %9: f32 = sigmoid %5
  %10: f32 = sigmoid %7
  %11: f32 = tanh %6
  %12: f32 = mul %9, %2
  %13: f32 = mul %8, %11
  %14: f32 = add %12, %13
  %15: f32 = tanh %14
  %16: f32 = mul %10, %15
  return %16, %14
}
"""

LSTM_LLVM = """\
define void @fk_3fa1c07be2d4(ptr %layout, ptr noalias %x0, ptr noalias %x1) #0 {
entry:
  %columns = load i64, ptr %layout, align 8
  br label %body
body:                                             ; preds = %body, %entry
  %at = phi i64 [ 0, %entry ], [ %next, %body ]
  %p0 = getelementptr float, ptr %x0, i64 %at
  %v3 = load <16 x float>, ptr %p0, align 4
  %v4 = fadd <16 x float> %v3, splat (float 5.000000e-01)
  %next = add i64 %at, 16
  %more = icmp ult i64 %next, %columns
  br i1 %more, label %body, label %done
done:
  ret void
}
"""


def lstm_cell() -> Model:
    """One group, no seam."""
    make = Maker("lstm_cell", LSTM, first=11)
    wide = (2048, 4096)
    part = (2048, 1024)
    xg = make.node("xg", kind="input", shape=wide, line=1)
    hg = make.node("hg", kind="input", shape=wide, line=1)
    cx = make.node("cx", kind="input", shape=part, line=1)
    gates = make.node("add", xg, hg, op="aten.add.Tensor", group="g1", shape=wide, line=2)
    sigmoid = {"group": "g1", "shape": part, "line": 4}
    i = make.node("sigmoid", gates, **sigmoid)
    f = make.node("sigmoid", gates, **sigmoid)
    o = make.node("sigmoid", gates, **sigmoid)
    tail = {"group": "g1", "shape": part, "line": 5}
    g = make.node("tanh", gates, **tail)
    forget = make.node("mul", f, cx, op="aten.mul.Tensor", **tail)
    update = make.node("mul", i, g, op="aten.mul.Tensor", **tail)
    cy = make.node("add", forget, update, op="aten.add.Tensor", **tail)
    last = {"group": "g1", "shape": part, "line": 6}
    squashed = make.node("tanh", cy, **last)
    hy = make.node("mul", o, squashed, op="aten.mul.Tensor", **last)
    make.node("out 0", hy, kind="output", shape=part, line=6, value=int(hy[1:]))
    make.node("out 1", cy, kind="output", shape=part, line=6, value=int(cy[1:]))
    make.group("g1", "cpp", "fk_3fa1c07be2d4", 72 << 20, 16 << 20)
    mib = 1 << 20
    make.ledger(
        ("xg", xg, 32 * mib, 32 * mib),
        ("hg", hg, 32 * mib, 32 * mib),
        ("cx", cx, 8 * mib, 8 * mib),
        ("gates", gates, 64 * mib, 0),
        ("i", i, 16 * mib, 0),
        ("f", f, 16 * mib, 0),
        ("o", o, 16 * mib, 0),
        ("tanh(g)", g, 16 * mib, 0),
        ("f * cx", forget, 16 * mib, 0),
        ("i * tanh(g)", update, 16 * mib, 0),
        ("cy", cy, 16 * mib, 8 * mib),
        ("tanh(cy)", squashed, 16 * mib, 0),
        ("hy", hy, 8 * mib, 8 * mib),
    )
    make.totals(1, 10, 88 * mib)
    lines = {"3": [15, 18], "4": [19, 19], "5": [20, 20], "6": [21, 21], "7": [22, 22]}
    lines |= {str(8 + n): [23 + n, 23 + n] for n in range(5)}
    ir = {"3": [2, 2], **{str(4 + n): [4 + n, 4 + n] for n in range(9)}}
    symbol = "fk_3fa1c07be2d4"
    make.model["sources"] = [
        text_of("cpp", LSTM_CPP, symbol, lines),
        text_of("llvm", LSTM_LLVM, symbol, {"3": [8, 9]}),
        text_of("ir", LSTM_IR, symbol, ir),
    ]
    make.model["timing"] = Timing(
        rows=[
            row("fused", "cpu", 2.41e-3, 0.12e-3, 60, 7.6, "faster"),
            row("eager", "cpu", 18.3e-3, 1.1e-3, 60, 1.0, "baseline"),
            row("inductor", "cpu", 6.02e-3, 0.31e-3, 60, 3.04, "faster"),
            row("fused", "NVIDIA H200", 29.8e-6, 0.4e-6, 400, 6.1, "faster"),
            row("eager", "NVIDIA H200", 182e-6, 3.2e-6, 400, 1.0, "baseline"),
        ],
        method="interleaved A/B/A/B, caches flushed between runs; median, and the middle half",
        verdict="fused is faster: 7.6× on the CPU, 6.1× on the GPU",
    )
    make.model["compile"] = [
        Compile(group="g1", symbol=symbol, engine="cpp", seconds=0.214, cached=False)
    ]
    return make.model


def row(name, device, seconds, spread, runs, ratio, outcome) -> TimingRow:
    return TimingRow(
        name=name,
        device=device,
        seconds=seconds,
        spread=spread,
        runs=runs,
        ratio=ratio,
        outcome=outcome,
        samples=[],
        interval=[],
        cause="",
    )


GATED = """\
def gated_mlp(x, w, b, scale):
    h = torch.relu(x * scale + b)
    y = h @ w
    return torch.sigmoid(y) * y + x
"""

GATED_CUDA = """\
extern "C" __global__ void __launch_bounds__(256)
fk_{symbol}(const float* __restrict__ x0, const float* __restrict__ x1,
                float* __restrict__ y0, const int n) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= n) return;
  const float t5 = {first};
  const float t6 = {second};
  const float t7 = {third};
  y0[i] = t7;
}
"""


def gated_mlp() -> Model:
    """A matrix product between two groups: two seams."""
    make = Maker("gated_mlp", GATED, first=3, file="model.py")
    square = {"shape": (2048, 2048)}
    x = make.node("x", kind="input", line=1, **square)
    w = make.node("w", kind="input", line=1, **square)
    b = make.node("b", kind="input", line=1, shape=(2048,))
    scale = make.node("scale", kind="scalar", dtype="f64", shape=(), line=1)
    first = {"group": "g1", "line": 2, **square}
    scaled = make.node("mul", x, scale, op="aten.mul.Tensor", **first)
    shifted = make.node("add", scaled, b, op="aten.add.Tensor", **first)
    h = make.node("relu", shifted, **first)
    y = make.node("mm", h, w, kind="opaque", line=3, **square)
    second = {"group": "g2", "line": 4, **square}
    gate = make.node("sigmoid", y, **second)
    gated = make.node("mul", gate, y, op="aten.mul.Tensor", **second)
    out = make.node("add", gated, x, op="aten.add.Tensor", **second)
    make.node("out 0", out, kind="output", line=4, value=int(out[1:]), **square)
    mib = 1 << 20
    make.group("g1", "cuda", "fk_a1b2c3d4e5f6", 16 * mib + 8192, 16 * mib)
    make.group("g2", "cuda", "fk_0f1e2d3c4b5a", 32 * mib, 16 * mib)
    make.ledger(
        ("x", x, 32 * mib, 32 * mib),
        ("w", w, 16 * mib, 16 * mib),
        ("b", b, 8192, 8192),
        ("x * scale", scaled, 32 * mib, 0),
        ("x * scale + b", shifted, 32 * mib, 0),
        ("h", h, 32 * mib, 32 * mib),
        ("y", y, 48 * mib, 32 * mib),
        ("sigmoid(y)", gate, 32 * mib, 0),
        ("sigmoid(y) * y", gated, 32 * mib, 0),
        ("out 0", out, 16 * mib, 16 * mib),
    )
    make.totals(3, 7, 64 * mib + 8192)
    text1 = _cuda("a1b2c3d4e5f6", "x0[i] * scale", "t5 + x1[i & 2047]", "fmaxf(t5, 0.0f)")
    text2 = _cuda("0f1e2d3c4b5a", "fk_sigmoid_f32(x0[i])", "t5 * x0[i]", "t6 + x1[i]")
    make.model["sources"] = [
        _source("cuda", text1, "fk_a1b2c3d4e5f6", "g1", (scaled, shifted, h)),
        _source("cuda", text2, "fk_0f1e2d3c4b5a", "g2", (gate, gated, out)),
    ]
    make.model["declined"] = [
        Declined(
            op="aten.mm.default",
            code="FK0101",
            reason="not a pointwise operator",
            detail="f32[2048,2048] @ f32[2048,2048]",
            line=5,
            hint="PyTorch runs it between the groups; nothing to do",
        )
    ]
    make.model["seams"] = [
        _seam(h, y, "its result is needed whole by a matrix product", "", 32 * mib),
        _seam(y, gate, "a matrix product is not a pointwise operator", "", 32 * mib),
    ]
    make.model["timing"] = Timing(
        rows=[
            row("fused", "NVIDIA H200", 61.2e-6, 2.9e-6, 200, 1.01, "tie"),
            row("eager", "NVIDIA H200", 61.9e-6, 9.4e-6, 200, 1.0, "baseline"),
        ],
        method="interleaved A/B/A/B, caches flushed between runs; median, and the middle half",
        verdict="tie: 1.01×, within the region of practical equivalence (2 %)",
    )
    return make.model


def _cuda(symbol: str, first: str, second: str, third: str) -> str:
    pairs = {"{symbol}": symbol, "{first}": first, "{second}": second, "{third}": third}
    text = GATED_CUDA
    for mark, value in pairs.items():
        text = text.replace(mark, value)
    return text


def _source(language: str, text: str, symbol: str, group: str, nodes: Sequence[str]) -> Source:
    lines = {node[1:]: [6 + index, 6 + index] for index, node in enumerate(nodes)}
    return text_of(language, text, symbol, lines, group)


def text_of(
    language: str, text: str, symbol: str, lines: dict[str, list[int]], group: str = "g1"
) -> Source:
    """One run of lines for each value."""
    return Source(
        language=language,
        text=text,
        symbol=symbol,
        group=group,
        engine="" if language == "ir" else language,
        lines={value: [run] for value, run in lines.items()},
    )


def _seam(source: str, target: str, sentence: str, hint: str, size: int) -> Seam:
    return Seam(
        source=source,
        target=target,
        code="FK0101",
        sentence=sentence,
        bytes=size,
        launches=1,
        hint=hint,
        value=int(source[1:]),
        nodes=[source, target],
        checks=[],
        remedy=None,
        tried=0,
        line=None,
    )


NOISY = """\
def noisy_relu(x, mask):
    noise = torch.rand_like(x)
    y = torch.relu(x + 0.1 * noise)
    y[mask] = 0
    return y.cumsum(0)
"""


def noisy_relu() -> Model:
    """One small group and three refusals."""
    make = Maker("noisy_relu", NOISY, first=1, file="cell.py")
    shape = {"shape": (4096, 1024)}
    x = make.node("x", kind="input", line=1, **shape)
    mask = make.node("mask", kind="input", dtype="bool", line=1, **shape)
    noise = make.node("rand_like", x, kind="opaque", line=2, **shape)
    scaled = make.node("mul", noise, group="g1", op="aten.mul.Tensor", line=3, **shape)
    moved = make.node("add", x, scaled, group="g1", op="aten.add.Tensor", line=3, **shape)
    relu = make.node("relu", moved, group="g1", line=3, **shape)
    put = make.node(
        "index_put_", relu, mask, kind="opaque", op="aten.index_put_.default", line=4, **shape
    )
    out = make.node("cumsum", put, kind="opaque", line=5, **shape)
    make.node("out 0", out, kind="output", line=5, value=int(out[1:]), **shape)
    mib = 1 << 20
    make.group("g1", "llvm", "fk_77aa01ccbe3e", 32 * mib, 16 * mib)
    make.ledger(
        ("x", x, 32 * mib, 32 * mib),
        ("mask", mask, 4 * mib, 4 * mib),
        ("noise", noise, 32 * mib, 32 * mib),
        ("0.1 * noise", scaled, 32 * mib, 0),
        ("x + 0.1 * noise", moved, 32 * mib, 0),
        ("y", relu, 48 * mib, 48 * mib),
        ("out 0", out, 16 * mib, 16 * mib),
    )
    make.totals(4, 6, 52 * mib)
    make.model["declined"] = [
        _declined("rand_like", "FK0103", "draws random numbers", "", 2,
                  "move the draw out of the function and pass its result in"),
        _declined("index_put_", "FK0110", "writes to a tensor that others still see",
                  "y is written through a boolean mask", 4, "torch.where(mask, 0, y)"),
        _declined("cumsum", "FK0101", "not a pointwise operator", "a scan along dim 0", 5,
                  "PyTorch runs it between the groups; nothing to do"),
    ]  # fmt: skip
    seam = {"bytes": 32 * mib, "launches": 1, "value": None, "nodes": [], "checks": []}
    seam |= {"remedy": None, "tried": None, "line": None}
    make.model["seams"] = [
        Seam(source=noise, target="g1", code="FK0103", sentence="draws random numbers",
             hint="pass noise as an argument", **seam),
        Seam(source="g1", target=put, code="FK0110",
             sentence="writes to a tensor that others still see",
             hint="y = torch.where(mask, 0, y) joins g1", **seam),
    ]  # fmt: skip
    return make.model


def _declined(op: str, code: str, reason: str, detail: str, line: int, hint: str) -> Declined:
    return Declined(
        op=f"aten.{op}.default", code=code, reason=reason, detail=detail, line=line, hint=hint
    )


def chain(length: int, *, groups: int = 1) -> Model:
    """A long chain of additions in equal groups, for what is large."""
    make = Maker("chain", "def chain(x):\n    ...\n")
    last = make.node("x", kind="input", shape=(64,))
    for number in range(length):
        group = f"g{1 + number * groups // length}" if groups else None
        last = make.node("add", last, kind="op" if groups else "opaque", group=group, shape=(64,))
    for number in range(groups):
        make.group(f"g{number + 1}", "llvm", f"fk_{number:012x}", 256, 256)
    make.totals(groups or length, length, 512)
    return make.model


EVIL = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>\x1b[31m\u202e</script><!--"


def hostile() -> Model:
    """Every text that a user or a file can choose is an attack."""
    model = gated_mlp()
    model["name"] = model["title"] = EVIL
    model["user"] = User(text=f"def f(x):\n    return '{EVIL}'\n", first=3, file=EVIL)
    for node in model["graph"]["nodes"]:
        node["label"] = node["op"] = node["dtype"] = EVIL
    for group in model["groups"]:
        group["name"] = group["symbol"] = group["engine"] = group["key"] = EVIL
    for item in model["declined"]:
        item["op"] = item["code"] = item["reason"] = item["detail"] = item["hint"] = EVIL
    for seam in model["seams"]:
        seam["code"] = seam["sentence"] = seam["hint"] = EVIL
    for source in model["sources"]:
        source["language"] = source["symbol"] = EVIL
        source["text"] = f"// {EVIL}\n" * 12
    for entry in model["ledger"]["rows"]:
        entry["name"] = entry["dtype"] = EVIL
    assert model["timing"] is not None
    model["timing"]["method"] = model["timing"]["verdict"] = EVIL
    for timed in model["timing"]["rows"]:
        timed["name"] = timed["device"] = EVIL
    model["compile"] = [Compile(group="g1", symbol=EVIL, engine=EVIL, seconds=0.1, cached=True)]
    return model
