"""How the loop over a table of calls reads. `--update-golden` rewrites what is expected."""

from __future__ import annotations

from fusekit.codegen import Parameter
from fusekit.codegen.dialects.llvm_batches import batch_source
from fusekit.ir import DType

KERNEL = (
    Parameter("layout", "layout", DType.I64),
    Parameter("scalar", "rate", DType.F64),
    Parameter("scalar", "flag", DType.BOOL),
    Parameter("input", "in0", DType.F32),
    Parameter("output", "out0", DType.BF16),
)


def test_text(golden) -> None:
    golden(batch_source(KERNEL).text)


def test_kernels_of_one_signature_share_a_loop() -> None:
    renamed = (*KERNEL[:3], Parameter("input", "x", DType.I8), Parameter("output", "y", DType.U8))
    assert batch_source(renamed) == batch_source(KERNEL)
    assert batch_source(KERNEL[:-1]).symbol != batch_source(KERNEL).symbol
