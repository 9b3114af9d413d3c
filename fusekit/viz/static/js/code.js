// Generated texts in four ways: one behind its tab, two beside each other, woven into the user's
// lines, or compared.

const MODES = {
  Tabs: "One text at a time",
  Beside: "Two texts side by side",
  Interleaved: "Generated lines under the lines they come from",
  Diff: "What differs between two texts",
};

const nameOf = (source) => source.querySelector("summary").textContent;
const languageOf = (source) => nameOf(source).split(" · ").pop();

function menu(label, options, chosen, act) {
  const box = make("label", { class: "fk-choice" });
  const select = make("select");
  select.append(...options.map((name, index) => make("option", { value: index }, name)));
  select.value = chosen;
  select.addEventListener("change", (event) => { event.stopPropagation(); act(Number(select.value)); });
  box.append(make("span", {}, label), select);
  return box;
}

// The user's lines, and under each the lines of all `sources` that compute what it says.
function interleaved(user, sources) {
  const pre = make("pre", { class: "fk-code fk-interleaved" });
  const lines = sources.flatMap((source) => all(source, ".fk-l"));
  const left = new Set(lines);
  const kernelOf = (line) => line.closest(".fk-src");
  const put = (line, host, last) => {
    const copy = line.cloneNode(true);
    copy.classList.add("fk-made");
    const isSame = last && kernelOf(last) === kernelOf(line);
    if (sources.length > 1 && !isSame) {
      host.append(make("span", { class: "fk-of" }, `${nameOf(kernelOf(line)).split(" · ")[0]}\n`));
    }
    if (isSame && last.nextElementSibling !== line) copy.classList.add("fk-jump");
    host.append(copy);
  };
  for (const yours of user.querySelector("pre").children) {
    if (!yours.matches(".fk-l")) continue;
    pre.append(yours.cloneNode(true));
    for (let next = yours.nextElementSibling; next?.matches(".fk-remark"); next = next.nextElementSibling) {
      pre.append(next.cloneNode(true));
    }
    const values = words(yours, "w");
    let last = null;
    for (const line of values.length ? lines : []) {
      if (!words(line, "v").some((value) => values.includes(value))) continue;
      put(line, pre, last);
      left.delete(line);
      last = line;
    }
  }
  if (left.size) {
    const rest = make("details", { class: "fk-fold fk-rest" });
    rest.append(make("summary", {}, `no line of yours: ${counted(left.size, "line")}`));
    let last = null;
    for (const line of left) { put(line, rest, last); last = line; }
    pre.append(rest);
  }
  return pre;
}

