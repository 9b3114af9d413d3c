// Sliders of forms: the slider moves the field beside it, which is sent when the slider rests.

dressings.push((form) => all(form, ".fk-slider").forEach((box) => {
  const [range, field] = [box.querySelector("[type=range]"), box.querySelector("[type=number]")];
  const [stops, said] = [box.dataset.stops.split(" "), box.dataset.said.split("|")];
  let timer = 0;
  range.addEventListener("input", () => {
    clearTimeout(timer);
    field.value = stops[range.value];
    box.querySelector("output").textContent = said[range.value];
    range.setAttribute("aria-valuetext", said[range.value]);
  });
  range.addEventListener("change", () => {
    clearTimeout(timer); // one key after the other is one move
    timer = setTimeout(() => field.dispatchEvent(new Event("change", { bubbles: true })), PAUSE);
  });
}));
