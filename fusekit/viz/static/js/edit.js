// The editor in a panel: line numbers beside the text, Tab that indents, jumps to a message's line.

const INDENT = 2;

function fitted(box, text) {
  const gutter = box.querySelector(".fk-gutter");
  const bad = new Set((text.dataset.errors ?? "").split(" "));
  const lines = text.value.split("\n");
  text.rows = lines.length;
  text.cols = lines.reduce((most, line) => Math.max(most, line.length + 1), 60);
  gutter.replaceChildren(...lines.map((_, index) => make("span",
    bad.has(String(index + 1)) ? { class: "fk-bad-line" } : {}, String(index + 1))));
}

// Typed, not assigned: the browser's own undo goes on working.
function typed(text, what) {
  if (!document.execCommand("insertText", false, what)) {
    text.setRangeText(what, text.selectionStart, text.selectionEnd, "end");
    text.dispatchEvent(new Event("input", { bubbles: true }));
  }
}

function goTo(box, text, line, column) {
  const before = text.value.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
  text.focus({ preventScroll: true });
  text.setSelectionRange(before + column - 1, before + column - 1);
  const height = text.scrollHeight / Math.max(text.rows, 1);
  box.scrollTop = Math.max(0, (line - 4) * height);
  box.scrollIntoView({ block: "nearest" });
}

function editing(form) {
  const box = form.querySelector(".fk-editor");
  if (!box) return;
  const text = box.querySelector("textarea");
  let leaving = false;
  text.addEventListener("input", () => fitted(box, text));
  text.addEventListener("keydown", (event) => {
    const escaped = leaving;
    leaving = event.key === "Escape";
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      event.stopPropagation();
      form.requestSubmit(form.elements.compile);
    } else if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault(); // JupyterLab keeps the browser from doing it
      event.stopPropagation();
      document.execCommand(event.shiftKey ? "redo" : "undo");
    } else if (event.key === "Enter") { // likewise
      event.preventDefault();
      const before = text.value.slice(0, text.selectionStart).split("\n").at(-1);
      typed(text, `\n${before.match(/^ */)[0]}`);
    } else if (event.key === "Tab" && !escaped && !event.shiftKey) {
      event.preventDefault();
      const column = text.selectionStart - text.value.lastIndexOf("\n", text.selectionStart - 1) - 1;
      typed(text, " ".repeat(INDENT - (column % INDENT)));
    }
  });
  all(form, "[data-line]").forEach((jump) => jump.addEventListener("click", () =>
    goTo(box, text, Number(jump.dataset.line), Number(jump.dataset.column))));
  const first = (text.dataset.errors ?? "").split(" ")[0];
  const { top = 0, caret = 0 } = form.fkWas ?? {};
  text.setSelectionRange(caret, caret);
  box.scrollTop = first ? Math.max(0, (first - 4) * text.scrollHeight / text.rows) : top;
  const keep = () => { form.fkWas = { top: box.scrollTop, caret: text.selectionStart }; };
  ["scroll", "keyup", "pointerup"].forEach((name) => box.addEventListener(name, keep));
}

dressings.push(editing);
