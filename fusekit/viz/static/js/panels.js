// Panels of the live view: forms that Python draws. What their fields hold is sent, and what comes
// back takes the place of the form's content. A field with data-now is sent when it changes, a form
// with data-pin when something is pinned; `pinned` always goes along.

// What brings a form's content to life, each time it is drawn: functions of the form.
const dressings = [];

const SLOW = 1000; // ms after which progress is shown

const GONE = "The kernel that answered here has ended: run the cell again.";

function asker(model) {
  const open = new Map();
  const heard = (message) => {
    const request = open.get(message?.panel);
    if (!request || message.number !== request.number) return;
    if (message.progress) return request.progress(message.progress);
    open.delete(message.panel);
    request.settle(message);
  };
  model.on("msg:custom", heard);
  const ask = (panel, fields, progress) => new Promise((settle) => {
    const number = Math.random(); // other views of this widget hear answers too
    open.set(panel, { number, settle, progress });
    try { model.send({ panel, number, fields }); } catch { gone(); }
  });
  const gone = () => {
    open.forEach((request) => request.settle({ gone: true }));
    open.clear();
  };
  return { ask, gone, stop: () => model.off("msg:custom", heard) };
}

function working(form, cancel) {
  const box = make("div", { class: "fk-working", role: "status" });
  const bar = make("progress", { "aria-label": "progress" });
  const said = make("span", {}, "running");
  box.append(bar, said, button("cancel", "Stop this", cancel));
  const timer = setTimeout(() => form.prepend(box), SLOW);
  return {
    progress({ done, total, said: text }) {
      if (total) [bar.max, bar.value] = [total, done];
      said.textContent = text || `${done} of ${total}`;
    },
    end() { clearTimeout(timer); box.remove(); },
  };
}

function panelOf(model, ask, host, { name, title, note }) {
  const fold = make("details", { class: "fk-sec fk-panel", "data-panel": name });
  const summary = make("summary");
  summary.append(make("b", {}, title), make("span", { class: "fk-said" }, note));
  const form = make("form", { class: "fk-body", "aria-label": title });
  fold.append(summary, form);
  let [busy, again] = [false, null];
  const send = async (submitter) => {
    if (busy) { again = () => send(submitter); return; }
    busy = true;
    const fields = Object.fromEntries(new FormData(form));
    // It may be gone from the form by now, if it was pressed while another answer was awaited.
    if (submitter?.name) fields[submitter.name] = submitter.value;
    fields.pinned = host().root.dataset.fkPinned ?? "";
    const shown = working(form, () => model.send({ cancel: name }));
    fold.setAttribute("aria-busy", "true");
    const answer = await ask(name, fields, shown.progress);
    shown.end();
    fold.removeAttribute("aria-busy");
    if (answer.gone) {
      [busy, again] = [false, null];
      form.querySelector(".fk-gone")?.remove();
      form.prepend(make("p", { class: "fk-error fk-gone", role: "alert" }, GONE));
      return;
    }
    const focused = form.contains(document.activeElement) && document.activeElement;
    const key = form.fkFocus ?? (focused && (focused.id || focused.name));
    delete form.fkFocus;
    form.innerHTML = answer.html; // scripts in it would not run, and there are none
    if (key) (form.elements[key] ?? form).focus?.();
    dressings.forEach((dress) => dress(form));
    host().keyed(form);
    all(form, "[aria-current]").forEach(reveal);
    quiet(form);
    fold.dataset.drawn = Number(fold.dataset.drawn ?? 0) + 1;
    busy = false;
    if (again) { const next = again; again = null; next(); }
  };
  form.addEventListener("submit", (event) => { event.preventDefault(); send(event.submitter); });
  form.addEventListener("keydown", (event) => { // JupyterLab keeps the browser from doing it
    if (event.key !== "Enter" || !event.target.matches("input")) return;
    event.preventDefault();
    form.requestSubmit(form.querySelector("button:not([type=button])"));
  });
  form.addEventListener("change", (event) => { if (event.target.matches("[data-now]")) send(null); });
  fold.addEventListener("toggle", () => { if (fold.open && !fold.dataset.drawn) send(null); });
  return { fold, pinned: () => { if (fold.open && form.querySelector("[data-pin]")) send(null); },
           stale: () => { if (fold.open) send(null); else delete fold.dataset.drawn; } };
}

// All panels; they stay when the view around them is drawn anew.
function panelsOf(model) {
  let view = null;
  const { ask, gone, stop } = asker(model);
  const panels = model.get("panels").map((each) => panelOf(model, ask, () => view, each));
  const place = (next) => {
    const first = !view;
    view = next;
    const before = next.root.querySelector(".fk-status");
    panels.forEach((panel) => before.before(panel.fold));
    next.root.addEventListener("fk-pin", () => panels.forEach((panel) => panel.pinned()));
    if (!first) panels.forEach((panel) => panel.stale());
  };
  return { place, gone, stop };
}
