// What stands for the same thing is marked together: nodes, lines, rows, sentences.

const words = (element, name) => (element.dataset[name] ?? "").split(" ").filter(Boolean);
// What stands for a whole group, and what only says things.
const WHOLE = '.fk-cluster,.fk-groups tr,.fk-k-group,.fk-o[data-k="group"]';
const OWN = ".fk-status,.fk-said-walk,.fk-about,.fk-find";

// The elements by what they stand for: v values, l lines alone, g whole groups, m members of a
// group, at those of a line that have values. Looked up anew when there are other elements.
function indexed(root) {
  let index = null;
  const other = (record) => !record.target.closest?.(OWN);
  new MutationObserver((records) => { if (records.some(other)) index = null; })
    .observe(root, { childList: true, subtree: true });
  root.addEventListener("fk-drawn", () => { index = null; });
  const put = (map, key, element) => {
    if (!map.has(key)) map.set(key, []);
    map.get(key).push(element);
  };
  const build = () => {
    const found = { v: new Map(), l: new Map(), g: new Map(), m: new Map(), at: new Map() };
    all(root, "[data-v],[data-l],[data-g]").filter((e) => !e.matches(".fk-src")).forEach((element) => {
      const { l, g } = element.dataset;
      const values = words(element, "v");
      if (element.matches(WHOLE)) put(found.g, g, element);
      if (g && values.length) put(found.m, g, element);
      values.forEach((value) => put(found.v, value, element));
      if (l) put(values.length ? found.at : found.l, l, element);
    });
    return found;
  };
  return () => (index ??= build());
}

// What an element stands for: values, the user's lines, and a group if it is one.
function meaning(index, element) {
  const { l, g } = element.dataset;
  const whole = element.matches(WHOLE);
  const [map, key] = whole ? [index.m, g] : [index.at, l];
  const values = !whole && element.dataset.v ? words(element, "v")
    : (map.get(key) ?? []).flatMap((e) => words(e, "v"));
  const lines = new Set(values.flatMap((v) => index.v.get(v) ?? []).map((e) => e.dataset.l).filter(Boolean));
  if (l && !element.dataset.v) lines.add(l);
  return { values: new Set(values), lines, group: whole ? g : null };
}

// Everything that stands for the same, in the order of the page.
function partners(index, what) {
  const found = new Set([
    ...[...what.values].flatMap((value) => index.v.get(value) ?? []).filter((e) =>
      what.group === null || !e.matches(WHOLE)),
    ...[...what.lines].flatMap((line) => index.l.get(line) ?? []),
    ...(index.g.get(what.group) ?? []),
  ]);
  const after = (a, b) => (a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1);
  return [...found].sort(after);
}

function describe(found) {
  const names = (selector, part) => [...new Set(found.filter((e) => e.matches(selector))
    .map((e) => (part ? e.querySelector(part) ?? e : e).textContent.trim()))];
  const user = found.filter((e) => e.matches(".fk-user .fk-l")).map((e) => e.dataset.l);
  const kernel = found.filter((e) => e.matches(".fk-generated .fk-l"));
  const bytes = found.filter((e) => e.matches(".fk-ledger tr")).map((row) =>
    `${row.cells[0].textContent}: ${row.cells[2].textContent} eager, ${row.cells[3].textContent} fused`);
  const nodes = names(".fk-node", "text");
  return [
    nodes.slice(0, 6).join(", ") + (nodes.length > 6 ? ` and ${nodes.length - 6} more` : ""),
    user.length ? `line ${user.join(", ")}` : "",
    kernel.length ? `${kernel.length} generated line${kernel.length > 1 ? "s" : ""}` : "",
    bytes.slice(0, 2).join("; ") + (bytes.length > 2 ? ` and ${bytes.length - 2} more tensors` : ""),
  ].filter(Boolean).join(" · ");
}

const PANE = "pre,.fk-canvas";

// Scrolls inside a pane, never the page: into its middle unless it is in sight.
function reveal(element) {
  const pane = element.closest(`${PANE},.fk-scroll`);
  if (!pane || !pane.clientHeight) return;
  const [inner, outer] = [element.getBoundingClientRect(), pane.getBoundingClientRect()];
  const shift = (from, to, low, high) => (from < low || to > high ? (from + to - low - high) / 2 : 0);
  pane.scrollTop += shift(inner.top, inner.bottom, outer.top, outer.bottom);
  // A line of code is wider than its pane, and begins at the left.
  if (pane.matches(".fk-canvas")) pane.scrollLeft += shift(inner.left, inner.right, outer.left, outer.right);
}

