// The picture becomes part of the page: before fusion, after it, or both; folded or not.

const MARGIN = 8;
const SIDES = { before: "as eager PyTorch runs it: every operator reads and writes memory",
  after: "as it runs fused" };

// One picture: a canvas with an SVG in it, which is drawn anew as folds open and close.
class Canvas {
  constructor(root, image, data, side) {
    this.element = make("div", { class: "fk-canvas", "data-side": side,
      title: "Drag to move; Ctrl or Shift and the wheel to zoom" });
    this.element.innerHTML = '<svg class="fk-svg" role="application"><\/svg>';
    this.svg = this.element.firstChild;
    const keys = "Arrow keys walk, Enter pins, F goes to the next seam.";
    const which = side === "before" ? "Before fusion. " : "";
    this.svg.setAttribute("aria-label", `${which}${image.alt} ${keys}`);
    this.data = data;
    this.state = prepared(data, data[side]);
    this.scale = 1;
    this.drag();
  }

  draw(open) {
    const paint = new Paint(this.data, this.state, open);
    const [width, height] = paint.whole().map((size) => size + 2 * MARGIN);
    Object.assign(this, { width, height });
    this.svg.innerHTML = paint.markup();
    this.svg.setAttribute("viewBox", `${-MARGIN} ${-MARGIN} ${width} ${height}`);
    this.svg.style.margin = "";
    this.zoom(this.scale);
  }

  zoom(next) {
    this.scale = Math.min(4, Math.max(0.1, next));
    this.svg.setAttribute("width", this.width * this.scale);
    this.svg.setAttribute("height", this.height * this.scale);
  }

  // A picture that would shrink below legible letters scrolls instead.
  fit(least) {
    const room = Math.min((this.element.clientWidth - 2) / this.width, 640 / this.height);
    if (!this.element.clientWidth) return;
    this.svg.style.margin = this.element.style.minHeight = "";
    this.zoom(Math.min(1, Math.max(least, room)));
    this.begin();
  }

  // Where it begins is in sight, which need not be a corner.
  begin() {
    const { element } = this;
    const [wide, high] = [this.width / element.clientWidth, this.height / element.clientHeight];
    const side = wide > high ? "left" : "top";
    const nodes = all(this.svg, ".fk-node").map((node) => node.getBoundingClientRect());
    const first = nodes.reduce((one, other) => (other[side] < one[side] ? other : one), nodes[0]);
    if (!first) return;
    const host = element.getBoundingClientRect();
    element.scrollBy(first.left + first.width / 2 - host.left - host.width / 2,
      first.top + first.height / 2 - host.top - host.height / 2);
  }

  head(path) { return all(this.svg, ".fk-fold").find((head) => head.dataset.f === path); }

  // After `change`, the head of a fold is where it was, at the same pixel.
  keep(path, change) {
    const where = () => this.head(path)?.querySelector(".fk-hit").getBoundingClientRect();
    const before = where();
    const { element, svg } = this;
    const height = element.clientHeight;
    change();
    const after = where();
    if (!before || !after || !element.clientWidth) return;
    element.style.minHeight = `${height}px`;
    const [at, host] = [svg, element].map((each) => each.getBoundingClientRect());
    // Space before it, or scrolling, and space after it where there is nothing to scroll.
    const still = (low, size, client, pad) => {
      const wanted = at[low] - host[low] - after[low] + before[low] - pad;
      const [space, scroll] = [Math.max(0, wanted), Math.max(0, -wanted)];
      return [space, scroll, Math.max(0, scroll + element[client] - 2 * pad - space - at[size])];
    };
    const [left, x, right] = still("left", "width", "clientWidth", 0);
    const [top, y, bottom] = still("top", "height", "clientHeight", 6);
    svg.style.margin = `${top}px ${right}px ${bottom}px ${left}px`;
    element.scrollTo(x, y);
  }

  drag() {
    const { element } = this;
    element.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.shiftKey) return;
      event.preventDefault();
      this.zoom(this.scale * (event.deltaY + event.deltaX < 0 ? 1.1 : 1 / 1.1));
    }, { passive: false });
    element.addEventListener("pointerdown", (event) => {
      if (event.button || event.target.closest(".fk-node,.fk-badge,.fk-fold")) return;
      const from = [event.clientX + element.scrollLeft, event.clientY + element.scrollTop];
      const move = (e) => element.scrollTo(from[0] - e.clientX, from[1] - e.clientY);
      const stop = () => {
        element.classList.remove("fk-drag");
        removeEventListener("pointermove", move);
      };
      element.classList.add("fk-drag");
      addEventListener("pointermove", move);
      addEventListener("pointerup", stop, { once: true });
    });
    // A folded or hidden view has no width yet.
    new ResizeObserver((_, watch) => {
      if (element.clientWidth) { this.fit(0.7); watch.disconnect(); }
    }).observe(element);
  }
}

