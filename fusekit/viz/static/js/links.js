// What stands for the same thing is marked together: nodes, lines, rows.

const words = (element, name) => (element.dataset[name] ?? "").split(" ").filter(Boolean);

// What an element stands for: values, the user's lines, and a group if it is one.
function meaning(root, element) {
  const nodes = all(root, ".fk-node");
  if (element.matches(".fk-cluster,.fk-groups tr")) {
    const members = nodes.filter((node) => node.dataset.g === element.dataset.g);
    return { ...span(members, members.flatMap((n) => words(n, "v"))), group: element.dataset.g };
  }
  if (element.dataset.v) {
    const values = words(element, "v");
    return span(nodes.filter((node) => words(node, "v").some((v) => values.includes(v))), values);
  }
  const here = nodes.filter((node) => node.dataset.l === element.dataset.l);
  const found = span(here, here.flatMap((node) => words(node, "v")));
  if (element.dataset.l) found.lines.add(element.dataset.l);
  return found;
}

function span(nodes, values) {
  return { values: new Set(values), lines: new Set(nodes.map((n) => n.dataset.l).filter(Boolean)) };
}

function partners(root, what) {
  return all(root, "[data-v],[data-l],[data-g]").filter((element) => {
    if (element.matches(".fk-cluster,.fk-groups tr")) return element.dataset.g === what.group;
    if (element.matches(".fk-src")) return false;
    if (element.dataset.v) return words(element, "v").some((value) => what.values.has(value));
    return what.lines.has(element.dataset.l);
  });
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

// Scrolls inside a pane, never the page.
function reveal(element) {
  const pane = element.closest("pre,.fk-canvas,.fk-scroll");
  if (!pane) return;
  const [inner, outer] = [element.getBoundingClientRect(), pane.getBoundingClientRect()];
  if (inner.top < outer.top) pane.scrollTop += inner.top - outer.top - 24;
  if (inner.bottom > outer.bottom) pane.scrollTop += inner.bottom - outer.bottom + 24;
}

const LINKED = ".fk-node,.fk-badge,.fk-seam,.fk-cluster,.fk-l,tr[data-v],tr[data-l],tr[data-g]";

function linking(view) {
  const { root, say } = view;
  const mark = (name, found) => {
    all(root, `.${name}`).forEach((element) => element.classList.remove(name));
    found.forEach((element) => element.classList.add(name));
  };
  let pinned = null;
  const show = (element) => {
    const found = element ? partners(root, meaning(root, element)) : [];
    mark("fk-hi", found);
    say(found.length ? describe(found) : pinned ? describe(pinned) : HINT);
    return found;
  };
  const pin = (element) => {
    const what = element ? meaning(root, element) : { values: new Set() };
    const found = element ? partners(root, what) : [];
    pinned = found.length ? found : null;
    root.dataset.fkPinned = [...what.values].join(" ");
    root.dispatchEvent(new CustomEvent("fk-pin"));
    mark("fk-pin", found);
    say(found.length ? describe(found) : element ? "no link: nothing else stands for this" : HINT);
    if (found.length) openTab(found);
    ["pre", ".fk-canvas"].flatMap((pane) => all(root, pane)).forEach((pane) => {
      const first = found.find((item) => pane.contains(item) && !item.contains(element));
      if (first && !pane.contains(element)) reveal(first);
    });
  };
  const of = (event) => event.target.closest?.(LINKED);
  root.addEventListener("pointerover", (event) => show(of(event)));
  root.addEventListener("pointerleave", () => show(null));
  root.addEventListener("focusin", (event) => { if (of(event)) show(of(event)); });
  root.addEventListener("focusout", () => show(null));
  root.addEventListener("click", (event) => {
    const element = of(event);
    if (element) pin(element);
    else if (event.target.closest(".fk-canvas")) pin(null);
  });
  view.pin = pin;
}

// The kernel of a pinned value comes to the front, in the language that is open.
function openTab(found) {
  const tabs = [...new Set(found.map((e) => e.closest(".fk-tabbed .fk-src")).filter(Boolean))];
  if (!tabs.length || tabs.some((tab) => !tab.hidden)) return;
  const front = tabs[0].parentElement.querySelector(".fk-src:not([hidden])");
  const language = (tab) => tab.querySelector("summary").textContent.split(" · ").pop();
  (tabs.find((tab) => front && language(tab) === language(front)) ?? tabs[0]).fkShow();
}

const HINT = "Point at a node, a line or a tensor to see its partners; click to pin.";

features.push((view) => {
  const status = make("div", { class: "fk-status", "aria-live": "polite" }, HINT);
  view.root.append(status);
  view.say = (text) => { status.textContent = text; };
  linking(view);
});
