"""Element types of the IR."""

from __future__ import annotations

import enum

__all__ = ["DType", "Kind"]


class Kind(enum.Enum):
    """What arithmetic a dtype has."""

    BOOL = "bool"
    UINT = "uint"
    INT = "int"
    FLOAT = "float"


class DType(enum.Enum):
    """An element type; the value is its spelling in the text form.

    Attributes:
        bits: storage width (a bool takes a byte in memory).
        itemsize: bytes per element in memory.
    """

    BOOL = "bool"
    U8 = "u8"
    U16 = "u16"
    U32 = "u32"
    U64 = "u64"
    I8 = "i8"
    I16 = "i16"
    I32 = "i32"
    I64 = "i64"
    F16 = "f16"
    BF16 = "bf16"
    F32 = "f32"
    F64 = "f64"

    bits: int
    itemsize: int

    def __init__(self, text: str) -> None:
        """Read the width off the name."""
        self.bits = 8 if text == "bool" else int(text.lstrip("abcdefghijklmnopqrstuvwxyz"))
        self.itemsize = self.bits // 8

    __hash__ = object.__hash__  # members are single; an enum's own hash is that of the name

    @property
    def kind(self) -> Kind:
        """Which family of arithmetic this dtype belongs to."""
        return _KIND[self.value.rstrip("0123456789")]

    @property
    def is_float(self) -> bool:
        """True for the four floating point types."""
        return self.kind is Kind.FLOAT

    @property
    def is_integral(self) -> bool:
        """True for signed and unsigned integers; False for bool."""
        return self.kind in (Kind.INT, Kind.UINT)

    @property
    def is_storage_only(self) -> bool:
        """True for the half types: loaded, stored, cast and selected, but computed in f32."""
        return self in (DType.F16, DType.BF16)

    def __repr__(self) -> str:
        """The text-form spelling, which is what messages should show."""
        return str(self.value)


_KIND = {
    "bool": Kind.BOOL,
    "u": Kind.UINT,
    "i": Kind.INT,
    "f": Kind.FLOAT,
    "bf": Kind.FLOAT,
}
