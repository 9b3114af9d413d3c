// A page that stands by itself keeps what its reader has chosen in its address, so that a link to it
// opens it so. In a notebook, the address is the notebook's.

const FRAGMENT = "#fk=";
const writers = [];

// The states of all views of the page, by their place; a fragment that is not ours has none.
function addressed() {
  try {
    const states = JSON.parse(decodeURIComponent(location.hash.slice(FRAGMENT.length)));
    return location.hash.startsWith(FRAGMENT) && states instanceof Object ? states : {};
  } catch {
    return {};
  }
}

features.push((view) => {
  const { root } = view;
  const page = root.closest("[data-fk-page]");
  if (!page) return;
  const place = all(page, ".fk-view").indexOf(root);
  const sections = all(root, ":scope > .fk-sec");
  // The section that is read: the last that begins in the upper part of the window.
  const section = () => {
    const isIn = root.getBoundingClientRect().bottom > 0;
    const at = sections.findLastIndex((each) => each.getBoundingClientRect().top < innerHeight / 3);
    return isIn && at > 0 ? { section: sections[at].classList[1] } : {};
  };
  const write = () => {
    const states = { ...addressed(), [place]: { ...view.state(), ...section() } };
    const kept = Object.entries(states).filter(([, state]) => Object.keys(state).length);
    const text = kept.length ? FRAGMENT + encodeURIComponent(JSON.stringify(Object.fromEntries(kept))) : "";
    if (text !== location.hash) history.replaceState(null, "", text || location.pathname + location.search);
  };
  writers.push(write);
  const open = () => {
    const state = addressed()[place];
    if (!(state instanceof Object)) return;
    view.restore(state);
    sections.find((each) => each.classList[1] === state.section)?.scrollIntoView();
  };
  let timer = 0;
  const soon = () => { clearTimeout(timer); timer = setTimeout(write, 200); };
  open();
  const events = ["fk-pin", "fk-drawn", "click", "input", "keyup", "toggle"];
  events.forEach((name) => root.addEventListener(name, soon, true));
  addEventListener("hashchange", open);
  view.offer?.("copy link to this state", "Copy a link that opens this page as it is now", async () => {
    // Other views may have put their writing off.
    writers.forEach((each) => each());
    await navigator.clipboard.writeText(location.href);
    return "copied";
  });
});
