// Keys in code and tables: arrows move and show, Enter pins, Escape lets go.

const typing = (event) => event.ctrlKey || event.metaKey || event.altKey ||
  event.target.matches("input,select,textarea");

// One stop for the Tab key in each list.
function roving(list, items, pin) {
  items.forEach((item, index) => item.setAttribute("tabindex", index ? "-1" : "0"));
  let stop = items[0];
  list.addEventListener("focusin", (event) => {
    if (!items.includes(event.target)) return;
    stop.setAttribute("tabindex", "-1");
    stop = event.target;
    stop.setAttribute("tabindex", "0");
  });
  list.addEventListener("keydown", (event) => {
    const at = items.indexOf(event.target);
    if (at < 0 || typing(event)) return;
    const step = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
    if (step !== undefined) {
      items[step]?.focus({ preventScroll: true });
      reveal(items[step] ?? stop);
    } else if (event.key === "Enter" || event.key === " ") pin(event.target);
    else if (event.key === "Escape") pin(null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
}

// Lines of code, and rows that stand for something.
function keyed(container, pin) {
  const rows = ":scope > tr:is([data-v],[data-l],[data-g])";
  const lists = (selector, inside, roles) => all(container, selector).forEach((list) => {
    const items = all(list, inside);
    if (!items.length) return;
    const role = roles && roles(list);
    if (role) items.forEach((item) => item.setAttribute("role", role));
    if (role === "option") {
      list.setAttribute("role", "listbox");
      list.setAttribute("aria-label", "lines of code");
    }
    roving(list, items, pin);
  });
  // A list of lines holds nothing else to press.
  lists("pre", ".fk-l", (pre) => (pre.querySelector("summary,button,a") ? "button" : "option"));
  lists(".fk-outline > ol", ".fk-o", () => "button");
  lists(".fk-table tbody", rows);
}

features.push((view) => {
  view.keyed = (container) => keyed(container, view.pin);
  view.keyed(view.root);
});
