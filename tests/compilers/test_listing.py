"""Assembly to read: the instructions that run, each at the source line that it stems from."""

from __future__ import annotations

import itertools
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fusekit
from fusekit.compilers import disassembler, nvrtc
from fusekit.compilers.callees import with_callees
from fusekit.compilers.gpu_listing import ptx_listing, sass_listing
from fusekit.compilers.host_listing import host_listing
from fusekit.compilers.listing import NOWHERE, Listing, runs_of
from fusekit.compilers.llvm_lines import with_lines
from fusekit.runtime.engines import ENGINES
from fusekit.runtime.kernels import generate
from fusekit.runtime.program import rebind
from tests.codegen.cuda_kernels import needs_nvrtc


def helped(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.tanh(x + y) * torch.sigmoid(x) / (y.abs() + 1)


def routine(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.special.i0(x) + torch.fmod(x, y) * torch.erf(y)


def integers(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (x.int() // (y.int() + 3)).bool() ^ (x > y)


def several(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Instructions of the second tanh are moved past the first store."""
    c = torch.sigmoid(x) * y + torch.sigmoid(y) * torch.tanh(x)
    return torch.sigmoid(x + y) * torch.tanh(c), c


FUNCTIONS = (helped, routine, integers, several)


def kernel(function, engine, shape=(64, 33)):
    x, y = torch.rand(shape), torch.rand(shape)
    program = fusekit.fuse(function).entry((x, y), {}).program
    bound = program if ENGINES[engine].device == "cpu" else rebind(program, "cuda")
    (call,) = bound.kernels
    return call, generate(ENGINES[engine], call.spec, call.binding.args)


def instructions(text: str) -> list[str]:
    """Without labels, directives, remarks and the offsets of SASS."""
    code = [re.sub(r"#.*|;|/\*[0-9a-f]{4}\*/", "", line) for line in text.splitlines()]
    found = [" ".join(line.split()) for line in code]
    return [line for line, old in zip(found, code, strict=True) if re.match(r"\s+[\w@{]", old)]


def needs(engine):
    reason = ENGINES[engine].unavailable() if engine != "cuda" else nvrtc.why_no_nvrtc()
    if reason:
        pytest.skip(reason)


@pytest.mark.parametrize("engine", ["llvm", "cpp"])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_line_information_changes_no_instruction_of_a_cpu(engine, function):
    needs(engine)
    _, source = kernel(function, engine)
    compiler = ENGINES[engine].load_compiler()
    plain = instructions(compiler.assembly(source))
    assert instructions(compiler.listing(source).text) == plain
    assert len(plain) > 20


@needs_nvrtc
@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("language", ["ptx", "sass"])
def test_line_information_changes_no_instruction_of_a_gpu(language, function):
    if language == "sass" and disassembler.find() is None:
        pytest.skip("no disassembler")
    _, source = kernel(function, "cuda")
    compiler = ENGINES["cuda"].load_compiler()
    plain = instructions(compiler.assembly(source, language))
    found = instructions(compiler.listing(source, language).text)
    assert found == plain[: len(found)]
    assert {line.split()[0] for line in plain[len(found) :]} <= {"NOP"}


@pytest.mark.parametrize(
    ("engine", "language"), [("llvm", "asm"), ("cpp", "asm"), ("cuda", "ptx"), ("cuda", "sass")]
)
def test_an_instruction_of_an_inlined_helper_is_at_the_line_that_calls_it(engine, language):
    needs(engine)
    if language == "sass" and disassembler.find() is None:
        pytest.skip("no disassembler")
    call, source = kernel(helped, engine)
    listing = ENGINES[engine].load_compiler().listing(source, language)
    links = listing.links(source.lines)
    makers = {node.op: node.output for node in call.spec.graph.nodes}
    for op in ("tanh", "sigmoid"):
        count = sum(last - first + 1 for first, last in links[makers[op]])
        assert count >= 10, op  # a polynomial each, and no other line of the kernel
    assert makers["div"] in links


def test_instructions_that_move_keep_their_line():
    call, source = kernel(several, "llvm", (64, 64))
    links = ENGINES["llvm"].load_compiler().listing(source).links(source.lines)
    for node in call.spec.graph.nodes:
        if node.op in ("tanh", "sigmoid"):
            assert sum(last - first + 1 for first, last in links[node.output]) >= 20


@pytest.mark.parametrize("engine", ["llvm", "cpp"])
def test_it_compiles_for_machines_that_are_not_here(engine):
    needs(engine)
    call, _ = kernel(helped, engine)
    compiler = ENGINES[engine].load_compiler()
    texts = {}
    for target in compiler.targets()[1:]:
        source = generate(ENGINES[engine], call.spec, call.binding.args, target)
        texts[target.name] = compiler.listing(source, target=target).text
    if not texts:
        pytest.skip("targets are listed for x86-64 alone")
    assert "%zmm" in texts["x86-64-v4"]
    assert "%zmm" not in texts["x86-64-v3"]
    assert "%ymm" in texts["x86-64-v3"]
    assert "%ymm" not in texts["x86-64-v2"]


@needs_nvrtc
def test_a_gpu_that_is_not_here():
    call, source = kernel(helped, "cuda")
    compiler = ENGINES["cuda"].load_compiler()
    targets = {target.name: target for target in compiler.targets()}
    assert "sm_80" in targets
    listing = compiler.listing(source, "ptx", targets["sm_80"])
    assert call.spec.graph.nodes[0].output in listing.links(source.lines)


def test_text_and_origins_are_in_step():
    for engine in ("llvm", "cpp"):
        needs(engine)
        _, source = kernel(routine, engine)
        listing = ENGINES[engine].load_compiler().listing(source)
        assert len(listing.text.splitlines()) == len(listing.origins)
        assert max(listing.origins) <= source.text.count("\n") + 1
        assert not re.search(r"^\s*\.(?:loc|cfi|file|section)", listing.text, re.MULTILINE)
        assert "debug" not in listing.text.lower()


CLANG = """\
\t.text
\t.globl\tk
k:                                      # @k
\t.loc\t0 9 0 prologue_end              # kernel.cpp:9:0
\tpushq\t%rbp
.Ltmp0:
\t.loc\t0 3 10                          # kernel.cpp:3:10 @[ kernel.cpp:6:1 @[ kernel.cpp:12:3 ] ]
\tvmulps\t.LCPI0_0(%rip), %xmm0, %xmm0
\tjne\t.LBB0_1
.LBB0_1:                                # %body
\t.loc\t0 0 0                           # kernel.cpp:0:0
\tret
\t.section\t.rodata.cst4,"aM",@progbits,4
.LCPI0_0:
\t.long\t0x3f800000                      # float 1
.LCPI0_1:
\t.long\t0x3f000000                      # float 0.5
\t.section\t.debug_line,"",@progbits
"""


def test_clangs_remarks_name_the_calls():
    listing = host_listing(CLANG)
    assert list(zip(listing.text.splitlines(), listing.origins, strict=True)) == [
        ("k:", NOWHERE),
        ("  pushq        %rbp", 9),
        ("  vmulps       .LCPI0_0(%rip), %xmm0, %xmm0", 12),
        ("  jne          .LBB0_1", 12),
        (".LBB0_1:", NOWHERE),
        ("  ret", NOWHERE),
        (".LCPI0_0: .long 0x3f800000 # float 1", NOWHERE),
    ]


GXX = """\
\t.text
k:
\t.loc 1 20 3 view -0
\tpushq\t%rbp
.LBB4:
.LBB5:
\t.loc 1 3 10 view .LVU1
\tvmulss\t%xmm0, %xmm0, %xmm0
.LBE5:
\t.loc 1 7 10 view .LVU2
\tvaddss\t%xmm0, %xmm0, %xmm0
.LBE4:
\tret
.Letext0:
\t.section\t.debug_info,"",@progbits
\t.uleb128 0xa\t# (DIE (0x29) DW_TAG_inlined_subroutine)
\t.quad\t.LBI4\t# DW_AT_entry_pc
\t.long\t.LLRL1\t# DW_AT_ranges
\t.byte\t0x15\t# DW_AT_call_line
\t.uleb128 0xa\t# (DIE (0x39) DW_TAG_inlined_subroutine)
\t.quad\t.LBB5\t# DW_AT_low_pc
\t.quad\t.LBE5-.LBB5\t# DW_AT_high_pc
\t.byte\t0x8\t# DW_AT_call_line
\t.section\t.debug_rnglists,"",@progbits
.LLRL1:
\t.byte\t0x4\t# DW_RLE_offset_pair
\t.uleb128 .LBB4-.Ltext0
\t.uleb128 .LBE4-.Ltext0
\t.byte\t0
"""


def test_the_debug_information_of_gxx_names_the_calls():
    listing = host_listing(GXX)
    assert list(zip(listing.text.splitlines(), listing.origins, strict=True)) == [
        ("k:", NOWHERE),
        ("  pushq        %rbp", 20),
        ("  vmulss       %xmm0, %xmm0, %xmm0", 21),
        ("  vaddss       %xmm0, %xmm0, %xmm0", 21),
        ("  ret", 7),
    ]


PTX = """\
.version 9.5
.visible .entry k(
\t.param .u64 k_param_0
)
{
\t.reg .f32 \t%f<3>;
\t.loc\t1 58 5
\t.loc\t1 20 3, function_name $L__info_string0, inlined_at 1 58 5
\t.loc\t1 13 5, function_name $L__info_string1, inlined_at 1 20 3
\tadd.rn.f32 \t%f1, %f2, %f2;
\t@%p1 bra \t$L__BB0_2;
$L__BB0_2:
\tret;
}
\t.section\t.debug_str
{
$L__info_string0:
}
"""


def test_ptx_names_the_call_of_the_call():
    listing = ptx_listing(PTX)
    found = dict(zip(listing.text.splitlines(), listing.origins, strict=True))
    assert found["  add.rn.f32   %f1, %f2, %f2;"] == 58
    assert found["  @%p1 bra     $L__BB0_2;"] == 58
    assert found["  .param .u64 k_param_0"] == NOWHERE
    assert "debug" not in listing.text


SASS = """\
\t.section\t.text.k,"ax",@progbits
        .type           k,@function
k:
.text.k:
\t//## File "k.cu", line 13 inlined at "k.cu", line 58
\t//## File "k.cu", line 58
        /*0000*/                   LDG.E.128 R4, desc[UR4][R4.64] ;
\t//## File "k.cu", line 60
        /*0010*/               @P0 EXIT ;
.L_x_1:
        /*0020*/                   BRA `(.L_x_1);
        /*0030*/                   NOP;
.L_x_2:
"""


def test_sass_is_at_the_outermost_call():
    listing = sass_listing(SASS)
    assert list(zip(listing.text.splitlines(), listing.origins, strict=True)) == [
        ("k:", NOWHERE),
        ("  /*0000*/ LDG.E.128 R4, desc[UR4][R4.64]", 58),
        ("  /*0010*/ @P0 EXIT", 60),
        (".L_x_1:", NOWHERE),
        ("  /*0020*/ BRA `(.L_x_1)", 60),
    ]


@given(st.sets(st.integers(1, 60)))
@settings(deadline=None)
def test_runs_hold_the_same_numbers(numbers):
    runs = runs_of(sorted(numbers))
    assert {n for first, last in runs for n in range(first, last + 1)} == numbers
    assert all(b[0] - a[1] > 1 for a, b in itertools.pairwise(runs))


def test_links_leave_out_what_has_no_line():
    listing = Listing("asm", "a\nb\nc\n", (NOWHERE, 3, 4))
    assert listing.links([(7, ((1, 2),)), (8, ((2, 3), (4, 4))), (9, ((4, 4),))]) == {
        8: ((2, 3),),
        9: ((3, 3),),
    }


def test_llvm_text_with_lines_differs_in_locations_alone():
    _, source = kernel(helped, "llvm")
    located = with_lines(source.text)
    shown = re.sub(r",? ?!dbg !\d+", "", located).splitlines()
    for new, old in zip(shown, source.text.splitlines(), strict=False):
        assert new.replace(" ", "") == old.replace(" ", "")


@pytest.mark.parametrize("engine", ["llvm", "cpp", "cuda"])
def test_a_function_that_is_not_inlined_belongs_to_all_who_call_it(engine):
    call, source = kernel(routine, engine)
    lines = dict(with_callees(source.text, source.lines))
    makers = {node.op: node.output for node in call.spec.graph.nodes}
    text = source.text.splitlines()
    for op in ("i0", "erf"):
        spans = lines[makers[op]]
        assert spans[-1] == source.lines_of(makers[op])[-1]
        bodies = ["\n".join(text[first - 1 : last]) for first, last in spans]
        assert (len(bodies) > 1) == ((engine, op) != ("cuda", "erf"))  # CUDA has its own
        assert all(body.rstrip().endswith("}") for body in bodies[:-1])
    assert lines[makers["mul"]] == source.lines_of(makers["mul"])


def test_most_instructions_of_a_routine_belong_to_its_value():
    call, source = kernel(routine, "llvm", (64, 64))
    listing = ENGINES["llvm"].load_compiler().listing(source)
    (value,) = {node.output for node in call.spec.graph.nodes if node.op == "i0"}
    alone = listing.links(source.lines)[value]
    whole = listing.links(with_callees(source.text, source.lines))[value]
    assert sum(b - a + 1 for a, b in whole) > 2 * sum(b - a + 1 for a, b in alone)
