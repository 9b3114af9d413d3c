// Arrow keys in a grid of elements: to the next one, and past the border of what is shown.

const ACROSS = { ArrowUp: [-2, -1], ArrowDown: [-2, 1], ArrowLeft: [-1, -1], ArrowRight: [-1, 1] };

const idOf = (index) => `fk-at-${index.join(",")}`;

// The element that is one further, null at the end of the tensor.
function neighbour(form, index, [dim, step]) {
  const at = index.length + dim;
  const next = index.with(Math.max(at, 0), index[Math.max(at, 0)] + step);
  return at < 0 || next[at] < 0 || next[at] > Number(form.elements[`i${at}`].max) ? null : next;
}

function walked(form) {
  const grid = form.querySelector('table.fk-grid:has(button[name="at"])');
  grid?.addEventListener("keydown", (event) => {
    const along = ACROSS[event.key];
    if (!along || typing(event) || !event.target.matches("button")) return;
    event.preventDefault();
    event.stopPropagation();
    const next = neighbour(form, event.target.value.split(",").map(Number), along);
    if (!next) return;
    const shown = form.querySelector(`#${CSS.escape(idOf(next))}`);
    if (shown) { shown.focus(); return; }
    // Beyond what is shown: it is asked for, and chosen, as if it had been pressed.
    const asked = make("button", { name: "at", value: next.join(","), hidden: "" });
    form.append(asked);
    form.fkFocus = idOf(next);
    form.requestSubmit(asked);
    asked.remove();
  });
}

dressings.push(walked);
