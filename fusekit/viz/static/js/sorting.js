// Tables whose columns sort: a button in each head, by number where all cells begin with one.

features.push(({ root }) => {
  all(root, "table.fk-sortable").forEach((table) => all(table, "thead th").forEach((head, at) => {
    const text = (row) => row.cells[at].textContent;
    const sort = () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      all(table, "thead th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = all(table, "tbody tr").sort((a, b) =>
        text(a).localeCompare(text(b), "en", { numeric: true }) * (up ? 1 : -1));
      table.tBodies[0].append(...rows);
    };
    const name = head.textContent;
    head.replaceChildren(button(name, `Sort by ${name}`, sort));
  }));
});
