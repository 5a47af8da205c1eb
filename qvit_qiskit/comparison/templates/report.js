"use strict";
// Opens folded parts that a link leads to, and all of them for printing; sorts, filters and pages
// the table of images. The page is complete without it.
const PAGE = 10;

function unfold() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  const part = target && target.querySelector("details");
  if (part) { part.open = true; target.scrollIntoView(); }
}
addEventListener("hashchange", unfold);
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details")) part.open = true;
});
unfold();

for (const box of document.querySelectorAll(".images")) {
  const body = box.querySelector("tbody");
  const rows = [...body.rows];
  const tools = box.querySelector(".tools");
  const changed = box.querySelector("[name=changed]");
  const label = box.querySelector("[name=label]");
  const count = box.querySelector(".count");
  const [back, next] = box.querySelectorAll(".turn");
  let page = 0;

  function show() {
    const kept = [...body.rows].filter((row) =>
      (!changed.checked || row.dataset.changed === "1") &&
      (!label || !label.value || row.dataset.label === label.value));
    const pages = Math.max(1, Math.ceil(kept.length / PAGE));
    page = Math.min(page, pages - 1);
    for (const row of rows) row.hidden = true;
    for (const row of kept.slice(page * PAGE, (page + 1) * PAGE)) row.hidden = false;
    count.textContent = `${kept.length} images, page ${page + 1} of ${pages}`;
    back.disabled = page === 0;
    next.disabled = page === pages - 1;
  }
  function sort(head) {
    const column = head.cellIndex;
    const down = head.getAttribute("aria-sort") === "ascending";
    const key = (row) => row.cells[column].dataset.value;
    const numeric = rows.every((row) => !isNaN(key(row)));
    const order = (a, b) => numeric ? key(a) - key(b) : key(a).localeCompare(key(b));
    const sorted = [...rows].sort((a, b) => down ? order(b, a) : order(a, b));
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...sorted);
    page = 0;
    show();
  }
  for (const button of box.querySelectorAll("thead button")) {
    button.disabled = false;
    button.addEventListener("click", () => sort(button.parentNode));
  }
  for (const input of [changed, label]) {
    if (input) input.addEventListener("change", () => { page = 0; show(); });
  }
  back.addEventListener("click", () => { page -= 1; show(); });
  next.addEventListener("click", () => { page += 1; show(); });
  tools.hidden = false;
  show();
}
