"""What was measured: a verdict, a strip plot and a table for each device, from the model alone.

The bars are plain elements with a width, which sanitizers keep and screen readers pass over; the
numbers beside them say the same.
"""

from __future__ import annotations

from html import escape

from fusekit.viz.measured.strips import strips_html
from fusekit.viz.model.schema import Compile, Model, Timing, TimingRow
from fusekit.viz.words import bucket, plural, ratio_text, seconds_text, speed_text, visible

__all__ = [
    "bucket_text",
    "compile_text",
    "prediction",
    "times_html",
    "timing_html",
    "timing_text",
]

_BAR = "display:inline-block;height:10px;background:#8a94a0;"
_SPREAD = "display:inline-block;height:10px;background:#c9cfd6;"


def timing_html(model: Model) -> str:
    """A table for each device and the sentences around it; "" when nothing was measured.

    All of it is on one line that ends in a comment, so that one expression can mask it where
    outputs of notebooks are compared.
    """
    body = _compile_html(model["compile"])
    if model["timing"] is not None:
        body = times_html(model["timing"], prediction(model)) + body
    return f'<div class="fk-measured">{body}</div><!--fk-measured-->' if body else ""


def times_html(timing: Timing, predicted: str = "") -> str:
    """The verdict, a picture and a table for each device, and how it was measured."""
    devices = dict.fromkeys(row["device"] for row in timing["rows"])
    tables = "".join(strips_html(timing, each) + _device(timing, each) for each in devices)
    verdict = f'<p class="fk-verdict">{escape(visible(timing["verdict"]))}</p>'
    method = f'<p class="fk-note">{escape(visible(timing["method"]))}</p>'
    bytes_said = f'<p class="fk-predicted">{escape(predicted)}</p>' if predicted else ""
    return f"{verdict}{bytes_said}{tables}{method}"


def prediction(model: Model, timing: Timing | None = None) -> str:
    """`Bytes alone predict 3.1×; measured 2.8×.`: memory traffic against the clock."""
    timing, ledger = timing or model["timing"], model["ledger"]
    if timing is None or not ledger["fused"] or not ledger["eager"]:
        return ""
    expected = ratio_text(ledger["eager"] / ledger["fused"])
    rows = [row for row in timing["rows"] if row["name"].startswith("fused")]
    found = [
        f"{ratio_text(row['ratio'])} on {visible(row['device'])}" for row in rows if row["ratio"]
    ]
    return f"Bytes alone predict {expected}; measured {', '.join(found)}." if found else ""


def bucket_text(timing: Timing) -> str:
    """`fused on cpu: faster, 2-3×`: verdicts as coarse as a text may say them that is compared."""
    said = []
    for row in timing["rows"]:
        if not row["name"].startswith("fused"):
            continue
        outcome: str = row["outcome"]
        if outcome in ("faster", "slower") and row["ratio"]:
            outcome = f"{outcome}, {bucket(row['ratio'])}"
        elif row["cause"]:
            outcome = f"{outcome}: {visible(row['cause'])}"
        said.append(f"{visible(row['name'])} on {visible(row['device'])}: {outcome or 'measured'}")
    return "; ".join(said) or "nothing measured"


def _device(timing: Timing, device: str) -> str:
    rows = [row for row in timing["rows"] if row["device"] == device]
    longest = max(row["seconds"] + row["spread"] / 2 for row in rows) or 1.0
    head = "<tr><th scope='col'>run</th><th scope='col'>median</th><th scope='col'>to scale</th>"
    head += "<th scope='col'>spread</th><th scope='col'>runs</th><th scope='col'>speed</th></tr>"
    body = "".join(_row(row, longest) for row in rows)
    caption = f"<caption>{escape(visible(device))}</caption>"
    inner = f"{caption}<thead>{head}</thead><tbody>{body}</tbody>"
    return f'<table class="fk-table fk-times">{inner}</table>'


def _row(row: TimingRow, longest: float) -> str:
    median, half = row["seconds"], row["spread"] / 2
    solid = 100 * max(median - half, 0) / longest
    soft = 100 * (median + half) / longest - solid
    bar = f'<span class="fk-bar" style="{_BAR}width:{solid:.1f}%"></span>'
    bar += f'<span class="fk-spread" style="{_SPREAD}width:{soft:.1f}%"></span>'
    said = escape(speed_text(row))
    kind = row["outcome"].replace(" ", "-") or "none"
    return (
        f'<tr class="fk-out-{kind}"><th scope="row">{escape(visible(row["name"]))}</th>'
        f'<td class="fk-num-cell">{seconds_text(median)}</td>'
        f'<td class="fk-bar-cell" style="width:45%">{bar}</td>'
        f'<td class="fk-num-cell">±{seconds_text(half)}</td>'
        f'<td class="fk-num-cell">{row["runs"]}</td><td class="fk-outcome">{said}</td></tr>'
    )


def _compile_html(entries: list[Compile]) -> str:
    if not entries:
        return ""
    said = "; ".join(escape(compile_text(entry)) for entry in entries)
    return f'<p class="fk-note">Compiled: {said}.</p>'


def compile_text(entry: Compile) -> str:
    """`fk_3fa1c07be2d4 (cpp) in 214 ms`."""
    how = "from the cache in" if entry["cached"] else "in"
    head = f"{visible(entry['symbol'])} ({visible(entry['engine'])})"
    return f"{head} {how} {seconds_text(entry['seconds'])}"


def timing_text(model: Model, *, width: int = 28) -> str:
    """The same as text, with bars of `width` characters at most; "" when nothing was measured."""
    timing = model["timing"]
    lines: list[str] = []
    if timing is not None:
        lines += [said for said in (visible(timing["verdict"]), prediction(model)) if said]
        for device in dict.fromkeys(row["device"] for row in timing["rows"]):
            lines += [visible(device), *_bars(timing, device, width)]
        lines.append(visible(timing["method"]))
    lines += [f"compiled {compile_text(entry)}" for entry in model["compile"]]
    return "\n".join(lines)


def _bars(timing: Timing, device: str, width: int) -> list[str]:
    rows = [row for row in timing["rows"] if row["device"] == device]
    longest = max(row["seconds"] for row in rows) or 1.0
    room = max(len(visible(row["name"])) for row in rows)
    lines = []
    for row in rows:
        bar = "█" * max(1, round(width * row["seconds"] / longest))
        time = f"{seconds_text(row['seconds'])} ±{seconds_text(row['spread'] / 2)}"
        name = visible(row["name"]).ljust(room)
        line = (
            f"  {name}  {bar.ljust(width)}  {time}  {plural(row['runs'], 'run')}  {speed_text(row)}"
        )
        lines.append(line.rstrip())
    return lines
