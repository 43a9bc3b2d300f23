// Comfort only: every page works without this file.
(() => {
  "use strict";
  document.documentElement.classList.add("js");

  // What happened is said to those who do not see it.
  const said = document.createElement("p");
  said.className = "unseen";
  said.setAttribute("role", "status");
  document.body.append(said);

  // An order's steps move as they happen; when its page says something else by now, that one takes this one's place.
  const LOOK_AGAIN_MS = 4000;
  const watch = () => {
    const live = document.querySelector("[data-live]");
    if (!live || !("EventSource" in window)) return;
    const source = new EventSource(live.dataset.live);
    source.addEventListener("steps", (event) => {
      const next = document.createElement("template");
      next.innerHTML = event.data;
      const [shown, fresh] = [live, next.content].map((root) => [...root.querySelectorAll(".step")]);
      if (shown.length !== fresh.length) live.innerHTML = event.data;
      else shown.forEach((step, at) => { if (step.outerHTML !== fresh[at].outerHTML) step.replaceWith(fresh[at]); });
    });
    source.addEventListener("turn", () => { source.close(); turn(); });
    source.addEventListener("error", () => { if (source.readyState === EventSource.CLOSED) setTimeout(turn, LOOK_AGAIN_MS); });
  };
  const turn = async () => {
    try {
      const answer = await fetch(window.location.href);
      if (answer.status >= 500) throw new Error("away for a moment");
      if (!answer.ok || answer.redirected) { window.location.reload(); return; }
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      document.title = page.title;
      document.querySelector("main").replaceWith(page.querySelector("main"));
      said.textContent = document.querySelector("h1").textContent;
      watch();
    } catch {
      setTimeout(turn, LOOK_AGAIN_MS);
    }
  };
  watch();

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
    button.textContent = said.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; said.textContent = ""; }, 1600);
  });

  // A form is sent once, however often its button is pressed.
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

  // A brand's colours are seen before they are saved.
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
