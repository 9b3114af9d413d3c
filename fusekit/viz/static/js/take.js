// Taking a view away: files that the page makes itself, without a kernel and without a network.

const NAME = "take away";

function saved(name, parts, type) {
  const link = make("a", { download: name, href: URL.createObjectURL(new Blob(parts, { type })) });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// The model is in the card's last comment: JSON, compressed by zlib, in base64.
async function modelOf(markdown) {
  const body = markdown.match(/\x3c!-- fusekit-view sha256:\w+\n([\w+/=\n]*)\n-->/)?.[1];
  if (!body) throw new Error("this view is too large to carry its model: use view.save()");
  const bytes = Uint8Array.from(atob(body.replaceAll("\n", "")), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).text();
}

// The page that this view would be by itself: what Python sent, with style and script.
function pageOf(title, html, needs) {
  const holds = (tag, ...marks) => all(document, tag).map((e) => e.textContent)
    .find((text) => marks.every((mark) => text.includes(mark))) ?? "";
  const page = document.implementation.createHTMLDocument(title);
  page.documentElement.lang = "en";
  page.head.prepend(make("meta", { charset: "utf-8" }));
  page.head.append(make("style", {}, ":root{color-scheme:light dark}body{margin:16px auto;max-width:1180px}"));
  page.body.innerHTML = html;
  page.body.dataset.fkPage = "";
  if (!page.querySelector(".fk-view > style")) {
    page.head.append(make("style", {}, holds("style", ".fk-view,.fk-vars{")));
  }
  const parts = needs.split(" ").filter(Boolean).map((part) => `"${part}"`);
  const script = holds("script[type=module]", "fk-view:not([data-fk-ready])", ...parts);
  if (script) page.body.append(make("script", { type: "module" }, script));
  return `<!DOCTYPE html>\n${page.documentElement.outerHTML}\n`;
}

features.push((view) => {
  const { root } = view;
  const take = root.querySelector(".fk-take");
  if (!take) return;
  const { name, markdown } = take.dataset;
  const [html, picture] = [root.outerHTML.replace(/ data-fk-ready="1"/, ""), root.querySelector("img.fk-img")?.src];
  const menu = make("details", { class: "fk-menu" });
  const list = make("div", { class: "fk-menu-list", role: "group", "aria-label": "take away" });
  const note = make("p", { class: "fk-note", role: "alert" });
  const item = view.offer = (text, label, act) => note.before(button(text, label, async () => {
    try {
      const said = await act();
      [menu.open, note.textContent] = [false, ""];
      menu.firstChild.focus();
      menu.firstChild.textContent = said;
      setTimeout(() => { menu.firstChild.textContent = NAME; }, 1500);
    } catch (error) {
      note.textContent = `not possible here: ${error.message}`;
    }
  }));
  const file = (ending, type, make_) => async () => {
    saved(`${name}.${ending}`, [await make_()], type);
    return "saved";
  };
  const summary = { title: "Take this view away as a file", "aria-live": "polite" };
  menu.append(make("summary", summary, NAME), list);
  list.append(note);
  if (picture) {
    const bytes = () => Uint8Array.from(atob(picture.split(",")[1]), (c) => c.charCodeAt(0));
    item("picture (SVG)", "Download the graph as SVG", file("svg", "image/svg+xml", bytes));
  }
  item("page (HTML)", "Download this view as a page", file("html", "text/html", () => pageOf(name, html, root.dataset.fkParts)));
  item("data (JSON)", "Download the model, for fusekit.load", file("fk.json", "application/json", () => modelOf(markdown)));
  item("card (Markdown)", "Download the card as Markdown", file("md", "text/markdown", () => markdown));
  item("copy Markdown", "Copy the card, for an issue", async () => {
    await navigator.clipboard.writeText(markdown);
    return "copied";
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    event.stopPropagation();
    menu.open = false;
    menu.firstChild.focus();
  });
  view.taking = menu;
});
