// Walking the graph by keys, for ears and eyes alike: the picture is one stop of the Tab key, and
// each move says the outline's sentence. The position is an entry of the outline, drawn or not.

const AXES = { ArrowDown: [0, 1], ArrowUp: [0, -1], ArrowRight: [1, 0], ArrowLeft: [-1, 0] };
const MARKS = { i: "inputs", g: "groups", s: "seams", o: "outputs" };

// The nearest node in the direction of an arrow, by where they are drawn.
function nearest(items, from, axis) {
  const middle = (item) => {
    const box = item.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
  };
  const [x, y] = middle(from);
  const scored = items.map((item) => {
    const [dx, dy] = [middle(item)[0] - x, middle(item)[1] - y];
    const along = dx * axis[0] + dy * axis[1];
    return { item, along, cost: along + 2 * (Math.abs(dx * axis[1]) + Math.abs(dy * axis[0])) };
  }).filter((entry) => entry.along > 4);
  return scored.sort((a, b) => a.cost - b.cost)[0]?.item;
}

// Gives the focus back to the notebook, or lets go of it.
function leave(root) {
  const cell = root.closest(".jp-Cell,.jp-Notebook");
  if (cell) cell.focus();
  if (!cell?.contains(document.activeElement) || root.contains(document.activeElement)) {
    document.activeElement.blur();
  }
}

const seen = (element) => element.getClientRects().length > 0;

// Where the walk is shown: the picture, of which there may be two; without one, a line of text.
function stageOf(root) {
  if (!root.querySelector(".fk-canvas")) {
    const made = make("div", { class: "fk-canvas fk-bare" }, "The graph as a list: walk it by keys.");
    root.querySelector(".fk-graph .fk-body").prepend(made);
  }
  const canvases = all(root, ".fk-canvas");
  return canvases.find((e) => e === document.activeElement) ?? canvases.find(seen) ?? canvases[0];
}

