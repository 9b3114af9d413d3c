"""The text form of a graph: what people read, what keys are digests of, and it parses back.

graph rope(%0: f32[4,8], %1: f32[8], %2: scalar f64) {
  %3: f32 = cast %2 dtype=f32
  %4: f32[4,8] = mul %0, %3   ; aten.mul.Tensor @ cell.py:2 | y = x * s
  %5: f32[8,4]{1,8} = call aten.t.default(%4)
  return %5
}
"""

from __future__ import annotations

import json
import re

from fusekit.errors import ParseError
from fusekit.ir.builder import GraphBuilder
from fusekit.ir.graph import Attr, Graph, Loc, Node, Ref, Token, Value, format_literal
from fusekit.ir.ops import Rule
from fusekit.ir.types import DType

__all__ = ["parse_graph", "print_graph"]


def print_graph(graph: Graph, *, locations: bool = False) -> str:
    """The text of `graph`; with `locations`, each node's origin and the user's line as well."""
    inputs = ", ".join(_print_value(graph.values[i]) for i in graph.inputs)
    lines = [f"graph {_NOT_IN_NAMES.sub('_', _on_one_line(graph.name))}({inputs}) {{"]
    for node in graph.nodes:
        note = _print_note(node) if locations else ""
        lines.append(f"  {_print_node(node, graph)}{note}")
    returned = ", ".join(f"%{i}" for i in graph.outputs)
    lines += [f"  return {returned}".rstrip(), "}"]
    return "\n".join(lines) + "\n"


def _print_value(value: Value) -> str:
    dtype = "?" if value.dtype is None else value.dtype.value
    if value.scalar:
        return f"%{value.id}: scalar {dtype}"
    shape = "" if value.shape is None else f"[{','.join(map(str, value.shape))}]"
    strides = "" if value.strides is None else f"{{{','.join(map(str, value.strides))}}}"
    return f"%{value.id}: {dtype}{shape}{strides}"


def _print_node(node: Node, graph: Graph) -> str:
    results = ", ".join(_print_value(graph.values[i]) for i in node.outputs)
    assigned = f"{results} = " if results else ""
    if node.row.rule is Rule.CALL:
        args = node.attr("args")
        kwargs = node.attr("kwargs")
        assert isinstance(args, tuple)
        assert isinstance(kwargs, tuple)
        parts = [_print_attr(item) for item in args]
        parts += [f"{item[0]}={_print_attr(item[1])}" for item in kwargs]  # type: ignore[index]
        return f"{assigned}{node.op} {node.attr('target')}({', '.join(parts)})"
    operands = ", ".join(f"%{i}" for i in node.inputs)
    attrs = " ".join(f"{name}={_print_plain(value)}" for name, value in node.attrs)
    return assigned + " ".join(part for part in (node.op, operands, attrs) if part)


def _print_plain(value: Attr) -> str:
    """An attribute of a node of ours: a dtype, an int, or a literal already spelled out."""
    return value.value if isinstance(value, DType) else str(value)


def _print_attr(value: Attr) -> str:  # noqa: PLR0911  one line per kind of attribute
    """An argument of a call, in the grammar that `_ArgumentParser` reads."""
    match value:
        case None:
            return "none"
        case bool() | int() | float():
            return format_literal(value)
        case str():
            return json.dumps(value)
        case DType():
            return f"dtype({value.value})"
        case Ref():
            return f"%{value.id}"
        case Token():
            return f"{value.kind}({value.name})"
        case tuple():
            return f"[{', '.join(_print_attr(item) for item in value)}]"


def _print_note(node: Node) -> str:
    if node.loc is None:
        return f"   ; {node.origin}" if node.origin else ""
    file, text = _on_one_line(node.loc.file), _on_one_line(node.loc.text)
    return f"   ; {node.origin or '-'} @ {file}:{node.loc.line} | {text}"


def _on_one_line(text: str) -> str:
    """A name or a line of the user's, with nothing in it that ends a line or cannot be seen."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


_NOT_IN_NAMES = re.compile(r"[\s(){}]")
"""What would end a graph's name."""


_HEAD = re.compile(r"graph (?P<name>\S*?)\((?P<inputs>.*)\) \{$")
_VALUE = re.compile(
    r"%(?P<id>\d+): (?P<scalar>scalar )?(?P<dtype>\?|[a-z]+\d*)"
    r"(?:\[(?P<shape>[\d,]*)\])?(?:\{(?P<strides>[-\d,]*)\})?"
)
_NODE = re.compile(
    r"(?:(?P<results>%.*?) = |(?=call ))(?P<op>\w+)(?: (?P<rest>.*?))?(?:   ; (?P<note>.*))?$"
)
_NOTE = re.compile(r"(?P<origin>\S+) @ (?P<file>.*?):(?P<line>\d+) \| (?P<text>.*)$")
_ATTR = re.compile(r"(\w+)=(\S+)")
_TOKEN = re.compile(
    r'\s*(?:%(?P<ref>\d+)|(?P<string>"(?:[^"\\]|\\.)*")|(?P<kind>\w+)\((?P<name>[^)]*)\)'
    r"|(?P<word>none|true|false|-?(?:inf|nan|[\d.]+(?:e[-+]?\d+)?))|(?P<key>\w+)="
    r"|(?P<mark>[\[\],]))"
)


