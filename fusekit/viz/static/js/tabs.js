// Tabs over generated sources, copying, theme.

function tabs(pane) {
  const sources = all(pane, ".fk-src");
  if (!sources.length) return;
  const bar = make("div", { class: "fk-bar-top" });
  const list = make("div", { class: "fk-tabs", role: "tablist", "aria-label": "generated sources" });
  sources.forEach((source, index) => {
    source.open = true;
    const tab = button(source.querySelector("summary").textContent, "", () => source.fkShow());
    ["title", "aria-label"].forEach((name) => tab.removeAttribute(name));
    tab.setAttribute("role", "tab");
    source.fkShow = () => sources.forEach((other, at) => {
      other.hidden = at !== index;
      list.children[at].setAttribute("aria-selected", String(at === index));
    });
    list.append(tab);
  });
  bar.append(list, copyButton(() => sources.find((source) => !source.hidden).querySelector("pre")));
  pane.prepend(bar);
  pane.classList.add("fk-tabbed");
  sources[0].fkShow();
}

function copyButton(find) {
  const element = button("copy", "Copy this text", async () => {
    const text = all(find(), ".fk-l").map((line) => {
      const copy = line.cloneNode(true);
      copy.querySelector(".fk-no")?.remove();
      return copy.textContent;
    }).join("");
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
    root.dataset.fkTheme = dark() ? "light" : "dark";
  });
}

features.push(({ root, taking }) => {
  all(root, ".fk-generated").forEach(tabs);
  root.querySelector(".fk-user .fk-pane-title")?.append(copyButton(() => root.querySelector(".fk-user pre")));
  const tools = make("div", { class: "fk-tools" });
  if (taking) tools.append(taking);
  tools.append(themeButton(root));
  root.querySelector(".fk-top")?.append(tools);
});