// What is clicked stays where it is, although something above it comes or goes.
function steady(element, act) {
  let pane = element?.parentElement;
  while (pane && !(pane.scrollHeight > pane.clientHeight && /auto|scroll/.test(getComputedStyle(pane).overflowY))) {
    pane = pane.parentElement;
  }
  pane ??= document.scrollingElement;
  const top = () => element?.getBoundingClientRect().top ?? 0;
  const [before, anchor] = [top(), pane.style.overflowAnchor];
  // Or the browser would do it once more.
  pane.style.overflowAnchor = "none";
  act();
  pane.scrollTop += top() - before;
  requestAnimationFrame(() => { pane.style.overflowAnchor = anchor; });
}

const LINKED = ".fk-node,.fk-badge,.fk-edge,.fk-cluster,.fk-l,.fk-o,tr[data-v],tr[data-l],tr[data-g]";
const NO_LINK = "no link: nothing else stands for this";

function linking(view) {
  const { root, say } = view;
  const index = view.index = indexed(root);
  const mark = (name, found) => {
    all(root, `.${name}`).forEach((element) => element.classList.remove(name));
    found.forEach((element) => element.classList.add(name));
    root.dispatchEvent(new CustomEvent("fk-marks"));
  };
  let described = null;
  // Nothing when it stands alone.
  const find = (element) => {
    const found = element ? partners(index(), meaning(index(), element)) : [];
    return found.some((other) => other !== element) ? found : [];
  };
  const show = (element, loud) => {
    const found = find(element);
    mark("fk-hi", found);
    const alone = element?.matches(".fk-l") ? NO_LINK : HINT;
    say(found.length ? describe(found) : described ?? alone, loud);
  };
  const pin = (element, loud = true) => {
    const found = find(element);
    view.pinned = found.length ? element : null;
    described = found.length ? describe(found) : null;
    root.dataset.fkPinned = found.length ? [...meaning(index(), element).values].join(" ") : "";
    mark("fk-pin", found);
    say(described ?? (element ? NO_LINK : HINT), loud);
    root.dispatchEvent(new CustomEvent("fk-pin", { detail: element }));
    if (found.length) openTab(found);
    steady(element, () => found.filter((e) => e.matches(".fk-groups tr")).forEach(unfold));
    all(root, PANE).filter((pane) => !pane.contains(element)).forEach((pane) => {
      const here = found.filter((item) => pane.contains(item));
      if (here.length) reveal(here[here.length >> 1]);
    });
  };
  root.addEventListener("fk-drawn", () => mark("fk-pin", find(view.pinned)));
  const of = (event) => event.target.closest?.(LINKED);
  // Not when it is the page that moved, under a mouse that rests.
  let place = "";
  const moved = ({ clientX, clientY }) => place !== (place = `${clientX} ${clientY}`);
  root.addEventListener("pointerover", (event) => { if (moved(event)) show(of(event), false); });
  root.addEventListener("pointermove", moved);
  root.addEventListener("pointerleave", () => show(null, false));
  root.addEventListener("focusin", (event) => { if (of(event)) show(of(event), true); });
  root.addEventListener("focusout", () => show(null, false));
  root.addEventListener("click", (event) => {
    const element = of(event);
    if (element) pin(element);
    else if (event.target.closest(".fk-canvas")) pin(null);
  });
  Object.assign(view, { pin, find, mark });
}

// The kernel of a pinned value comes to the front, in the language that is open.
function openTab(found) {
  const tabs = [...new Set(found.map((e) => e.closest(".fk-tabbed .fk-src")).filter(Boolean))];
  if (!tabs.length || tabs.some((tab) => !tab.hidden)) return;
  const front = tabs[0].parentElement.querySelector(".fk-src:not([hidden])");
  const language = (tab) => tab.querySelector("summary").textContent.split(" · ").pop();
  (tabs.find((tab) => front && language(tab) === language(front)) ?? tabs[0]).fkShow();
}

const HINT = "Point at a node, a line or a tensor to see its partners; click to pin; ? lists the keys.";

features.push((view) => {
  const status = make("div", { class: "fk-status", "aria-live": "off" }, HINT);
  view.root.append(status);
  // What a mouse passes over is for eyes alone.
  view.say = (text, loud = true) => {
    status.setAttribute("aria-live", loud ? "polite" : "off");
    status.textContent = text;
  };
  linking(view);
});
