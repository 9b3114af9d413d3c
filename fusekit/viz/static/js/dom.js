// Brings a static view to life: links, keys, tabs, zoom, copying, theme. Everything that it needs
// is in the page's own elements: data-v (values), data-l (a user's line), data-g (a group).
// It may stand in a page many times; each view is hydrated once, and nothing leaves the view.
// Each file adds a feature: a function of the view, { root } and what earlier features put there:
// svg (the picture, or null), say(text) (the status line), pin(element), keyed(container).
const features = [];

const all = (root, selector) => [...root.querySelectorAll(selector)];

function make(tag, attributes = {}, text = "") {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

function button(text, label, act) {
  // The name holds what is written on it, for those who say it to press it.
  const isIn = !/\w/.test(text) || label.toLowerCase().includes(text.toLowerCase());
  const name = isIn ? label : `${text}: ${label}`;
  const element = make("button", { type: "button", title: label, "aria-label": name }, text);
  element.addEventListener("click", (event) => { event.stopPropagation(); act(element); });
  return element;
}