function codePane(view, pane) {
  const sources = all(pane, ".fk-src");
  if (!sources.length) return;
  const panes = pane.closest(".fk-panes");
  const user = panes.querySelector(".fk-user");
  const groups = [...new Set(sources.map((source) => source.dataset.g))];
  const names = sources.map(nameOf);
  const state = { mode: "Tabs", at: 0, pair: [0, Math.min(1, sources.length - 1)], compared: pairOf(sources) };
  const bar = make("div", { class: "fk-bar-top" });
  const list = make("div", { class: "fk-tabs", role: "tablist", "aria-label": "generated sources" });
  const choices = make("div", { class: "fk-choices" });
  const woven = make("div", { class: "fk-pane fk-woven" });

  const tabs = sources.map((source, index) => {
    source.open = true;
    const tab = button(languageOf(source), names[index], () => source.fkShow());
    tab.removeAttribute("title");
    tab.setAttribute("role", "tab");
    source.fkShow = () => { state.at = index; draw(); };
    return tab;
  });
  const modes = make("div", { class: "fk-modes", role: "group", "aria-label": "how texts are shown" });
  const kinds = Object.entries(MODES).filter(([mode]) => mode === "Tabs" ||
    (mode === "Interleaved" ? user : sources.length > 1));
  const switches = kinds.map(([mode, said]) => button(mode, said, () => { state.mode = mode; draw(); }));
  switches.forEach((element) => element.removeAttribute("aria-label"));
  if (switches.length > 1) modes.append(...switches);
  const jump = (number, language = languageOf(sources[state.at])) => {
    const inside = sources.filter((source) => source.dataset.g === groups[number]);
    const speaks = (source) => languageOf(source) === language;
    (inside.find(speaks) ?? sources.find(speaks) ?? inside[0]).fkShow();
  };
  // What a reader looks for is the kernel's body, not what it calls.
  const first = (source) => {
    const [box, line] = [source.querySelector("pre"), source.querySelector(".fk-l[data-v]")];
    if (source.hidden || source.dataset.fkSeen || !line || !box.clientHeight) return;
    source.dataset.fkSeen = "1";
    box.scrollTop = line.getBoundingClientRect().top - box.getBoundingClientRect().top - 60;
  };
  const kernels = groups.map((group) => names[sources.findIndex((s) => s.dataset.g === group)].split(" · ")[0]);
  const kernel = groups.length > 1 ? menu("kernel", kernels, 0, (chosen) => jump(chosen)) : null;
  const shown = () => (state.mode === "Tabs" ? sources[state.at].querySelector("pre") :
    state.mode === "Beside" ? sources[state.pair[0]].querySelector("pre") : woven.querySelector("pre"));

  // Two menus; what is chosen in one cannot stay in the other.
  const two = (pair, labels) => pair.map((at, side) => menu(labels[side], names, at, (chosen) => {
    if (pair[1 - side] === chosen) pair[1 - side] = pair[side];
    pair[side] = chosen;
    draw();
    choices.querySelectorAll("select")[side].focus();
  }));
  const draw = () => {
    const { mode, at, pair, compared } = state;
    const group = sources[at].dataset.g;
    switches.forEach((element) => element.setAttribute("aria-pressed", String(element.textContent === mode)));
    tabs.forEach((tab, index) => {
      tab.hidden = mode !== "Tabs" || sources[index].dataset.g !== group;
      tab.setAttribute("aria-selected", String(index === at));
    });
    if (kernel) {
      kernel.hidden = mode !== "Tabs";
      kernel.querySelector("select").value = groups.indexOf(group);
    }
    sources.forEach((source, index) => {
      const side = mode === "Beside" ? pair.indexOf(index) : index === at && mode === "Tabs" ? 0 : -1;
      source.hidden = side < 0;
      source.style.order = side;
    });
    sources.forEach(first);
    panes.classList.toggle("fk-stacked", mode !== "Tabs");
    pane.classList.toggle("fk-two", mode === "Beside");
    if (user) user.hidden = mode === "Interleaved";
    list.hidden = mode !== "Tabs";
    choices.hidden = !list.hidden;
    woven.hidden = mode === "Tabs" || mode === "Beside";
    view.root.dataset.fkMode = mode;
    woven.replaceChildren();
    if (mode === "Beside") choices.replaceChildren(...two(pair, ["left", "right"]));
    if (mode === "Interleaved") {
      const spoken = [...new Set(sources.map(languageOf))];
      const chosen = languageOf(sources[at]);
      choices.replaceChildren(menu("under each line", spoken, spoken.indexOf(chosen), (next) => {
        jump(groups.indexOf(group), spoken[next]);
        choices.querySelector("select").focus();
      }));
      woven.append(interleaved(user, sources.filter((source) => languageOf(source) === chosen)));
    }
    if (mode === "Diff") {
      choices.replaceChildren(...two(compared, ["from", "to"]));
      const { pre, count } = diffOf(...compared.map((index) => sources[index]));
      const [a, b] = compared.map((index) => names[index]);
      const said = count.old + count.new ?
        `${counted(count.old, "line")} only in ${a}, ${count.new} only in ${b}, ${count.same} in both` :
        `the same text, ${counted(count.same, "line")}`;
      const isCut = compared.some((index) => sources[index].querySelector(".fk-remark"));
      const rest = isCut ? "; of long texts, only a part is in this page" : "";
      woven.append(make("p", { class: "fk-note", role: "status" }, said + rest), pre);
    }
    quiet(pane);
    quiet(woven);
    if (!woven.hidden) view.keyed?.(woven);
  };

  list.append(...tabs);
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const seen = tabs.filter((tab) => !tab.hidden);
    const next = step && seen[seen.indexOf(event.target) + step];
    if (!next) return;
    event.preventDefault();
    next.click();
    next.focus();
  });
  const end = make("div", { class: "fk-bar-end" }); // stays together where the bar breaks
  end.append(modes, copyButton(shown));
  bar.append(...(kernel ? [kernel] : []), list, choices, end);
  pane.prepend(bar);
  pane.after(woven);
  pane.classList.add("fk-tabbed");
  draw();
}

// What one would compare first: the same language of two kernels, or of two engines.
function pairOf(sources) {
  const language = (source) => languageOf(source).split(" ")[0];
  for (let i = 0; i < sources.length; i += 1) {
    const other = sources.findIndex((s, j) => j > i && language(s) === language(sources[i]));
    if (other > 0) return [i, other];
  }
  return [0, Math.min(1, sources.length - 1)];
}

features.push((view) => { all(view.root, ".fk-generated").forEach((pane) => codePane(view, pane)); });