// What was pinned stays pinned in what is drawn anew.
function repin(root, svg) {
  const pinned = new Set((root.dataset.fkPinned ?? "").split(" ").filter(Boolean));
  if (!pinned.size) return;
  all(svg, "[data-v]").filter((element) => element.dataset.v.split(" ").some((v) => pinned.has(v)))
    .forEach((element) => element.classList.add("fk-pin"));
}

function choice(names, label, choose) {
  const group = make("div", { class: "fk-which", role: "group", "aria-label": label });
  group.append(...names.map((name) => button(name, SIDES[name] ?? "both, side by side", () => choose(name))));
  return group;
}

function showPicture(view, image, data) {
  const { root } = view;
  const canvases = {};
  const sides = make("div", { class: "fk-sides" });
  const after = prepared(data, data.after);
  const open = new Set(data.after.flat ? after.paths.values() : []);
  const add = (side) => {
    const made = canvases[side] = new Canvas(root, image, data, side);
    const count = data.launches[Number(side === "after")];
    const box = make("div", { class: `fk-side fk-${side}` });
    const thick = side === "before" ? " · thick wires go through memory" : "";
    const title = make("p", { class: "fk-side-title" }, `${side} fusion: ${count} launch${count === 1 ? "" : "es"}${thick}`);
    box.append(title, made.element);
    sides.append(box);
    if (side === "before" && data.before.flat) made.state.paths.forEach((path) => open.add(path));
    made.draw(open);
    made.svg.addEventListener("click", (event) => act(event, made));
    made.svg.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") act(event, made);
    }, true);
    return made;
  };
  const redraw = (path, first) => {
    const each = Object.values(canvases);
    each.forEach((canvas) => {
      canvas.keep(path, () => canvas.draw(open));
      repin(root, canvas.svg);
    });
    first?.head(path)?.focus({ preventScroll: true });
    quiet(sides);
    root.dispatchEvent(new CustomEvent("fk-drawn"));
  };
  const act = (event, canvas) => {
    const path = event.target.closest(".fk-fold")?.dataset.f;
    if (path === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    if (!open.delete(path)) open.add(path);
    redraw(path, canvas);
  };
  const choose = (name) => {
    if (name !== "after" && !canvases.before) add("before");
    sides.dataset.side = name;
    all(bar, ".fk-which button").forEach((b) => b.setAttribute("aria-pressed", String(b.textContent === name)));
    Object.values(canvases).forEach((canvas) => canvas.fit(0.7));
    quiet(sides);
    root.dispatchEvent(new CustomEvent("fk-drawn"));
  };
  const every = () => Object.values(canvases).flatMap((canvas) => [...canvas.state.paths.values()]);
  const zoom = make("div", { class: "fk-zoom" });
  const each = (what) => () => Object.values(canvases).forEach(what);
  zoom.append(button("−", "Zoom out", each((canvas) => canvas.zoom(canvas.scale / 1.25))),
              button("+", "Zoom in", each((canvas) => canvas.zoom(canvas.scale * 1.25))),
              button("fit", "Fit the whole graph", each((canvas) => canvas.fit(0.1))));
  const bar = make("div", { class: "fk-picture-bar" });
  bar.append(choice(["before", "after", "both"], "which picture", choose));
  if (after.paths.size) {
    const folding = make("div", { class: "fk-folding" });
    folding.append(button("fold all", "Fold all layers, groups and parts", () => { open.clear(); redraw(); }),
      button("unfold all", "Unfold all layers, groups and parts", () => { every().forEach((path) => open.add(path)); redraw(); }));
    bar.append(folding);
  }
  bar.append(zoom);
  image.replaceWith(bar, sides);
  const made = add("after");
  choose("after");
  const first = new Set(open);
  // What is open in it, unless that is what was open at first; and which picture is shown.
  const state = () => ({ side: sides.dataset.side,
    open: open.size === first.size && [...open].every((path) => first.has(path)) ? null : [...open] });
  const restore = ({ side, open: paths }) => {
    const isOther = Array.isArray(paths) || state().open;
    open.clear();
    (Array.isArray(paths) ? paths : first).forEach((path) => open.add(path));
    if (isOther) redraw();
    const wanted = side in SIDES || side === "both" ? side : "after";
    if (wanted !== sides.dataset.side) choose(wanted);
  };
  return { svg: made.svg, state, restore };
}

features.push((view) => {
  const image = view.root.querySelector("img.fk-img");
  const data = image?.closest("[data-fk-picture]")?.dataset.fkPicture;
  view.picture = data ? showPicture(view, image, JSON.parse(data)) : null;
  view.svg = view.picture?.svg ?? null;
});
