// The picture becomes part of the page.

function inlinePicture(root) {
  const image = root.querySelector("img.fk-img");
  if (!image) return null;
  const bytes = Uint8Array.from(atob(image.getAttribute("src").split(",")[1]), (c) => c.charCodeAt(0));
  const text = new TextDecoder().decode(bytes);
  const parsed = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  if (parsed.nodeName !== "svg") return null;
  // The page's style sheet serves it now; its own would reach beyond this view.
  all(parsed, "style").forEach((style) => style.remove());
  parsed.querySelector(":scope > title")?.remove();
  const svg = document.importNode(parsed, true);
  svg.setAttribute("role", "application");
  svg.setAttribute("aria-label", `${image.alt} Arrow keys walk, Enter pins, F goes to the next seam.`);
  const canvas = make("div", { class: "fk-canvas" });
  canvas.append(svg);
  image.replaceWith(canvas);
  zooming(root, canvas, svg);
  return svg;
}

function zooming(root, canvas, svg) {
  const [width, height] = [svg.viewBox.baseVal.width, svg.viewBox.baseVal.height];
  let scale = 1;
  const apply = (next) => {
    scale = Math.min(4, Math.max(0.2, next));
    svg.setAttribute("width", width * scale);
    svg.setAttribute("height", height * scale);
  };
  // A picture that would shrink below legible letters scrolls instead.
  const fit = (least) => {
    const room = Math.min((canvas.clientWidth - 2) / width, 640 / height);
    if (canvas.clientWidth) apply(Math.min(1, Math.max(least, room)));
  };
  const bar = make("div", { class: "fk-zoom" });
  bar.append(button("−", "Zoom out", () => apply(scale / 1.25)),
             button("+", "Zoom in", () => apply(scale * 1.25)),
             button("fit", "Fit the whole graph", () => fit(0.2)));
  canvas.before(bar);
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.shiftKey) return;
    event.preventDefault();
    apply(scale * (event.deltaY + event.deltaX < 0 ? 1.1 : 1 / 1.1));
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button || event.target.closest(".fk-node,.fk-badge")) return;
    const from = [event.clientX + canvas.scrollLeft, event.clientY + canvas.scrollTop];
    const move = (e) => canvas.scrollTo(from[0] - e.clientX, from[1] - e.clientY);
    const stop = () => {
      canvas.classList.remove("fk-drag");
      removeEventListener("pointermove", move);
    };
    canvas.classList.add("fk-drag");
    addEventListener("pointermove", move);
    addEventListener("pointerup", stop, { once: true });
  });
  fit(0.7);
  canvas.title = "Drag to move; Ctrl or Shift and the wheel to zoom";
  // A folded or hidden view has no width yet.
  new ResizeObserver((_, watch) => { if (canvas.clientWidth) { fit(0.7); watch.disconnect(); } }).observe(canvas);
}

features.push((view) => { view.svg = inlinePicture(view.root); });
