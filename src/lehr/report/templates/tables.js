"use strict";
{
  /* Where a narrow screen shows rows as cards, there are no heads to press. */
  const chooser = (heads) => {
    const row = document.createElement("div");
    const label = document.createElement("label");
    const select = document.createElement("select");
    const turn = document.createElement("button");
    heads.forEach((head, column) => select.add(new Option(head.textContent, column)));
    label.append("Sort by ", select);
    turn.type = "button";
    turn.textContent = "\u2195";
    turn.setAttribute("aria-label", "Reverse the order");
    row.className = "sort";
    row.append(label, turn);
    const press = () => heads[Number(select.value)].querySelector("button").click();
    select.addEventListener("change", press);
    turn.addEventListener("click", press);
    return row;
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    const compare = (a, b, column, direction) => {
      const [x, y] = [a.cells[column], b.cells[column]];
      if (!("sort" in x.dataset && "sort" in y.dataset)) {
        return direction * x.textContent.localeCompare(y.textContent, undefined, { numeric: true });
      }
      const [p, q] = [x.dataset.sort, y.dataset.sort];
      if (p === "inf" || q === "inf") return (p === "inf") - (q === "inf");
      return direction * (Number(p) - Number(q));
    };
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const direction = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
        const rows = [...table.tBodies[0].rows].sort((a, b) => compare(a, b, column, direction));
        table.tBodies[0].append(...rows);
      });
    });
    if (table.classList.contains("cards")) table.before(chooser(heads));
  }
}
