"""A model inside a Markdown text: in a comment that no reader shows, with a hash against damage."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import textwrap
import zlib
from collections.abc import Mapping
from typing import Any

from fusekit.errors import UsageError

__all__ = ["packed", "unpacked"]

_COMMENT = re.compile(r"<!-- fusekit-view sha256:([0-9a-f]{64})\s+([A-Za-z0-9+/=\s]*?)\s*-->")

_MOST_CHARACTERS = 40_000
"""What a comment may take: GitHub's own limit for a whole text is 65,536 characters."""

_MOST_BYTES = 1 << 28
"""Of JSON: beyond, somebody means harm."""


def packed(model: Mapping[str, Any]) -> str:
    """The comment; of a large model without its sources, and "" of one that is too large still."""
    for each in (model, {**model, "sources": []}):
        found = _comment(each)
        if len(found) <= _MOST_CHARACTERS:
            return found
    return ""


def _comment(model: Mapping[str, Any]) -> str:
    text = json.dumps(model, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    data = text.encode()
    lines = textwrap.wrap(base64.b64encode(zlib.compress(data, 9)).decode(), 100)
    body = "\n".join(lines)
    return f"<!-- fusekit-view sha256:{hashlib.sha256(data).hexdigest()}\n{body}\n-->"


def unpacked(text: str, where: str) -> str:
    """The JSON that a Markdown text carries; UsageError if it has none, or another than it had."""
    found = _COMMENT.search(text)
    if found is None:
        raise UsageError(f"{where}: carries no fusekit view (a comment that a card ends with)")
    try:
        decoder = zlib.decompressobj()
        data = decoder.decompress(base64.b64decode(found[2]), _MOST_BYTES)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise UsageError(f"{where}: the view in it is damaged: {error}") from error
    if hashlib.sha256(data).hexdigest() != found[1]:
        raise UsageError(f"{where}: the view in it was changed: its hash is another")
    return data.decode()
