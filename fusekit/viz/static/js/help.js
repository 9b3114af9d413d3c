// The list of keys, in the order in which they are needed.

const KEYS = [
  ["In the graph", [
    ["→ ←", "to what reads it, to what it reads"],
    ["↓ ↑", "the next, the one before: in its group, or of several readers"],
    ["Shift + arrow", "the nearest node in that direction of the picture"],
    ["Enter", "into a group; pins a node"],
    ["Space", "pins whatever is there: a node, a group, a seam"],
    ["Backspace", "out of a group"],
    ["I G S O", "to the inputs, groups, seams, outputs"],
    ["F", "the next missed fusion"],
    ["U D B N", "highlights what is upstream, downstream, both, only the neighbours"],
  ]],
  ["In the code and the tables", [
    ["↓ ↑ Home End", "from line to line; partners are marked on the way"],
    ["Enter", "pins the line"],
    ["G", "to the node in the graph"],
  ]],
  ["Everywhere", [
    ["L", "to the partner lines: in the kernel, or from there in your code"],
    ["R", "returns to where you were"],
    ["/", "finds; then Enter and Shift + Enter go from match to match"],
    ["?", "shows and hides this list"],
    ["Escape", "lets go of what is pinned; once more, gives the focus back"],
  ]],
];

features.push((view) => {
  const { root } = view;
  const box = make("div", { class: "fk-help", role: "region", "aria-label": "keys", tabindex: "-1" });
  let before = null;
  KEYS.forEach(([title, keys]) => {
    const part = make("div");
    const list = make("dl");
    keys.forEach(([key, what]) => {
      const name = make("dt");
      name.append(make("kbd", {}, key));
      list.append(name, make("dd", {}, what));
    });
    part.append(make("strong", {}, title), list);
    box.append(part);
  });
  box.hidden = true;
  root.querySelector(".fk-top")?.after(box);
  const opener = button("keys ?", "Show or hide the list of keys", () => toggle());
  const toggle = () => {
    box.hidden = !box.hidden;
    opener.setAttribute("aria-expanded", String(!box.hidden));
    if (!box.hidden) { before = document.activeElement; box.focus(); }
    else (root.contains(before) ? before : opener).focus({ preventScroll: true });
  };
  opener.setAttribute("aria-expanded", "false");
  root.querySelector(".fk-tools")?.prepend(opener);
  root.addEventListener("keydown", (event) => {
    const closes = event.key === "Escape" && box.contains(event.target);
    if (!closes && (event.key !== "?" || typing(event))) return;
    event.preventDefault();
    event.stopPropagation();
    toggle();
  });
});
