// A quiz becomes a form that scores itself: nothing is sent anywhere.

function choose(label, options) {
  const menu = make("select", { "aria-label": label });
  options.forEach(([value, text]) => menu.append(make("option", { value }, text)));
  return menu;
}

function ask(root, data) {
  const rows = all(root, ".fk-ask tbody tr");
  const most = Math.min(rows.length, 12);
  const numbers = [["", "choose"], ...Array.from({ length: most }, (_, i) => [i + 1, `kernel ${i + 1}`]), [0, "PyTorch"]];
  const kernels = new Map(rows.map((row) => {
    const menu = choose(`kernel of ${row.cells[0].textContent}`, numbers);
    row.querySelector(".fk-pick").replaceChildren(menu);
    return [row.dataset.op, menu];
  }));
  const part = (name) => root.querySelector(`[data-q="${name}"]`);
  const launches = make("input", { type: "number", min: 0, max: 9999, "aria-label": "launches" });
  part("launches").append(launches);
  const ratio = make("input", { type: "range", min: 0, max: 6, step: 0.05, value: 0, "aria-label": "times fewer bytes" });
  const shown = make("output", {}, "1.0×");
  ratio.addEventListener("input", () => {
    shown.textContent = `${(2 ** ratio.value).toFixed(1)}×`;
    ratio.setAttribute("aria-valuetext", `${shown.textContent} fewer`);
    ratio.dataset.said = "1";
  });
  part("ratio").append(ratio, shown);
  const seam = choose("edge that cannot be fused", [["", "choose an edge"],
    ...data.edges.map((edge) => [edge.ends, edge.name]), [data.none, "every edge fuses"]]);
  const code = choose("reason", [["", "choose a reason"], ...data.codes.map(([id, text]) => [id, `${id}: ${text}`])]);
  part("seam").append(seam, code);
  return { kernels, launches, ratio, seam, code };
}

function answersOf(form, who) {
  return {
    who,
    kernels: Object.fromEntries([...form.kernels].map(([op, menu]) => [op, menu.value === "" ? null : Number(menu.value)])),
    launches: form.launches.value === "" ? null : Number(form.launches.value),
    ratio: form.ratio.dataset.said ? Math.round(2 ** form.ratio.value * 1000) / 1000 : null,
    seam: form.seam.value,
    code: form.code.value,
  };
}

function scored(data, said) {
  const answer = (ends) => {
    const [one, other] = ends.map((end) => said.kernels[end]);
    if (one === null || other === null) return "no answer";
    return one && one === other ? "yes" : "no";
  };
  const edges = data.edges.map((edge) => ({
    edge: edge.name, ends: edge.ends, said: answer(edge.ends.split(" ")),
    right: answer(edge.ends.split(" ")) === (edge.code ? "no" : "yes"),
  }));
  const seams = new Map(data.edges.filter((edge) => edge.code).map((edge) => [edge.ends, edge.code]));
  if (!seams.size) seams.set(data.none, "");
  const off = said.ratio && data.ratio ? Math.max(said.ratio / data.ratio, data.ratio / said.ratio) : null;
  const score = {
    launches: said.launches === data.launches, close: off !== null && off <= 1.25, off,
    seam: seams.has(said.seam), code: seams.has(said.seam) && said.code === seams.get(said.seam),
  };
  const points = edges.filter((edge) => edge.right).length + score.launches + score.close + score.seam + score.code;
  return { edges, score, points, most: edges.length + 4 };
}

const verdict = (right) => (right ? "right" : "wrong");

function reveal(root, data, said, result) {
  const right = result.edges.filter((edge) => edge.right).length;
  const off = result.score.off === null ? "no guess" : `off by ${result.score.off.toFixed(2)}×`;
  root.querySelector(".fk-result").textContent =
    `${result.points} of ${result.most} points: ${right} of ${result.edges.length} edges right, ` +
    `launches ${verdict(result.score.launches)}, bytes ${off}, ` +
    `seam ${verdict(result.score.seam)}, reason ${verdict(result.score.code)}.`;
  all(root, "[data-real]").forEach((row) => {
    const kernel = said.kernels[row.dataset.real];
    row.cells[2].textContent = kernel ? `kernel ${kernel}` : kernel === 0 ? "PyTorch" : "no answer";
  });
  const edges = new Map(result.edges.map((edge) => [edge.ends, edge]));
  all(root, "[data-edge]").forEach((row) => {
    const edge = edges.get(row.dataset.edge);
    row.cells[3].textContent = `${edge.said}, ${verdict(edge.right)}`;
    row.classList.toggle("fk-wrong", !edge.right);
    all(row, "details").forEach((card) => { card.open = !edge.right; });
  });
  root.querySelector(".fk-reveal").open = true;
}

function quiz(root) {
  root.dataset.fkQuiz = "1";
  const data = JSON.parse(root.dataset.quiz);
  const form = ask(root, data);
  const who = make("input", { type: "text", "aria-label": "your name", placeholder: "your name (optional)" });
  const result = make("p", { class: "fk-result", role: "status", "aria-live": "polite" });
  const saved = make("span", { class: "fk-said" });
  let record = null;
  const text = () => JSON.stringify(record, null, 1);
  const copy = button("Copy answers", "Copy the answers as JSON", async () => {
    try {
      await navigator.clipboard.writeText(text());
      saved.textContent = "copied";
    } catch {
      saved.textContent = "copying is not allowed here: save them";
    }
  });
  const save = button("Save answers", "Save the answers as a JSON file", () => {
    const link = make("a", { download: `${data.name}-${who.value || "answers"}.json`.replace(/[^\w.-]+/g, "-") });
    link.href = URL.createObjectURL(new Blob([text()], { type: "application/json" }));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    saved.textContent = "saved";
  });
  [copy, save].forEach((element) => { element.hidden = true; });
  const submit = button("Reveal and score", "Score the answers and show the real kernels", () => {
    const said = answersOf(form, who.value);
    const found = scored(data, said);
    const edges = found.edges.map(({ edge, right }) => ({ edge, right }));
    record = { schema: data.schema, version: data.version, quiz: data.quiz, name: data.name,
      ...said, edges, points: found.points, most: found.most };
    reveal(root, data, said, found);
    [copy, save].forEach((element) => { element.hidden = false; });
  });
  submit.classList.add("fk-submit");
  root.querySelector('[data-q="submit"]').append(who, submit, copy, save, saved, result);
  // Or a key typed here would be a command of the notebook.
  [root, ...all(root, "button,summary,input,select")]
    .forEach((element) => element.setAttribute("data-lm-suppress-shortcuts", "true"));
}

all(document, ".fk-quiz:not([data-fk-quiz])").forEach(quiz);
