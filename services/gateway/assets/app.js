// Comfort only: every page works without this file.
(() => {
  "use strict";
  document.documentElement.classList.add("js");
  const live = document.querySelector("[data-live]");
  if (live && "EventSource" in window) {
    const source = new EventSource(live.dataset.live);
    source.addEventListener("steps", (event) => { live.innerHTML = event.data; });
    source.addEventListener("done", () => { source.close(); window.location.replace(live.dataset.then || window.location.href); });
  }
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const text = button.dataset.copy;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    const label = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 1600);
  });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.sent) { event.preventDefault(); return; }
    if (form.method.toLowerCase() !== "post") return;
    form.dataset.sent = "1";
    for (const button of form.querySelectorAll("button[type=submit]")) button.setAttribute("aria-busy", "true");
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
    for (const button of document.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
  });
  const sample = document.querySelector("[data-sample]");
  if (sample) {
    const show = () => {
      for (const input of document.querySelectorAll("input[type=color]")) {
        const name = input.name.replace(/^tokens\.values\./, "");
        const dark = name.endsWith("-dark");
        const target = sample.querySelector(dark ? "[data-scheme=dark]" : "[data-scheme=light]");
        if (target) target.style.setProperty(`--${name.replace(/-dark$/, "")}`, input.value);
      }
      const radius = document.querySelector("[name='tokens.values.radius']");
      if (radius) sample.style.setProperty("--radius", `${radius.value || 10}px`);
    };
    document.addEventListener("input", show);
    show();
  }
})();
