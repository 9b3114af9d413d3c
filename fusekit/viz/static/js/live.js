// The live view: controls above, the same block beneath.

const PAUSE = 250; // ms without a change before a choice counts

function controls(el, model) {
  const bar = make("div", { class: "fk-controls fk-vars" });
  const slider = make("input", { type: "range", min: 0, step: 1, "aria-label": "size" });
  const shown = make("output");
  const menu = make("select", { "aria-label": "engine" });
  const [sizeLabel, engineLabel] = [make("label", {}, "size"), make("label", {}, "engine")];
  const busy = make("span", { class: "fk-busy", role: "status" }, "running");
  const error = make("div", { class: "fk-error", role: "alert" });
  sizeLabel.append(slider, shown);
  engineLabel.append(menu);
  const sized = model.get("sizes").length > 1; // a whole program has one size
  bar.append(...(sized ? [sizeLabel] : []), engineLabel, busy, error);
  quiet(bar);
  el.append(bar);
  return { slider, shown, menu, error };
}

function render({ model, el }) {
  el.classList.add("fk-live");
  const { slider, shown, menu, error } = controls(el, model);
  const stage = make("div", { class: "fk-stage" });
  el.append(stage);
  const panels = panelsOf(model);
  let [timer, waiting, number] = [0, false, 0];
  let [wanted, view] = [null, null];

  const size = () => model.get("sizes")[Number(slider.value)];
  const name = () => { shown.textContent = (size() ?? 0).toLocaleString("en"); };
  const busy = () => el.toggleAttribute(
    "data-busy", waiting || (model.get("busy") && error.textContent !== GONE));
  const ask = () => {
    // One question at a time; what was chosen meanwhile is asked when the answer is there.
    if (waiting || !wanted) return;
    [waiting, number] = [true, Math.random()]; // other views of this widget hear answers too
    try { model.send({ rerun: number, ...wanted }); } catch { gone(); }
    wanted = null;
    busy();
  };
  // JupyterLab tells when the kernel is restarted (a widget comes alive before it is drawn, so this
  // is its end); elsewhere, sending fails.
  const gone = () => {
    waiting = false;
    error.textContent = GONE;
    panels.gone();
    busy();
  };
  const changed = () => {
    name();
    clearTimeout(timer);
    timer = setTimeout(() => { wanted = { size: size(), engine: menu.value }; ask(); }, PAUSE);
  };
  const choices = () => {
    slider.max = model.get("sizes").length - 1;
    slider.value = Math.max(0, model.get("sizes").indexOf(model.get("size")));
    menu.replaceChildren(...model.get("engines").map((engine) => make("option", { value: engine }, engine)));
    menu.value = model.get("engine");
    name();
  };
  const draw = () => {
    const kept = view?.state();
    stage.innerHTML = model.get("html"); // scripts in it would not run, and there are none
    view = hydrate(stage.querySelector(".fk-view"));
    if (kept) view.restore(kept);
    panels.place(view);
    stage.dataset.drawn = Number(stage.dataset.drawn ?? 0) + 1;
  };
  const failed = () => { error.textContent = model.get("error"); };
  const answered = (message) => {
    if (message?.done !== number) return;
    waiting = false;
    busy();
    ask();
  };
  const chosen = () => { if (!waiting && !wanted) choices(); };

  slider.addEventListener("input", changed);
  menu.addEventListener("change", changed);
  const events = { "change:html": draw, "change:error": failed, "change:busy": busy,
    "change:size": chosen, "change:engine": chosen, "msg:custom": answered,
    comm_live_update: gone };
  for (const [event, act] of Object.entries(events)) model.on(event, act);
  choices();
  draw();
  failed();
  busy();
  el.dataset.state = "ready";
  return () => {
    clearTimeout(timer);
    panels.stop();
    for (const [event, act] of Object.entries(events)) model.off(event, act);
  };
}

export default { render };
