"use strict";
{
  const status = document.getElementById("live");
  const follow = document.getElementById("follow");
  const SECONDS = 2;
  let known = null;
  let failed = 0;
  follow.checked = sessionStorage.getItem("follow") !== "no";
  follow.addEventListener("change", () => sessionStorage.setItem("follow", follow.checked ? "yes" : "no"));

  const look = async () => {
    try {
      const answer = await fetch("state.json", { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.status);
      const state = await answer.json();
      failed = 0;
      known ??= state.version;
      if (state.version === known) {
        status.textContent = state.text;
      } else if (follow.checked && !document.querySelector("dialog[open]")) {
        location.reload();
        return;
      } else {
        status.textContent = `${state.text} There is news: load the page again to see it.`;
      }
    } catch {
      failed += 1;
      status.textContent = "The server does not answer; this is the last page that it gave.";
    }
    setTimeout(look, 1000 * SECONDS * Math.min(1 + failed, 15));
  };
  look();
}
