"use strict";
{
  const dialog = document.getElementById("large");
  const image = dialog.querySelector("img");
  const name = document.getElementById("large-name");
  const text = dialog.querySelector("p");
  let from = null;

  const shown = (gallery) => [...gallery.querySelectorAll("li:not([hidden]) .thumbnail")];

  const show = (button) => {
    from = button;
    const small = button.querySelector("img");
    image.src = small.src;
    image.alt = small.alt;
    name.textContent = button.querySelector(".name").textContent;
    text.textContent = button.parentElement.querySelector("p")?.textContent ?? "";
    const beside = shown(button.closest(".gallery")).length > 1;
    for (const each of dialog.querySelectorAll("[data-do=back], [data-do=on]")) each.hidden = !beside;
    if (!dialog.open) dialog.showModal();
  };

  const step = (by) => {
    const all = shown(from.closest(".gallery"));
    show(all[(all.indexOf(from) + by + all.length) % all.length]);
  };

  dialog.addEventListener("click", (event) => {
    const action = event.target.dataset.do;
    if (action === "close" || event.target === dialog) dialog.close();
    if (action === "back") step(-1);
    if (action === "on") step(1);
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  dialog.addEventListener("close", () => from.focus());

  for (const gallery of document.querySelectorAll(".gallery")) {
    const items = [...gallery.querySelectorAll("li")];
    const tags = new Map(items.map((item) => [item, JSON.parse(item.dataset.tags)]));
    const selects = [...gallery.querySelectorAll("select")];
    const filter = () => {
      const wanted = selects.map((select) => select.value).filter((value) => value);
      for (const item of items) item.hidden = !wanted.every((tag) => tags.get(item).includes(tag));
      const left = items.filter((item) => !item.hidden).length;
      gallery.querySelector(".shown").textContent = `${left} of ${items.length} shown`;
    };
    for (const select of selects) select.addEventListener("change", filter);
    if (selects.some((select) => select.value)) filter();
    gallery.addEventListener("click", (event) => {
      const button = event.target.closest(".thumbnail");
      if (button) show(button);
    });
  }
}