def parse_graph(text: str) -> Graph:
    """The graph that `text` spells; ParseError names the first line that does not fit."""
    lines = [line for line in text.splitlines() if line.strip()]
    head = _HEAD.match(lines[0].strip()) if lines else None
    if head is None:
        raise ParseError("line 1: expected 'graph NAME(INPUTS) {'")
    if lines[-1].strip() != "}" or not lines[-2].strip().startswith("return"):
        raise ParseError(f"line {len(lines)}: expected 'return ...' and then '}}'")
    try:
        values = [_parse_value(match) for match in _VALUE.finditer(head["inputs"])]
    except ValueError as error:
        raise ParseError(f"line 1: {error}") from error
    inputs = [value.id for value in values]
    nodes: list[Node] = []
    for number, line in enumerate(lines[1:-2], start=2):
        try:
            node, results = _parse_node(line.strip())
        except (ValueError, KeyError, TypeError) as error:
            raise ParseError(f"line {number}: {error}: {line.strip()!r}") from error
        nodes.append(node)
        values += results
    outputs = [int(i) for i in re.findall(r"%(\d+)", lines[-2])]
    return _assemble(head["name"], values, inputs, nodes, outputs)


def _assemble(
    name: str, values: list[Value], inputs: list[int], nodes: list[Node], outputs: list[int]
) -> Graph:
    builder = GraphBuilder(name)
    builder.values = sorted(values, key=lambda value: value.id)
    if [value.id for value in builder.values] != list(range(len(values))):
        raise ParseError("value numbers must run from %0 without gaps, each defined once")
    builder._inputs = inputs  # noqa: SLF001  the parser is the builder's other half
    for node in nodes:
        builder.add(node)
    return builder.finish(outputs)


def _parse_value(match: re.Match[str]) -> Value:
    dtype = None if match["dtype"] == "?" else DType(match["dtype"])
    scalar = match["scalar"] is not None
    shape = () if scalar else _parse_extents(match["shape"])
    return Value(int(match["id"]), dtype, shape, _parse_extents(match["strides"]), scalar)


def _parse_extents(text: str | None) -> tuple[int, ...] | None:
    return None if text is None else tuple(int(part) for part in text.split(",") if part)


def _parse_node(line: str) -> tuple[Node, list[Value]]:
    match = _NODE.match(line)
    if match is None:
        raise ValueError("expected '%ID: TYPE = OP ...'")
    results = [_parse_value(found) for found in _VALUE.finditer(match["results"] or "")]
    outputs = tuple(value.id for value in results)
    loc, origin = _parse_note(match["note"])
    rest = match["rest"] or ""
    if match["op"] in ("call", "view"):
        inputs, attrs = _parse_call(rest)
    else:
        inputs = tuple(int(i) for i in re.findall(r"%(\d+)", rest))
        attrs = tuple((name, _parse_plain(name, text)) for name, text in _ATTR.findall(rest))
    return Node(match["op"], inputs, outputs, attrs, loc, origin), results


def _parse_plain(name: str, text: str) -> Attr:
    if name == "dtype":
        return DType(text)
    return text if name in ("value", "table") else int(text)


def _parse_note(note: str | None) -> tuple[Loc | None, str]:
    if note is None:
        return None, ""
    match = _NOTE.match(note)
    if match is None:
        return None, note
    origin = "" if match["origin"] == "-" else match["origin"]
    return Loc(match["file"], int(match["line"]), match["text"]), origin


def _parse_call(rest: str) -> tuple[tuple[int, ...], tuple[tuple[str, Attr], ...]]:
    target, _, inner = rest.partition("(")
    parser = _ArgumentParser(inner.removesuffix(")"))
    args, kwargs = parser.arguments()
    refs = tuple(dict.fromkeys(parser.refs))
    return refs, (("args", args), ("kwargs", kwargs), ("target", target))


class _ArgumentParser:
    """Reads the arguments of a call; `refs` collects the values it met."""

    def __init__(self, text: str) -> None:
        self.refs: list[int] = []
        self._tokens: list[re.Match[str]] = []
        position = 0
        while position < len(text.rstrip()):
            match = _TOKEN.match(text, position)
            if match is None:
                raise ValueError(f"cannot read {text[position:]!r}")
            self._tokens.append(match)
            position = match.end()
        self._next = 0

    def arguments(self) -> tuple[tuple[Attr, ...], tuple[tuple[str, Attr], ...]]:
        """Positional arguments, then keyword ones."""
        args: list[Attr] = []
        kwargs: list[tuple[str, Attr]] = []
        while self._next < len(self._tokens):
            key = self._tokens[self._next]["key"]
            if key is None:
                args.append(self._attr())
            else:
                self._next += 1
                kwargs.append((key, self._attr()))
            self._skip(",")
        return tuple(args), tuple(kwargs)

    def _skip(self, mark: str) -> bool:
        found = self._next < len(self._tokens) and self._tokens[self._next]["mark"] == mark
        self._next += found
        return found

    def _attr(self) -> Attr:
        if self._skip("["):
            items: list[Attr] = []
            while not self._skip("]"):
                items.append(self._attr())
                self._skip(",")
            return tuple(items)
        token = self._tokens[self._next]
        self._next += 1
        if token["ref"] is not None:
            self.refs.append(int(token["ref"]))
            return Ref(int(token["ref"]))
        if token["string"] is not None:
            text = json.loads(token["string"])
            assert isinstance(text, str)
            return text
        if token["kind"] is not None:
            name = token["name"]
            return DType(name) if token["kind"] == "dtype" else Token(token["kind"], name)
        return _WORDS[token["word"]] if token["word"] in _WORDS else _number(token["word"])


_WORDS: dict[str, Attr] = {"none": None, "true": True, "false": False}


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)
