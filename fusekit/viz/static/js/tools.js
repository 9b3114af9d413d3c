// Copying, theme.

function copyButton(find) {
  const element = button("copy", "Copy this text", async () => {
    const sign = (line) => Object.keys(SIGNS).find((kind) => line.matches(`.fk-diff .fk-${kind}`));
    const text = all(find(), ".fk-l").map((line) => `${SIGNS[sign(line)] ?? ""}${bare(line)}\n`).join("");
    try {
      await navigator.clipboard.writeText(text);
      element.textContent = "copied";
    } catch {
      element.textContent = "not allowed here";
    }
    setTimeout(() => { element.textContent = "copy"; }, 1200);
  });
  element.classList.add("fk-copy");
  return element;
}

function themeButton(root) {
  const dark = () => getComputedStyle(root).colorScheme === "dark" ||
    (getComputedStyle(root).colorScheme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  return button("theme", "Switch between light and dark", () => {
    const wanted = !dark();
    // Where the page around it is as wanted, the view follows that again.
    delete root.dataset.fkTheme;
    if (dark() !== wanted) root.dataset.fkTheme = wanted ? "dark" : "light";
  });
}

features.push(({ root, taking }) => {
  root.querySelector(".fk-user .fk-pane-title")?.append(copyButton(() => root.querySelector(".fk-user pre")));
  const tools = make("div", { class: "fk-tools" });
  if (taking) tools.append(taking);
  tools.append(themeButton(root));
  root.querySelector(".fk-top")?.append(tools);
});
