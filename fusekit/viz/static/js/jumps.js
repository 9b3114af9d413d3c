// From one thing to what stands for it elsewhere (L), to the graph (G), and back again (R).

function unfold(element) {
  for (let fold = element.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  element.closest(".fk-src")?.fkShow?.();
}

features.push((view) => {
  const { root } = view;
  const trail = [];
  const arrive = (element) => {
    unfold(element);
    element.focus({ preventScroll: true });
    element.scrollIntoView({ block: "nearest" });
    reveal(element);
  };
  // Goes to an element, or to an entry of the graph, and remembers from where.
  view.jump = (target) => {
    const from = document.activeElement;
    if (root.contains(from)) trail.push({ element: from, entry: view.at });
    if (target.span) view.walkTo(target);
    else arrive(target);
  };
  view.back = () => {
    const last = trail.pop();
    if (!last) view.say("nothing to return to");
    else if (last.element.matches(".fk-canvas") && last.entry) view.walkTo(last.entry);
    else arrive(last.element);
  };
  // Kernel lines from anywhere but a kernel, the user's lines from there.
  view.partnerLine = (element) => {
    const found = element ? view.find(element) : [];
    const lines = (name) => found.filter((e) => e.matches(`.fk-code .fk-l[data-${name}]`) && e !== element);
    const order = element?.matches(".fk-l[data-v]") ? [lines("l")] : [lines("v"), lines("l")];
    const list = order.find((each) => each.length) ?? [];
    return list.find((line) => !line.closest("[hidden]")) ?? list[0];
  };
  root.addEventListener("keydown", (event) => {
    const element = event.target;
    if (typing(event) || !element.matches(LINKED)) return;
    const key = event.key.toLowerCase();
    if (key === "l" || key === "g") {
      const target = key === "l" ? view.partnerLine(element) : view.graph.of(element);
      if (target) view.jump(target);
      else view.say(NO_LINK);
    } else if (key === "r") view.back();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
});
