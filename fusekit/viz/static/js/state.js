// What a reader has chosen in a view, as a value: to be had again after another run, or by a link.

const FOLDS = "details:not(.fk-src,.fk-menu,.fk-panel,:is(.fk-woven,.fk-panel) *)";

// Folds by names that another run's have too: of a section its class, else what it says.
function foldsOf(root) {
  const [found, counts] = [new Map(), {}];
  all(root, FOLDS).forEach((fold) => {
    const name = fold.matches(".fk-sec") ? fold.classList[1] : fold.querySelector("summary").textContent;
    counts[name] = (counts[name] ?? 0) + 1;
    found.set(`${name}#${counts[name]}`, fold);
  });
  return found;
}

features.push((view) => {
  const { root, graph, picture } = view;
  const first = new Map([...foldsOf(root)].map(([name, fold]) => [name, fold.open]));
  const press = (group, test) => all(root, `.${group} button`).find(test)?.click();
  const tab = (name) => press("fk-tabs", (each) => each.getAttribute("aria-label") === name);
  const mode = (name) => press("fk-modes", (each) => each.textContent === name);
  const isLine = (element) => element.matches(".fk-l,.fk-edge");

  // An entry with its name, because another graph has other entries of that key.
  const entryOf = (named) => {
    const entry = Array.isArray(named) ? graph.entries.get(named[0]) : null;
    return entry && shortName(entry) === named[1] ? entry : null;
  };
  const nameOf = (entry) => entry && [entry.key, shortName(entry)];
  // A line and a wire stand for more than one entry: they are named by what they link to.
  const pinned = () => {
    const element = view.pinned;
    if (!element) return null;
    const { l, v, e } = element.dataset;
    return isLine(element) ? ["", l ?? "", v ?? "", e ?? ""] : nameOf(graph.of(element)) ?? null;
  };
  const pinOf = (named) => {
    if (!Array.isArray(named) || named[0]) {
      const entry = entryOf(named);
      return entry && (graph.shown(entry)[0] ?? entry.span);
    }
    const [, ...same] = named;
    return all(root, ".fk-pane .fk-l,.fk-edge").find(({ dataset }) =>
      ["l", "v", "e"].every((name, at) => (dataset[name] ?? "") === same[at])) ?? null;
  };

  // Only what differs from a view that nobody has touched.
  view.state = () => {
    const state = {
      folds: [...foldsOf(root)].filter(([name, fold]) => fold.open !== (first.get(name) ?? false)).map(([name]) => name),
      ...picture?.state(),
      tab: root.querySelector('.fk-tabs [aria-selected="true"]')?.getAttribute("aria-label"),
      mode: root.dataset.fkMode,
      shade: root.dataset.fkShade,
      hot: root.dataset.fkHot,
      pin: pinned(),
      at: nameOf(view.at),
      flow: root.dataset.fkFlow,
      find: view.search.text(),
      theme: root.dataset.fkTheme,
    };
    const plain = { side: "after", mode: "Tabs", tab: untouched.tab };
    return Object.fromEntries(Object.entries(state).filter(([name, value]) =>
      value && (name === "open" || value.length !== 0) && value !== plain[name]));
  };
  view.restore = (state) => {
    const toggled = new Set(Array.isArray(state.folds) ? state.folds : []);
    foldsOf(root).forEach((fold, name) => { fold.open = toggled.has(name) !== (first.get(name) ?? false); });
    picture?.restore(state);
    if (state.theme) root.dataset.fkTheme = state.theme;
    const element = pinOf(state.pin);
    if (element || view.pinned) view.pin(element, false);
    tab(state.tab ?? untouched.tab);
    mode(state.mode ?? "Tabs");
    view.shade?.(state.shade ?? "");
    view.heat?.(state.hot);
    const at = view.stand && entryOf(state.at);
    if (at) view.stand(at);
    const flow = at && Object.hasOwn(FLOWS, state.flow) ? state.flow : root.dataset.fkFlow;
    if (flow) view.flow(flow, graph.of(view.pinned) ?? at, flow === state.flow);
    view.search.find(String(state.find ?? ""));
  };
  const untouched = { tab: undefined };
  untouched.tab = view.state().tab;
});
