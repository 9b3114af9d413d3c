// Brings a static view to life: links, keys, tabs, zoom, copying, theme. Everything that it needs
// is in the page's own elements: data-v (values), data-l (a user's line), data-g (a group).
// It may stand in a page many times; each view is hydrated once, and nothing leaves the view.
const all = (root, selector) => [...root.querySelectorAll(selector)];

function make(tag, attributes = {}, text = "") {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

function button(text, label, act) {
  const element = make("button", { type: "button", title: label, "aria-label": label }, text);
  element.addEventListener("click", (event) => { event.stopPropagation(); act(element); });
  return element;
}

// ---- the picture becomes part of the page ------------------------------------------

function inlinePicture(root) {
  const image = root.querySelector("img.fk-img");
  if (!image) return null;
  const bytes = Uint8Array.from(atob(image.getAttribute("src").split(",")[1]), (c) => c.charCodeAt(0));
  const text = new TextDecoder().decode(bytes);
  const parsed = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  if (parsed.nodeName !== "svg") return null;
  // The page's style sheet serves it now; its own would reach beyond this view.
  all(parsed, "style").forEach((style) => style.remove());
  parsed.querySelector(":scope > title")?.remove();
  const svg = document.importNode(parsed, true);
  svg.setAttribute("role", "application");
  svg.setAttribute("aria-label", `${image.alt} Arrow keys walk, Enter pins, F goes to the next seam.`);
  const canvas = make("div", { class: "fk-canvas" });
  canvas.append(svg);
  image.replaceWith(canvas);
  zooming(root, canvas, svg);
  return svg;
}

function zooming(root, canvas, svg) {
  const [width, height] = [svg.viewBox.baseVal.width, svg.viewBox.baseVal.height];
  let scale = 1;
  const apply = (next) => {
    scale = Math.min(4, Math.max(0.2, next));
    svg.setAttribute("width", width * scale);
    svg.setAttribute("height", height * scale);
  };
  // A picture that would shrink below legible letters scrolls instead.
  const fit = (least) => {
    const room = Math.min((canvas.clientWidth - 2) / width, 640 / height);
    if (canvas.clientWidth) apply(Math.min(1, Math.max(least, room)));
  };
  const bar = make("div", { class: "fk-zoom" });
  bar.append(button("−", "Zoom out", () => apply(scale / 1.25)),
             button("+", "Zoom in", () => apply(scale * 1.25)),
             button("fit", "Fit the whole graph", () => fit(0.2)));
  canvas.before(bar);
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.shiftKey) return;
    event.preventDefault();
    apply(scale * (event.deltaY + event.deltaX < 0 ? 1.1 : 1 / 1.1));
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button || event.target.closest(".fk-node,.fk-badge")) return;
    const from = [event.clientX + canvas.scrollLeft, event.clientY + canvas.scrollTop];
    const move = (e) => canvas.scrollTo(from[0] - e.clientX, from[1] - e.clientY);
    const stop = () => {
      canvas.classList.remove("fk-drag");
      removeEventListener("pointermove", move);
    };
    canvas.classList.add("fk-drag");
    addEventListener("pointermove", move);
    addEventListener("pointerup", stop, { once: true });
  });
  fit(0.7);
  canvas.title = "Drag to move; Ctrl or Shift and the wheel to zoom";
  // A folded or hidden view has no width yet.
  new ResizeObserver((_, watch) => { if (canvas.clientWidth) { fit(0.7); watch.disconnect(); } }).observe(canvas);
}

// ---- links -------------------------------------------------------------------------

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
  const pane = element.closest("pre,.fk-canvas");
  if (!pane) return;
  const [inner, outer] = [element.getBoundingClientRect(), pane.getBoundingClientRect()];
  if (inner.top < outer.top) pane.scrollTop += inner.top - outer.top - 24;
  if (inner.bottom > outer.bottom) pane.scrollTop += inner.bottom - outer.bottom + 24;
}

const LINKED = ".fk-node,.fk-badge,.fk-seam,.fk-cluster,.fk-l,tr[data-v],tr[data-l],tr[data-g]";

function linking(root, status) {
  const mark = (name, found) => {
    all(root, `.${name}`).forEach((element) => element.classList.remove(name));
    found.forEach((element) => element.classList.add(name));
  };
  const hint = status.textContent;
  let pinned = null;
  const show = (element) => {
    const found = element ? partners(root, meaning(root, element)) : [];
    mark("fk-hi", found);
    status.textContent = found.length ? describe(found) : pinned ? describe(pinned) : hint;
    return found;
  };
  const pin = (element) => {
    const found = element ? partners(root, meaning(root, element)) : [];
    pinned = found.length ? found : null;
    mark("fk-pin", found);
    status.textContent = found.length ? describe(found) : element ? "no link: nothing else stands for this" : hint;
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
  return { pin };
}

// The kernel of a pinned value comes to the front, in the language that is open.
function openTab(found) {
  const tabs = [...new Set(found.map((e) => e.closest(".fk-tabbed .fk-src")).filter(Boolean))];
  if (!tabs.length || tabs.some((tab) => !tab.hidden)) return;
  const front = tabs[0].parentElement.querySelector(".fk-src:not([hidden])");
  const language = (tab) => tab.querySelector("summary").textContent.split(" · ").pop();
  (tabs.find((tab) => front && language(tab) === language(front)) ?? tabs[0]).fkShow();
}

// ---- keys --------------------------------------------------------------------------

// One stop for the Tab key in each list; arrows move inside it.
function roving(items, next, pin) {
  const focus = (item) => {
    items.forEach((other) => other.setAttribute("tabindex", other === item ? "0" : "-1"));
    item.focus({ preventScroll: true });
    reveal(item);
  };
  items.forEach((item, index) => {
    item.setAttribute("tabindex", index ? "-1" : "0");
    item.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const target = next(item, event.key);
      if (target) focus(target);
      else if (event.key === "Enter" || event.key === " ") pin(item);
      else if (event.key === "Escape") pin(null);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
  });
}

function inList(items) {
  return (item, key) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[key];
    if (key === "Home") return items[0];
    if (key === "End") return items.at(-1);
    return step && items[items.indexOf(item) + step];
  };
}

