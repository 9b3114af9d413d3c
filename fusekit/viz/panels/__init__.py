"""The panels of a live view: what can be asked of a call that can run again.

A panel is a form that Python draws. The browser sends what its fields hold, the panel answers with
the form's new content, and knows nothing of messages, widgets or the page around it. Elements that
carry `data-v`, `data-l` or `data-g` link to the graph and the sources as anywhere in a view.
"""

from __future__ import annotations

from fusekit.viz.panels.cache import CACHE
from fusekit.viz.panels.crossover import CROSSOVER
from fusekit.viz.panels.diff import DIFF
from fusekit.viz.panels.duet import DUET
from fusekit.viz.panels.edit import EDIT
from fusekit.viz.panels.element import ELEMENT
from fusekit.viz.panels.ladder import LADDER
from fusekit.viz.panels.panel import Call, Cancelled, Fields, Panel, Progress, Shown
from fusekit.viz.panels.roofline import ROOFLINE
from fusekit.viz.panels.rounding import ROUNDING
from fusekit.viz.panels.stopwatch import STOPWATCH
from fusekit.viz.panels.sweep import SWEEP
from fusekit.viz.panels.whatif import WHAT_IF

__all__ = ["PANELS", "Call", "Cancelled", "Fields", "Panel", "Progress", "Shown"]

PANELS: tuple[Panel[Call], ...] = (
    *(WHAT_IF, EDIT, DIFF, ELEMENT, ROUNDING, DUET),
    *(STOPWATCH, ROOFLINE, SWEEP, CROSSOVER, LADDER, CACHE),
)
"""All panels, from top to bottom."""
