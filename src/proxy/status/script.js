"use strict";
// Without this the page is whole; with it, it keeps itself up to date, and stubs can be copied.
(() => {
  const EVERY = 5000;
  const addButtons = () => {
    for (const pre of document.querySelectorAll("details pre")) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Copy";
      pre.after(button);
    }
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("details button");
    if (!button) return;
    const pre = button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(pre.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(pre);
      button.textContent = "Selected: press Ctrl+C";
    }
  });
  let paused = false;
  const pause = document.createElement("button");
  pause.type = "button";
  pause.id = "pause";
  const name = () => { pause.textContent = paused ? "Resume updates" : "Pause updates"; };
  pause.addEventListener("click", () => { paused = !paused; name(); });
  name();
  const place = () => document.getElementById("refresh").after(" ", pause);
  const isBusy = () =>
    paused || document.hidden || String(getSelection()) !== "" ||
    document.activeElement.closest?.("details, .scroll");
  const update = async () => {
    if (isBusy()) return;
    try {
      const reply = await fetch("/status", { cache: "no-store" });
      if (!reply.ok || isBusy()) return;
      const page = new DOMParser().parseFromString(await reply.text(), "text/html");
      for (const open of document.querySelectorAll("details[open]")) {
        const again = page.getElementById(open.id);
        if (again) again.open = true;
      }
      const focused = document.activeElement.id;
      document.title = page.title;
      document.querySelector("main").replaceWith(page.querySelector("main"));
      document.body.classList.remove("stale");
      addButtons();
      place();
      if (focused) document.getElementById(focused)?.focus();
    } catch {
      document.body.classList.add("stale");
    }
  };
  addButtons();
  place();
  setInterval(update, EVERY);
})();
