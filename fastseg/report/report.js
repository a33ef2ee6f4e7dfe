"use strict";
(() => {
  const table = document.getElementById("cases");
  if (table) {
    const body = table.tBodies[0];
    const headers = [...table.tHead.rows[0].cells];
    const rows = [...body.rows];
    const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
    const collator = new Intl.Collator(undefined, { numeric: true });

    // Rows without a value come last in both directions; equal ones keep their order.
    const sort = (column, direction) => {
      const numeric = headers[column].dataset.kind === "number";
      const keyed = rows.map((row, place) => {
        const cell = row.cells[column];
        const key = numeric ? Number(cell.dataset.value ?? NaN) : cell.textContent.trim();
        return { row, place, key, empty: numeric ? Number.isNaN(key) : key === "" };
      });
      keyed.sort((a, b) => {
        if (a.empty || b.empty) return a.empty - b.empty || a.place - b.place;
        const order = numeric ? Math.sign(a.key - b.key) || 0 : collator.compare(a.key, b.key);
        return direction * order || a.place - b.place;
      });
      body.replaceChildren(...keyed.map((entry) => entry.row));
    };

    headers.forEach((header, column) => {
      header.querySelector("button").addEventListener("click", () => {
        const ascending = header.getAttribute("aria-sort") !== "ascending";
        for (const other of headers) other.removeAttribute("aria-sort");
        header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
        sort(column, ascending ? 1 : -1);
      });
    });

    const filter = document.getElementById("filter");
    const output = document.getElementById("filtered");
    const all = output.textContent;
    const apply = () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      let left = 0;
      for (const row of rows) {
        row.hidden = !words.every((word) => texts.get(row).includes(word));
        left += !row.hidden;
      }
      output.textContent = words.length ? `${left.toLocaleString("en")} of ${all}` : all;
    };
    filter.addEventListener("input", apply);
    if (filter.value) apply(); // the browser keeps it when the page is loaded again
  }

  // Paper cannot be clicked: print everything.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const part of closed) part.open = true;
  });
  addEventListener("afterprint", () => {
    for (const part of closed) part.open = false;
  });
})();