features.push((view) => {
  const { root, graph } = view;
  if (!graph.list.length) return;
  const marks = graph.list.filter((entry) => entry.kind === "mark");
  const first = stageOf(root);
  const sides = root.querySelector(".fk-sides") ?? first;
  view.stage = () => stageOf(root);
  const name = root.querySelector(".fk-name")?.textContent ?? "";
  const said = make("p", { class: "fk-said-walk", "aria-live": "polite" });
  const zoom = root.querySelector(".fk-picture-bar > .fk-zoom");
  if (zoom) zoom.before(view.bar);
  else sides.before(view.bar);
  sides.after(said);
  const shape = { tabindex: "0", role: "application", "aria-roledescription": "graph walker",
    "aria-label": `Fusion graph of ${name}. Arrow keys walk, Enter goes in or pins, ? lists the keys.` };
  const equip = () => all(root, ".fk-canvas").forEach((canvas) => {
    for (const [key, text] of Object.entries(shape)) canvas.setAttribute(key, text);
    canvas.querySelector("svg")?.setAttribute("role", "group");
  });
  equip();
  view.tell = (text) => { said.textContent = text; };

  // Siblings are what is beside it in the outline, or the other ends of the way that led here.
  let siblings = marks;
  const branches = (list, what) => Object.assign([...list], { what });
  const ring = () => {
    all(root, ".fk-at").forEach((e) => e.classList.remove("fk-at"));
    const drawn = graph.shown(view.at);
    [view.at.span, ...drawn].forEach((e) => e.classList.add("fk-at"));
    return drawn;
  };
  // Without the focus, which stays with what the reader does.
  view.stand = (entry, beside = branches(entry.parent?.below ?? marks, "")) => {
    view.at = entry;
    siblings = beside;
    const where = siblings.what && siblings.length > 1
      ? ` (${siblings.indexOf(entry) + 1} of ${siblings.length} ${siblings.what})` : "";
    view.tell(entry.text + where);
    return ring();
  };
  view.walkTo = (entry, beside) => {
    const drawn = view.stand(entry, beside);
    const stage = view.stage();
    if (document.activeElement !== stage) stage.focus({ preventScroll: true });
    if (entry.kind !== "mark") all(root, ".fk-canvas").forEach((canvas) => {
      const here = drawn.find((e) => canvas.contains(e) && seen(e));
      if (here) reveal(here);
    });
    view.mark("fk-hi", entry.kind === "mark" ? [] : view.find(entry.span));
  };

  // A group drawn as a box is opened, and before it what that box is folded into.
  const unfoldBox = (entry) => {
    for (let depth = 0; depth < 6 && entry.kind === "group"; depth += 1) {
      const head = graph.shown(entry).map((e) => e.querySelector('.fk-fold[aria-expanded="false"]')).find(Boolean);
      if (!head) return;
      head.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }));
    }
  };
  const pin = () => {
    // A box that stands for a whole group is not the node in it.
    const own = (e) => e.matches(LINKED) && (view.at.kind === "group" || !e.matches(WHOLE));
    view.pin(graph.shown(view.at).find(own) ?? view.at.span, false);
    view.tell(`pinned: ${view.at.text}`);
  };
  const along = (from, name) => {
    const [list, who] = [from[name], shortName(from)];
    const [what, none] = name === "reads" ? [`read by ${who}`, `${who} reads nothing`]
      : [`that read ${who}`, `nothing reads ${who}`];
    if (list.length) view.walkTo(list[0], branches(list, what));
    else view.tell(none);
  };
  const beside = (step) => {
    const next = siblings[siblings.indexOf(view.at) + step];
    if (next) view.walkTo(next, siblings);
    else view.tell(`${shortName(view.at)} is the ${step < 0 ? "first" : "last"} here`);
  };
  const missed = () => {
    const at = graph.list.indexOf(view.at) + 1;
    const after = [...graph.list.slice(at), ...graph.list.slice(0, at)];
    const next = after.find((entry) => ["opaque", "seam"].includes(entry.kind));
    if (next) view.walkTo(next);
    else view.tell("everything is fused");
  };
  const sideways = (step, name) => (view.at.kind === "mark" ? beside(step) : along(view.at, name));
  const spatial = (axis) => {
    const drawn = all(view.stage(), ".fk-node");
    const from = graph.shown(view.at).find((e) => drawn.includes(e) || view.stage().contains(e));
    const next = graph.of(from ? nearest(drawn.filter((e) => e !== from), from, axis) : drawn[0]);
    if (next) view.walkTo(next);
  };
  const flow = (key) => {
    const pinned = graph.of(view.pinned) === view.at;
    if (!pinned && view.at.kind !== "mark") pin();
    view.flow(key, view.at, !pinned);
  };
  const MOVES = {
    arrowright: () => sideways(1, "readers"),
    arrowleft: () => sideways(-1, "reads"),
    arrowdown: () => beside(1),
    arrowup: () => beside(-1),
    home: () => view.walkTo(siblings[0], siblings),
    end: () => view.walkTo(siblings.at(-1), siblings),
    enter: () => {
      if (!view.at.below.length) { pin(); return; }
      unfoldBox(view.at);
      view.walkTo(view.at.below[0]);
    },
    " ": () => (view.at.kind === "mark" ? view.walkTo(view.at.below[0] ?? view.at) : pin()),
    backspace: () => view.walkTo(view.at.parent ?? view.at),
    f: missed,
    l: () => {
      const line = view.partnerLine(view.at.span);
      if (line) view.jump(line);
      else view.tell(NO_LINK);
    },
    r: () => view.back(),
    escape: () => {
      if (view.pinned) { view.pin(null, false); view.tell("let go"); } else leave(root);
    },
  };
  Object.keys(FLOWS).forEach((key) => { MOVES[key] = () => flow(key); });
  Object.entries(MARKS).forEach(([key, mark]) => { MOVES[key] = () => view.walkTo(graph.entries.get(mark)); });

  root.addEventListener("keydown", (event) => {
    if (!event.target.matches(".fk-canvas") || typing(event)) return;
    const axis = event.shiftKey && AXES[event.key];
    const move = axis ? () => spatial(axis) : MOVES[event.key.toLowerCase()];
    if (!move) return;
    view.at ??= marks[0];
    event.preventDefault();
    event.stopPropagation();
    move();
  });
  root.addEventListener("focusin", ({ target }) => {
    if (!view.at && target.matches(".fk-canvas:focus-visible")) view.walkTo(marks[0]);
  });
  root.addEventListener("click", ({ target }) => {
    const entry = target.closest(".fk-canvas") && graph.of(target.closest(LINKED));
    if (entry) view.walkTo(entry);
  });
  root.addEventListener("fk-drawn", () => { equip(); if (view.at) ring(); });
});
