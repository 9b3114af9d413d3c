// Beside each long text, marks where something is marked in it: a click goes there.

function ruled(root, pre) {
  const hold = make("div", { class: "fk-ruled" });
  const ruler = make("div", { class: "fk-ruler", "aria-hidden": "true" });
  pre.replaceWith(hold);
  hold.append(pre, ruler);
  const draw = () => {
    const long = pre.scrollHeight > pre.clientHeight + 4;
    hold.classList.toggle("fk-long", long);
    const marked = long ? all(pre, ".fk-hi,.fk-pin,.fk-found") : [];
    ruler.replaceChildren(...marked.map((line) => {
      const kind = ["pin", "hi", "found"].find((name) => line.classList.contains(`fk-${name}`));
      const mark = make("span", { class: `fk-tick fk-tick-${kind}` });
      mark.style.top = `${(100 * line.offsetTop) / pre.scrollHeight}%`;
      return mark;
    }));
  };
  // To the nearest mark, for nobody hits two pixels.
  ruler.addEventListener("click", (event) => {
    const y = event.clientY;
    const middle = (tick) => Math.abs(tick.getBoundingClientRect().top - y);
    const tick = [...ruler.children].sort((a, b) => middle(a) - middle(b))[0];
    if (tick) pre.scrollTop = (parseFloat(tick.style.top) / 100) * pre.scrollHeight - pre.clientHeight / 2;
  });
  return draw;
}

features.push((view) => {
  const { root, keyed: before } = view;
  let draws = [];
  let waiting = 0;
  const redraw = () => {
    waiting ||= requestAnimationFrame(() => { waiting = 0; draws.forEach((draw) => draw()); });
  };
  const rule = (container) => {
    const texts = all(container, "pre.fk-code").filter((pre) => !pre.closest(".fk-ruled"));
    draws = [...draws, ...texts.map((pre) => ruled(root, pre))];
  };
  view.keyed = (container) => { before(container); rule(container); };
  rule(root);
  root.addEventListener("fk-marks", redraw);
  root.addEventListener("toggle", redraw, true);
});
