"""A Pygments lexer for the IR's text form (`fusekit.ir.text`)."""

from __future__ import annotations

from typing import ClassVar

from pygments.lexer import RegexLexer, bygroups
from pygments.token import Comment, Keyword, Name, Number, Operator, Punctuation, String, Whitespace

__all__ = ["IRLexer"]


class IRLexer(RegexLexer):  # type: ignore[misc]  # Pygments ships no types
    """Highlights what `print_graph` prints; anything else passes as plain text."""

    name = "fusekit IR"
    aliases: ClassVar[list[str]] = ["fusekit-ir"]
    tokens: ClassVar = {
        "root": [
            (r"\s+", Whitespace),
            (r";.*?$", Comment.Single),
            (r'"(?:[^"\\]|\\.)*"', String),
            (r"%\d+", Name.Variable),
            (r"(graph)(\s+)(\S*?)(\()", bygroups(Keyword, Whitespace, Name.Function, Punctuation)),
            (r"\b(return|scalar|none|true|false)\b", Keyword),
            (r"\b(bool|u8|u16|u32|u64|i8|i16|i32|i64|f16|bf16|f32|f64)\b", Keyword.Type),
            (r"(=)(\s+)(call)(\s+)([\w.]+)",
             bygroups(Operator, Whitespace, Keyword, Whitespace, Name.Function)),
            (r"(=)(\s+)(\w+)", bygroups(Operator, Whitespace, Name.Function)),
            (r"\w+(?==)", Name.Attribute),
            (r"-?(?:inf|nan|\d[\d.]*(?:e[-+]?\d+)?)\b", Number),
            (r"[\[\](){},:]", Punctuation),
            (r".", Name),
        ],
    }  # fmt: skip
