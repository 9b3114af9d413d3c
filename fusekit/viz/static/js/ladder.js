// The ladder: a slider over the key frames' first one, whose borders move from step to step.

function kernelsAfter(rows, step, names, last) {
  const head = new Map(names.map((name) => [name, name]));
  const find = (name) => { while (head.get(name) !== name) name = head.get(name); return name; };
  const join = ([one, other]) => { if (head.has(one) && head.has(other)) head.set(find(other), find(one)); };
  rows.slice(0, step + 1).flatMap((row) => row.dataset.j.split(",").filter(Boolean))
    .forEach((pair) => join(pair.split(" ")));
  if (step === rows.length - 1) last.forEach(join);
  const numbers = new Map();
  names.forEach((name) => { if (!numbers.has(find(name))) numbers.set(find(name), numbers.size + 1); });
  return (name) => numbers.get(find(name));
}

features.push(({ root }) => {
  const rows = all(root, ".fk-rungs tbody tr");
  const frames = root.querySelector(".fk-frames");
  const frame = frames?.querySelector(".fk-frame");
  if (!frame || !rows.length) return;
  all(frames, ".fk-frame").slice(1).forEach((other) => other.remove());
  const chips = all(frame, "[data-n]");
  const names = chips.map((chip) => chip.dataset.n);
  const first = (chip) => chips.find((other) => other.dataset.g === chip.dataset.g);
  const last = chips.map((chip) => [first(chip).dataset.n, chip.dataset.n]);
  const slider = make("input", { type: "range", min: 0, max: rows.length - 1, step: 1, "aria-label": "step of the ladder" });
  const said = frame.querySelector("p");
  said.setAttribute("aria-live", "polite");
  const show = (step) => {
    const kernel = kernelsAfter(rows, step, names, last);
    const sizes = new Map();
    names.forEach((name) => sizes.set(kernel(name), (sizes.get(kernel(name)) ?? 0) + 1));
    const joined = new Set(rows[step].dataset.j.split(/[ ,]/));
    chips.forEach((chip) => {
      chip.querySelector("b").textContent = kernel(chip.dataset.n);
      chip.classList.toggle("fk-single", sizes.get(kernel(chip.dataset.n)) === 1);
      chip.classList.toggle("fk-joined", joined.has(chip.dataset.n));
    });
    rows.forEach((row, at) => row.classList.toggle("fk-now", at === step));
    const cells = [...rows[step].cells].map((cell) => cell.textContent);
    said.textContent = `step ${step}: ${cells[1]} · ${cells[2]} launches · ${cells[3]}` + (cells[4] ? ` · saves ${cells[4]}` : "");
    slider.setAttribute("aria-valuetext", said.textContent);
  };
  slider.addEventListener("input", () => show(Number(slider.value)));
  rows.forEach((row, at) => row.addEventListener("click", () => { slider.value = at; show(at); }));
  const label = make("label", { class: "fk-slide" }, "step");
  label.append(slider);
  frame.prepend(label);
  slider.value = rows.length - 1;
  show(rows.length - 1);
});
