// The outline's sentences as a graph: what keys walk, the card shows and highlights follow.
// An entry: key, kind, text (the sentence), span, parent, below, reads, readers, value.

function readEntries(root) {
  const entries = new Map(all(root, ".fk-outline .fk-o").map((span) => {
    const { i: key, k: kind, v: value } = span.dataset;
    return [key, { key, kind, value, span, text: span.textContent, below: [], reads: [], readers: [] }];
  }));
  for (const entry of entries.values()) {
    const above = entry.span.closest("ol").closest("li")?.querySelector(":scope > .fk-o");
    entry.parent = above ? entries.get(above.dataset.i) : null;
    entry.parent?.below.push(entry);
    entry.reads = words(entry.span, "r").map((n) => entries.get(`n${n}`)).filter(Boolean);
    entry.reads.forEach((other) => other.readers.push(entry));
  }
  const unique = (list) => [...new Set(list)];
  for (const entry of entries.values()) {
    if (entry.kind === "group") {
      const outside = (name) => unique(entry.below.flatMap((e) => e[name]).map(stepOf)
        .filter((e) => e !== entry));
      [entry.reads, entry.readers] = [outside("reads"), outside("readers")];
    } else if (entry.kind === "seam") {
      const [from, to] = words(entry.span, "e").map((key) => entries.get(key));
      [entry.reads, entry.readers] = [[from], [to]].map((ends) => ends.filter(Boolean));
    }
  }
  return entries;
}

// What runs as one: a group for what is in it.
const stepOf = (entry) => (entry.parent?.kind === "group" ? entry.parent : entry);
const shortName = (entry) => entry.text.split(", ")[0].split(": ")[0];

features.push((view) => {
  const { root } = view;
  const entries = readEntries(root);
  const byValue = Map.groupBy([...entries.values()].filter((e) => e.value), (e) => e.value);
  const standing = (value) => view.index().v.get(value) ?? [];
  const nodes = (key) => all(root, `.fk-node[data-n="${CSS.escape(key)}"]`);
  const isOutput = (element) => element.matches(".fk-k-output");

  // Of what a picture's element, a line or a row stands for, the one entry; or undefined.
  const of = (element) => {
    if (!element) return undefined;
    const { i, v, l, g, e } = element.dataset;
    if (element.matches(".fk-o")) return entries.get(i);
    if (element.matches(WHOLE)) return entries.get(`g${g}`);
    const same = words(element, "v").flatMap((value) => byValue.get(value) ?? []);
    if (element.matches(".fk-badge,.fk-seam")) {
      const seams = same.filter((entry) => entry.kind === "seam");
      const head = e && nodes(e.split(" ")[1])[0];
      const to = head && of(head);
      return seams.find((s) => to && s.readers.some((r) => r === to || r === stepOf(to))) ?? seams[0];
    }
    // What stands for many is none of them.
    if (element.matches(".fk-edge,.fk-k-fold,.fk-k-repeat")) return undefined;
    if (v) {
      const plain = same.filter((entry) => entry.kind !== "seam");
      return plain.find((entry) => (entry.kind === "output") === isOutput(element)) ?? plain[0];
    }
    const here = [...entries.values()].filter((entry) => entry.span.dataset.l === l && l);
    return here.find((entry) => ["op", "opaque"].includes(entry.kind)) ?? here[0];
  };

  // The picture's elements for an entry: of a group that is drawn as one box, that box.
  const shown = (entry) => {
    if (entry.kind === "mark") return entry.below.flatMap(shown);
    if (entry.kind === "group") {
      const own = all(root, `:is(.fk-cluster,.fk-k-group)[data-g="${entry.key.slice(1)}"]`);
      return own.length ? own : [...new Set(entry.below.flatMap(shown))];
    }
    const here = standing(entry.value);
    if (entry.kind === "seam") {
      const found = here.filter((e) => e.matches(".fk-seam") && of(e) === entry);
      return [...found, ...here.filter((e) => e.matches(".fk-badge"))];
    }
    return here.filter((e) => e.matches(".fk-node") && isOutput(e) === (entry.kind === "output"));
  };
  view.graph = { entries, of, shown, nodes, list: [...entries.values()] };
});