const AXES = { ArrowDown: [0, 1], ArrowUp: [0, -1], ArrowRight: [1, 0], ArrowLeft: [-1, 0] };

// Arrows go to the nearest node in their direction; F to the next one that was not fused.
function inGraph(items) {
  const middle = (item) => {
    const box = item.getBBox();
    return [box.x + box.width / 2, box.y + box.height / 2];
  };
  return (item, key) => {
    const at = items.indexOf(item);
    if (key === "Home") return items[0];
    if (key === "End") return items.at(-1);
    if (key === "f" || key === "F") {
      return [...items.slice(at + 1), ...items.slice(0, at)].find((i) => i.matches(".fk-k-opaque"));
    }
    const axis = AXES[key];
    if (!axis) return undefined;
    const [x, y] = middle(item);
    const scored = items.map((other) => {
      const [dx, dy] = [middle(other)[0] - x, middle(other)[1] - y];
      const along = dx * axis[0] + dy * axis[1];
      const aside = Math.abs(dx * axis[1]) + Math.abs(dy * axis[0]);
      return { other, along, cost: along + 2 * aside };
    }).filter((entry) => entry.along > 4);
    return scored.sort((a, b) => a.cost - b.cost)[0]?.other;
  };
}

function keys(root, svg, pin) {
  const lists = [...all(root, "pre"), ...all(root, ".fk-table tbody")]
    .map((list) => all(list, ".fk-l[data-v],.fk-l[data-l],tr[data-v],tr[data-l],tr[data-g]"));
  lists.filter((items) => items.length).forEach((items) => roving(items, inList(items), pin));
  if (!svg) return;
  const nodes = all(svg, ".fk-node");
  nodes.forEach((node) => {
    node.setAttribute("role", "img");
    node.setAttribute("aria-label", node.querySelector("title").textContent.replaceAll("\n", ", "));
  });
  roving(nodes, inGraph(nodes), pin);
}

// ---- tabs, copying, theme ----------------------------------------------------------

function tabs(pane) {
  const sources = all(pane, ".fk-src");
  if (!sources.length) return;
  const bar = make("div", { class: "fk-bar-top" });
  const list = make("div", { class: "fk-tabs", role: "tablist", "aria-label": "generated sources" });
  sources.forEach((source, index) => {
    source.open = true;
    const tab = button(source.querySelector("summary").textContent, "", () => source.fkShow());
    ["title", "aria-label"].forEach((name) => tab.removeAttribute(name));
    tab.setAttribute("role", "tab");
    source.fkShow = () => sources.forEach((other, at) => {
      other.hidden = at !== index;
      list.children[at].setAttribute("aria-selected", String(at === index));
    });
    list.append(tab);
  });
  bar.append(list, copyButton(() => sources.find((source) => !source.hidden).querySelector("pre")));
  pane.prepend(bar);
  pane.classList.add("fk-tabbed");
  sources[0].fkShow();
}

function copyButton(find) {
  const element = button("copy", "Copy this text", async () => {
    const text = all(find(), ".fk-l").map((line) => {
      const copy = line.cloneNode(true);
      copy.querySelector(".fk-no")?.remove();
      return copy.textContent;
    }).join("");
    try {
      await navigator.clipboard.writeText(text);
      element.textContent = "copied";
    } catch {
      element.textContent = "not allowed here";
    }
    setTimeout(() => { element.textContent = "copy"; }, 1200);
  });
  element.classList.add("fk-copy");
  return element;
}

function themeButton(root) {
  const dark = () => getComputedStyle(root).colorScheme === "dark" ||
    (getComputedStyle(root).colorScheme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  return button("theme", "Switch between light and dark", () => {
    root.dataset.fkTheme = dark() ? "light" : "dark";
  });
}

// ---- all of it, once ---------------------------------------------------------------

// Or a key typed here would be a command of the notebook. JupyterLab looks at the focused element
// before its parents, so each one has to say it.
function quiet(root) {
  [root, ...all(root, "[tabindex],button,summary,input,select,pre,.fk-canvas")]
    .forEach((element) => element.setAttribute("data-lm-suppress-shortcuts", "true"));
}

function hydrate(root) {
  if (root.dataset.fkReady) return;
  root.dataset.fkReady = "1";
  const svg = inlinePicture(root);
  const status = make("div", { class: "fk-status", "aria-live": "polite" },
    "Point at a node, a line or a tensor to see its partners; click to pin.");
  root.append(status);
  all(root, ".fk-generated").forEach(tabs);
  const title = root.querySelector(".fk-user .fk-pane-title");
  title?.append(copyButton(() => root.querySelector(".fk-user pre")));
  const { pin } = linking(root, status);
  keys(root, svg, pin);
  const tools = make("div", { class: "fk-tools" });
  tools.append(themeButton(root));
  root.querySelector(".fk-top")?.append(tools);
  quiet(root);
}

function hydrateAll() {
  for (const root of all(document, ".fk-view:not([data-fk-ready])")) {
    try {
      hydrate(root);
    } catch (error) {
      console.warn("fusekit: the view stays static", error);
    }
  }
}

hydrateAll();
