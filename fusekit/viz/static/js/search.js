// Finding: by name, operator, dtype, shape, code and line, in the graph, the code and the tables.

const FINDABLE = [
  ["node", '.fk-o:is([data-k="op"],[data-k="opaque"],[data-k="input"],[data-k="scalar"],[data-k="output"])'],
  ["group", '.fk-o[data-k="group"]'],
  ["seam", '.fk-o[data-k="seam"]'],
  ["your line", ".fk-user .fk-l"],
  ["kernel line", ".fk-generated .fk-l"],
  ["tensor", ".fk-ledger tbody tr"],
  ["reason", ".fk-declined tbody tr"],
];

// What of an element is searched: of a sentence, not the names of others in it, but the codes.
function searched(element) {
  const text = element.textContent;
  if (!element.matches(".fk-o")) return text.toLowerCase();
  const own = element.dataset.k === "seam" ? text : text.split(": ")[0];
  return [own, element.title, ...(text.match(/\bFK\d+/g) ?? [])].join(" ").toLowerCase();
}

features.push((view) => {
  const { root, graph } = view;
  const field = make("input", { type: "search", placeholder: "find ( / )", "aria-label": "find in this view",
    "aria-keyshortcuts": "/" });
  const box = make("div", { class: "fk-find", role: "search" });
  const said = make("span", { class: "fk-found-said", role: "status" });
  const chips = make("span", { class: "fk-chips" });
  const [found, steps] = [make("div", { class: "fk-find-row" }), make("span", { class: "fk-find-steps" })];
  let [items, matches, current, only, before] = [null, [], -1, "", null];

  const collect = () => FINDABLE.flatMap(([kind, selector]) =>
    all(root, selector).map((element) => ({ kind, element, text: searched(element) })));
  const chosen = () => (only ? matches.filter((match) => match.kind === only) : matches);
  const drawn = ({ element }) => [element, ...(element.matches(".fk-o") ? graph.shown(graph.of(element)) : [])];
  const count = (kind) => matches.filter((match) => match.kind === kind).length;
  const named = (kind, n) => `${n} ${kind}${n === 1 ? "" : "s"}`;

  const show = () => {
    view.mark("fk-found", chosen().flatMap(drawn));
    view.mark("fk-found-at", []);
    found.hidden = !field.value.trim();
    const kinds = FINDABLE.map(([kind]) => [kind, count(kind)]).filter(([, n]) => n);
    chips.replaceChildren(...(kinds.length > 1 ? kinds : []).map(([kind, n]) => {
      const chip = button(named(kind, n), `${named(kind, n)}: only these`, () => {
        only = only === kind ? "" : kind;
        current = -1;
        show();
      });
      chip.setAttribute("aria-pressed", String(only === kind));
      return chip;
    }));
    quiet(chips);
    steps.hidden = !matches.length;
    said.textContent = found.hidden ? "" : !matches.length ? "no match"
      : kinds.length > 1 ? named("match", chosen().length).replace("matchs", "matches") : named(kinds[0][0], kinds[0][1]);
  };
  const find = () => {
    items ??= collect();
    const parts = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    matches = parts.length ? items.filter(({ text }) => parts.every((part) => text.includes(part))) : [];
    [current, only] = [-1, ""];
    show();
  };
  const go = (step) => {
    const list = chosen();
    if (!list.length) { said.textContent = field.value.trim() ? "no match" : ""; return; }
    current = (current + step + list.length + (current < 0 && step < 0 ? 1 : 0)) % list.length;
    const match = list[current];
    const elements = drawn(match);
    const target = elements[1] ?? elements[0];
    if (!elements[1]) unfold(elements[0]);
    if (match.kind === "group") all(root, `.fk-groups tr[data-g="${elements[0].dataset.g}"]`).forEach(unfold);
    view.mark("fk-found-at", elements);
    target.scrollIntoView({ block: "nearest" });
    reveal(target);
    const text = match.element.matches(".fk-o") ? match.element.textContent
      : match.element.querySelector("th")?.textContent ?? match.element.textContent.trim().replace(/\s+/g, " ");
    said.textContent = `${current + 1} of ${list.length}, ${match.kind}: ${text}`;
    if (match.element.matches(".fk-o")) view.at = graph.of(match.element);
  };
  const end = () => {
    field.value = "";
    find();
    (before && root.contains(before) ? before : field).focus({ preventScroll: true });
  };

  view.search = { text: () => field.value, find: (text) => { [items, field.value] = [null, text]; find(); } };
  field.addEventListener("input", find);
  field.addEventListener("focus", (event) => {
    items = null;
    if (root.contains(event.relatedTarget) && !box.contains(event.relatedTarget)) before = event.relatedTarget;
  });
  const heard = (event) => {
    if (event.key === "Escape") end();
    else if (event.key === "Enter" && event.target === field) go(event.shiftKey ? -1 : 1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  [field, box].forEach((element) => element.addEventListener("keydown", heard));
  root.addEventListener("keydown", (event) => {
    if (event.key !== "/" || typing(event)) return;
    event.preventDefault();
    event.stopPropagation();
    field.focus();
    field.select();
  });
  steps.append(button("↑", "Previous match (Shift+Enter)", () => go(-1)),
    button("↓", "Next match (Enter)", () => go(1)));
  found.append(said, steps, chips);
  found.hidden = true;
  root.addEventListener("fk-drawn", () => { if (matches.length) view.mark("fk-found", chosen().flatMap(drawn)); });
  box.append(found);
  root.querySelector(".fk-tools")?.prepend(field);
  root.querySelector(".fk-top")?.after(box);
});
