// The card of what is pinned: all there is to say of a node, an edge, a seam or a group.

// Rows of a table as Python wrote them, whatever order a reader gives them later.
const rowsOf = (root, table) => [...(root.querySelector(`.${table}`)?.tBodies[0]?.rows ?? [])]
  .filter((row) => row.cells.length > 3);
const textOf = (cell) => [...cell.childNodes].map((part) => part.textContent).join(" · ");

function facts() {
  const list = make("dl");
  const add = (name, ...parts) => {
    const given = parts.filter(Boolean);
    if (!given.length) return;
    const value = make("dd");
    given.forEach((part) => value.append(part, " "));
    list.append(make("dt", {}, name), value);
  };
  return { list, add };
}

// A sentence's parts: what it is, and after the colon what it has to do with others.
const headOf = (entry) => entry.text.split(": ")[0].split(", ");
const tailOf = (entry) => entry.text.split(": ").slice(1).join(": ").replace(/\.$/, "");

features.push((view) => {
  const { root, graph } = view;
  const canvas = root.querySelector(".fk-canvas");
  if (!canvas || !graph.list.length) return;
  const card = make("section", { class: "fk-about", "aria-label": "what is pinned" });
  card.hidden = true;
  (canvas.closest("figure") ?? root.querySelector(".fk-said-walk")).after(card);

  const [declined, seams] = ["fk-declined", "fk-seams"].map((table) => rowsOf(root, table));
  const goes = (text, label, target) => target && button(text, label, () => view.jump(target));
  const links = (entries) => entries.slice(0, 12).map((entry) =>
    goes(shortName(entry), `${shortName(entry)}: go there`, entry))
    .concat(entries.length > 12 ? [make("span", {}, `and ${entries.length - 12} more`)] : []);

  const lineOf = (number) => {
    const line = number && root.querySelector(`.fk-user .fk-l[data-l="${number}"]`);
    const text = line && line.textContent.slice(line.querySelector(".fk-no").textContent.length).trim();
    return line && goes(`${number}: ${text}`, `${number}: ${text} (your line: go there)`, line);
  };
  const kernelOf = (g) => {
    const source = root.querySelector(`.fk-src[data-g="${g}"]`);
    const line = source && all(source, ".fk-l").find((e) => e.dataset.v) || source?.querySelector(".fk-l");
    const symbol = graph.entries.get(`g${g}`)?.span.title;
    return line && goes(symbol, `${symbol}: go to its source`, line);
  };
  const ledgerOf = (value) => {
    const row = root.querySelector(`.fk-ledger tr[data-v="${value}"]`);
    if (!row) return null;
    const [name, , eager, fused] = [...row.cells].map((cell) => cell.textContent);
    return goes(`${name}: ${eager} eager, ${fused} fused`,
      `${name}: ${eager} eager, ${fused} fused (go to the ledger)`, row);
  };
  const reason = (add, entry, row) => {
    if (!row) { add("not fused", tailOf(entry)); return; }
    const [, code, why, , change] = [...row.cells].map(textOf);
    const hint = row.querySelector("td > .fk-note")?.textContent ?? change;
    add("not fused", make("b", { class: "fk-id" }, code), make("span", {}, why));
    if (hint && !/^no(ne)? /.test(hint)) add("what to do", hint);
    add("more", make("code", {}, `fusekit why ${code}`));
  };
  const tooltip = (element) =>
    (element?.querySelector(":scope > title")?.textContent ?? "").split("\n").filter(Boolean);
  // What a node's tooltip knows beyond what the card says anyway: its first line is the operator.
  const rest = (element, type) => tooltip(element).slice(1)
    .filter((part) => part !== type && !/^FK\d+:|^[^ ]*:\d+$/.test(part));

  const node = (add, entry, element) => {
    const { g, l, d, v } = entry.span.dataset;
    const [, type, ...more] = headOf(entry);
    const size = more.find((part) => /^[\d.]+ \w*B$/.test(part));
    const place = more.find((part) => part.startsWith("operator "))?.replace(/ in .*/, "");
    const known = rest(element, type);
    add("operator", entry.span.title);
    const said = known.some((part) => part.startsWith(type)) ? [] : [type, size];
    add("tensor", [...said, ...known].filter(Boolean).join(" · "));
    add("your line", lineOf(l));
    if (g) add("group", ...links([graph.entries.get(`g${g}`)].filter(Boolean)), place);
    add("kernel", g && kernelOf(g));
    add("reads", ...links(entry.reads));
    add("read by", ...links(entry.readers));
    if (d) reason(add, entry, declined[d]);
    add("memory", ledgerOf(v));
  };
  const group = (add, entry) => {
    add("size", headOf(entry).slice(1).join(", "));
    add("traffic", tailOf(entry));
    add("kernel", kernelOf(entry.key.slice(1)));
    add("operators", ...links(entry.below));
    add("reads from", ...links(entry.reads));
    add("read by", ...links(entry.readers));
  };
  const seam = (add, entry) => {
    add("from", ...links(entry.reads));
    add("to", ...links(entry.readers));
    const row = seams[entry.key.slice(1)];
    reason(add, entry, row);
    add("price", row?.cells[3].textContent);
    add("memory", ledgerOf(entry.value));
  };
  const edge = (add, element) => {
    const [from, to] = element.dataset.e.split(" ").map((key) => graph.of(graph.nodes(key)[0]));
    const inside = from && to && stepOf(from).kind === "group" && stepOf(from) === stepOf(to);
    add("tensor", tooltip(element).join(" · "));
    add("goes", inside ? `inside the kernel of ${shortName(stepOf(from))}: never to memory` : "through memory");
    add("written by", from && links([from])[0]);
    add("read by", ...links(from ? from.readers : [to].filter(Boolean)));
    add("memory", ledgerOf(element.dataset.v));
    return `${from ? shortName(from) : "?"} to ${to ? shortName(to) : "?"}`;
  };

  const draw = () => {
    const element = view.pinned;
    const entry = graph.of(element);
    const plain = element?.matches(".fk-edge:not(.fk-seam)");
    card.hidden = !(entry && entry.kind !== "mark") && !plain;
    if (card.hidden) return;
    const { list, add } = facts();
    const kinds = { group, seam };
    const title = plain ? edge(add, element) : shortName(entry).replace(/^(input|output|number) /, "");
    if (!plain) (kinds[entry.kind] ?? node)(add, entry, graph.shown(entry)[0]);
    const head = make("div", { class: "fk-about-top" });
    const kind = plain ? "edge" : { op: "fused operator", opaque: "left to PyTorch", scalar: "number" }[entry.kind] ?? entry.kind;
    head.append(make("strong", {}, title), make("span", { class: "fk-chip" }, kind),
      button("×", "Let go (Escape)", () => { view.pin(null); view.stage().focus({ preventScroll: true }); }));
    card.replaceChildren(head, list);
    quiet(card);
  };
  root.addEventListener("fk-pin", ({ detail }) =>
    steady((detail ?? document.activeElement).closest(".fk-pane,.fk-scroll,.fk-outline,.fk-panel"), draw));

  // A thin line is hard to hit: a wide one lies over it, unseen.
  const widen = () => all(root, ".fk-edge > path:only-of-type").forEach((path) => {
    const wide = path.cloneNode();
    wide.setAttribute("class", "fk-wide");
    path.after(wide);
  });
  widen();
  root.addEventListener("fk-drawn", widen);
});
