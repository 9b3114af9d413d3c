// What a node depends on and what depends on it: the rest of the picture fades.

const FLOWS = {
  u: ["upstream", "everything it depends on"],
  d: ["downstream", "everything that depends on it"],
  b: ["both ways", "upstream and downstream"],
  n: ["neighbours", "only what it reads and what reads it"],
};

// The entry's own nodes, and all that can be reached from them by "reads" or by "readers".
function reach(entry, name, far) {
  const own = entry.kind === "group" ? entry.below : entry.kind === "seam" ? entry[name] : [entry];
  const found = new Set(own);
  let next = [...own];
  while (next.length) {
    next = next.flatMap((e) => (e.kind === "group" ? e.below : [e])).flatMap((e) => e[name])
      .filter((e) => !found.has(e));
    next.forEach((e) => found.add(e));
    if (!far) break;
  }
  return found;
}

features.push((view) => {
  const { root, graph } = view;
  if (!graph.list.length) return;
  let [mode, last] = ["", null];
  const bar = view.bar = make("div", { class: "fk-graph-bar", role: "toolbar", "aria-label": "graph" });
  const buttons = Object.entries(FLOWS).map(([key, [name, what]]) => {
    const made = button(name, `${name} of what is pinned: ${what} (${key.toUpperCase()})`,
      () => view.flow(key));
    made.setAttribute("aria-pressed", "false");
    bar.append(made);
    return [key, made];
  });

  const clear = () => {
    delete root.dataset.fkFlow;
    all(root, ".fk-in").forEach((e) => e.classList.remove("fk-in"));
  };
  const fade = (entry) => {
    clear();
    last = entry;
    const [up, down] = ["reads", "readers"].map((name) => reach(entry, name, mode !== "n"));
    const keys = (set) => new Set([...set].flatMap(graph.shown).map((e) => e.dataset.n));
    const [above, below] = [keys(up), keys(down)];
    const own = new Set([entry, ...entry.below].flatMap(graph.shown).map((e) => e.dataset.n));
    const both = (set) => (from, to) => set.has(from) && set.has(to);
    const within = {
      u: both(above),
      d: both(below),
      b: (from, to) => both(above)(from, to) || both(below)(from, to),
      n: (from, to) => own.has(from) || own.has(to),
    }[mode];
    const nodes = { u: [above], d: [below] }[mode] ?? [above, below];
    const marked = all(root, ".fk-node").filter((e) => nodes.some((set) => set.has(e.dataset.n)));
    const edges = all(root, ".fk-edge").filter((e) => within(...e.dataset.e.split(" ")));
    const values = new Set(edges.filter((e) => e.matches(".fk-seam")).map((e) => e.dataset.v));
    const badges = all(root, ".fk-badge").filter((e) => values.has(e.dataset.v));
    const groups = new Set(marked.map((e) => e.dataset.g));
    const frames = all(root, ".fk-cluster").filter((e) => groups.has(e.dataset.g));
    [...marked, ...edges, ...badges, ...frames].forEach((e) => e.classList.add("fk-in"));
    root.dataset.fkFlow = mode;
    const self = { group: entry.below.length, seam: 0 }[entry.kind] ?? 1;
    return [up.size - self, down.size - self];
  };
  // Turns a highlight on, or off if it is on and not meant to `stay`.
  view.flow = (key, entry = graph.of(view.pinned) ?? view.at, stay = false) => {
    mode = key === mode && !stay ? "" : key;
    const usable = entry && entry.kind !== "mark";
    if (mode && !usable) mode = "";
    buttons.forEach(([name, made]) => made.setAttribute("aria-pressed", String(name === mode)));
    if (!usable) return view.tell("pin a node first: click it, or press Enter on it");
    if (!mode) { clear(); return view.tell("all of the graph is shown"); }
    const [up, down] = fade(entry);
    const said = { u: `depends on ${up}`, d: `${down} depend on it`, n: `reads ${up}, read by ${down}`,
      b: `depends on ${up}, and ${down} depend on it` }[mode];
    view.tell(`${shortName(entry)}: ${said}`);
  };
  root.addEventListener("fk-drawn", () => { if (mode) fade(last); });
  root.addEventListener("fk-pin", () => {
    const entry = graph.of(view.pinned);
    if (mode && entry) fade(entry);
    else if (mode) view.flow(mode);
  });
});
