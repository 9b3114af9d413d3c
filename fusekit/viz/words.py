"""How quantities are spelled, in every view alike; the sentences that repr, alt and text share."""

from __future__ import annotations

import itertools
import re

from fusekit.viz.model.schema import Edge, LedgerRow, Model, Node, Seam, TimingRow

__all__ = [
    "advice_text",
    "bucket",
    "bytes_text",
    "change_text",
    "plural",
    "ratio_text",
    "seam_codes",
    "seconds_text",
    "sentence",
    "short",
    "speed_text",
    "summary",
    "tensor_text",
    "verified",
    "visible",
]

_BYTES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def bytes_text(count: int) -> str:
    """Bytes in binary units, three digits: "96 MiB", "1.5 KiB", "0 B"."""
    amount, unit = float(abs(count)), 0
    while amount >= 1023.5 and unit < len(_BYTES) - 1:
        amount, unit = amount / 1024, unit + 1
    sign = "-" if count < 0 else ""
    return f"{sign}{_digits(amount)} {_BYTES[unit]}"


def seconds_text(seconds: float) -> str:
    """A duration in the unit that suits it, three digits: "1.82 ms"."""
    for size, unit in _SECONDS:
        if abs(seconds) >= size * 0.9995:
            return f"{_digits(seconds / size)} {unit}"
    return f"{_digits(seconds * 1e9)} ns"


def ratio_text(ratio: float | None) -> str:
    """How many times as fast: "3.2×"; "" when there is nothing to compare with."""
    return "" if ratio is None else f"{_digits(ratio)}×"


def speed_text(row: TimingRow) -> str:
    """`3.2× faster`, `4× slower`, `1.01× tie`, `baseline`: the ratio and what follows from it."""
    ratio, outcome = row["ratio"], row["outcome"]
    if ratio and outcome == "slower":
        ratio = 1 / ratio
    return " ".join(part for part in (ratio_text(ratio), outcome) if part)


_BUCKETS = (1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0)


def bucket(ratio: float) -> str:
    """A ratio as coarse as a text may say it that is compared elsewhere: "2-3×", "over 100×".

    For ratios below 1 it is the inverse's: how many times as slow.
    """
    factor = max(ratio, 1 / ratio)
    for low, high in itertools.pairwise(_BUCKETS):
        if factor < high:
            return f"{low:g}-{high:g}×"
    return "over 100×"


def _digits(amount: float) -> str:
    """Three significant digits, without an exponent and without trailing zeros."""
    places = 0 if abs(amount) >= 99.95 else 1 if abs(amount) >= 9.995 else 2
    text = f"{amount:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def plural(count: int, noun: str) -> str:
    """`1 launch`, `2 launches`."""
    ending = "" if count == 1 else "es" if noun.endswith(("ch", "s", "x")) else "s"
    return f"{count} {noun}{ending}"


def tensor_text(item: Node | Edge | LedgerRow) -> str:
    """`f32[64,512]`, as the text form of the IR spells it."""
    return f"{visible(item['dtype']) or '?'}[{','.join(map(str, item['shape']))}]"


def seam_codes(model: Model) -> list[str]:
    """The reason codes of the seams, each once, sorted."""
    return sorted({seam["code"] for seam in model["seams"]})


def summary(model: Model) -> str:
    """The headline: structure and bytes, never times, so that it is the same on every machine."""
    totals, seams, declined = model["totals"], model["seams"], model["declined"]
    codes = " ".join(sorted({visible(item["code"]) for item in declined}))
    if declined and not model["graph"]["nodes"]:
        return f"{plural(totals['groups'], 'group')} · not fused: PyTorch runs the call [{codes}]"
    parts = [
        plural(totals["groups"], "group"),
        f"{plural(totals['launches'], 'launch')} (eager {totals['eager_launches']})",
        f"saves {bytes_text(totals['saved_bytes'])}",
    ]
    if seams:
        codes = " ".join(visible(code) for code in seam_codes(model))
        parts.append(f"{plural(len(seams), 'seam')} [{codes}]")
    elif declined:
        parts.append(f"{sum(bool(item['op']) for item in declined) or 1} declined [{codes}]")
    return " · ".join(parts)


def sentence(model: Model) -> str:
    """The alternative text of the picture: the headline and the groups, in words."""
    groups = "; ".join(
        f"{visible(group['name'])} fuses {plural(group['ops'], 'op')} ({visible(group['engine'])})"
        for group in model["groups"][:8]
    )
    seams = "; ".join(seam_sentence(model, seam) for seam in model["seams"][:8])
    parts = [f"Fusion graph of {visible(model['name'])}: {summary(model)}."]
    parts += [f"{groups}."] if groups else []
    parts += [f"Seams: {seams}."] if seams else []
    return " ".join(parts)


def seam_sentence(model: Model, seam: Seam) -> str:
    """`mm to g2: not a pointwise operator (FK0101)`."""
    ends = f"{end_name(model, seam['source'])} to {end_name(model, seam['target'])}"
    return f"{ends}: {visible(seam['sentence'])} ({visible(seam['code'])})"


def end_name(model: Model, end: str) -> str:
    """What a seam's end is called: its group's name, or the node's label."""
    groups = {group["id"]: group["name"] for group in model["groups"]}
    if end in groups:
        return visible(groups[end])
    for node in model["graph"]["nodes"]:
        if node["id"] == end:
            return visible(groups[node["group"]] if node["group"] else node["label"])
    return visible(end)


def visible(text: str) -> str:
    """One line, with control characters (a terminal would obey them) shown as escapes."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", _escape, text)


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def short(text: str, limit: int) -> str:
    """At most `limit` characters of `text`, with an ellipsis for what is cut."""
    line = visible(text)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def change_text(seam: Seam) -> str:
    """The smallest change that removes a seam, and what dividing the changed graph gave."""
    found = seam["remedy"]
    if found is None and seam["tried"] is None:
        return visible(seam["hint"]) or "no change looked for"
    if found is None:
        return "no change found"
    return f"{visible(found['text'])}; verified: {verified(seam)}"


def advice_text(seam: Seam) -> str:
    """The change that was verified, else what its reason advises, else that none was found."""
    return change_text(seam) if seam["remedy"] else visible(seam["hint"]) or change_text(seam)


def verified(seam: Seam) -> str:
    """What its smallest change brings: `2 launches → 1, saves 32 MiB`."""
    found = seam["remedy"]
    assert found is not None
    launches = f"{plural(found['before'], 'launch')} → {found['after']}"
    return f"{launches}, saves {bytes_text(found['saved'])}"
