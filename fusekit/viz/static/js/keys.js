// Keys: arrows inside a list or the graph, Enter pins, Escape lets go.

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

// Lines and rows of a container that stand for something.
function keyed(container, pin) {
  [...all(container, "pre"), ...all(container, ".fk-table tbody")]
    .map((list) => all(list, ".fk-l[data-v],.fk-l[data-l],tr[data-v],tr[data-l],tr[data-g]"))
    .filter((items) => items.length)
    .forEach((items) => roving(items, inList(items), pin));
}

features.push((view) => {
  const { root, svg, pin } = view;
  view.keyed = (container) => keyed(container, pin);
  view.keyed(root);
  if (!svg) return;
  const walkable = () => all(root, ".fk-svg").forEach((each) => {
    const nodes = all(each, ".fk-node");
    nodes.forEach((node) => {
      node.setAttribute("role", "img");
      node.setAttribute("aria-label", node.querySelector("title").textContent.replaceAll("\n", ", "));
    });
    if (nodes.some((node) => !node.hasAttribute("tabindex"))) roving(nodes, inGraph(nodes), pin);
  });
  walkable();
  root.addEventListener("fk-drawn", walkable);
});
