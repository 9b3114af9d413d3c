// Shades the user's lines and the picture's boxes by a figure, which stands beside each of them.

const SHADES = {
  nothing: "",
  bytes: "that this line moves through memory",
  instructions: "of the kernels' machine code come from this line",
};
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

// As everywhere in the view: three digits.
function inBytes(count) {
  let [amount, unit] = [count, 0];
  while (amount >= 1023.5 && unit < UNITS.length - 1) [amount, unit] = [amount / 1024, unit + 1];
  return `${amount >= 100 ? Math.round(amount) : Number(amount.toPrecision(3))} ${UNITS[unit]}`;
}

// "3:40 5:7" as a map of numbers.
const figuresOf = (text) => new Map((text ?? "").split(" ").filter(Boolean)
  .map((pair) => pair.split(":").map(Number)));

const hot = (element, share) => {
  element.classList.add("fk-hot");
  element.style.setProperty("--fk-share", share.toFixed(3));
};

function cool(elements) {
  elements.forEach((element) => {
    element.classList.remove("fk-hot");
    element.style.removeProperty("--fk-share");
  });
}

function shadeLines(view, held, counts) {
  const { root } = view;
  const title = root.querySelector(".fk-user .fk-pane-title");
  if (!title) return;
  const figures = { bytes: figuresOf(held.dataset.b), instructions: figuresOf(counts?.dataset.i) };
  const kinds = Object.keys(SHADES).filter((kind) => kind === "nothing" || figures[kind].size);
  if (kinds.length < 2) return;
  const total = Number(counts?.dataset.n);
  const say = { bytes: inBytes, instructions: (n) => `${Math.max(1, Math.round(100 * n / total))} %` };
  const whole = { bytes: inBytes, instructions: (n) => `${n} of ${total}` };
  const draw = () => {
    const kind = root.dataset.fkShade;
    const lines = all(root, ".fk-pane .fk-l[data-l]");
    cool(lines);
    lines.forEach((line) => line.querySelector(".fk-figure")?.remove());
    if (!kind) return;
    const most = Math.max(...figures[kind].values());
    lines.forEach((line) => {
      const found = figures[kind].get(Number(line.dataset.l)) ?? 0;
      const said = found ? `${whole[kind](found)} ${kind === "bytes" ? "" : "instructions "}${SHADES[kind]}` : "";
      const figure = make("span", { class: "fk-figure", ...(said && { title: said }) }, found ? say[kind](found) : "");
      line.querySelector(".fk-no").prepend(figure);
      if (found) hot(line, found / most);
    });
  };
  view.shade = (kind) => {
    if (figures[kind]?.size) root.dataset.fkShade = kind;
    else delete root.dataset.fkShade;
    choice.querySelector("select").value = Math.max(0, kinds.indexOf(kind));
    draw();
  };
  const choice = menu("shade lines by", kinds, 0, (at) => view.shade(kinds[at]));
  title.querySelector(".fk-copy")?.before(choice);
  // Interleaved texts are copies of these lines.
  const { keyed } = view;
  view.keyed = (container) => { keyed(container); if (container.matches?.(".fk-woven")) draw(); };
}

function shadeBoxes(view, held) {
  const { root } = view;
  const bar = root.querySelector(".fk-picture-bar");
  const moved = figuresOf(held.dataset.n);
  if (!bar || !moved.size) return;
  const sum = (node) => words(node, "v").reduce((bytes, value) => bytes + (moved.get(Number(value)) ?? 0), 0);
  const draw = () => {
    all(root, ".fk-node .fk-figure").forEach((figure) => figure.remove());
    cool(all(root, ".fk-node.fk-hot"));
    if (!root.dataset.fkHot) return;
    const nodes = all(root, ".fk-after .fk-node:not(.fk-k-input,.fk-k-output,.fk-k-scalar,.fk-k-tag)");
    const sums = nodes.map(sum);
    const most = Math.max(1, ...sums);
    nodes.forEach((node, at) => {
      if (!sums[at]) return;
      const box = node.querySelector("rect");
      const [x, y, width] = ["x", "y", "width"].map((name) => Number(box.getAttribute(name)));
      const figure = document.createElementNS(node.namespaceURI, "text");
      figure.textContent = inBytes(sums[at]);
      figure.setAttribute("class", "fk-small fk-figure");
      figure.setAttribute("x", x + width - 4);
      figure.setAttribute("y", y - 4);
      hot(node, sums[at] / most);
      node.append(figure);
    });
  };
  const heat = button("shade by bytes", "Shade by bytes: boxes by what they move through memory", () => view.heat(!root.dataset.fkHot));
  view.heat = (isOn) => {
    if (isOn) root.dataset.fkHot = "1";
    else delete root.dataset.fkHot;
    heat.setAttribute("aria-pressed", String(Boolean(isOn)));
    draw();
  };
  view.heat(false);
  root.addEventListener("fk-drawn", draw);
  bar.querySelector(".fk-which").after(heat);
}

features.push((view) => {
  const held = view.root.querySelector(".fk-heat");
  if (!held) return;
  shadeLines(view, held, view.root.querySelector(".fk-counts"));
  shadeBoxes(view, held);
});
