// What is wrong with the page as it is shown now, as sentences. The width is that of the window; below `phone` people use fingers.
((width) => {
  "use strict";
  const phone = 640;
  const wrong = new Set();
  // Nothing is wider than the window.
  const root = document.scrollingElement;
  if (root.scrollWidth > width) {
    const wide = all("body *").filter((it) => isShown(it) && it.getBoundingClientRect().right > width + 1);
    const inner = wide.filter((it) => !it.closest(".scroll, .rail") && !wide.some((other) => other !== it && it.contains(other)));
    wrong.add(`${root.scrollWidth - width} px too wide: ${inner.slice(0, 3).map(called).join(", ")}`);
  }
  // Nothing is cut off.
  for (const it of all("body *")) {
    if (!isShown(it) || it.closest("svg") || it.matches("input, select, textarea, .scroll, .rail")) continue;
    const style = getComputedStyle(it);
    // A name that ends in an ellipsis is cut off on purpose.
    const hides = style.overflowX !== "visible" && style.textOverflow !== "ellipsis";
    if (hides && it.scrollWidth > it.clientWidth + 1) wrong.add(`cut off: ${called(it)}`);
  }

  // One heading, unique ids, a language, a title.
  const heads = all("h1").filter(isShown).length;
  if (heads !== 1) wrong.add(`${heads} main headings`);
  const ids = all("[id]").map((it) => it.id);
  for (const id of new Set(ids.filter((id, at) => ids.indexOf(id) !== at))) wrong.add(`the id ${id} is used twice`);
  if (!document.documentElement.lang) wrong.add("no language");
  if (!document.title.trim()) wrong.add("no title");
  if (/undefined|NaN|\[object|null\b/.test(document.body.innerText)) wrong.add("a value that is none is shown");

  // Everything one works with says what it is, and what it refers to is there.
  for (const it of all("input:not([type=hidden]), select, textarea")) {
    if (!it.labels?.length && !it.getAttribute("aria-label")) wrong.add(`without label: ${called(it)} ${it.name}`);
  }
  for (const it of all("a[href], button, summary")) {
    if (isShown(it) && !it.innerText.trim() && !it.getAttribute("aria-label") && !it.querySelector("img[alt]:not([alt=''])")) wrong.add(`says nothing: ${called(it)}`);
  }
  for (const it of all("[aria-describedby], [aria-labelledby], label[for]")) {
    for (const id of (it.getAttribute("aria-describedby") ?? it.getAttribute("aria-labelledby") ?? it.htmlFor).split(" ")) {
      if (!document.getElementById(id)) wrong.add(`refers to nothing: ${called(it)} → ${id}`);
    }
  }

  // Large enough to be hit: 24 px, with fingers 44 px for what is not a link within a text.
  for (const it of all("a[href], button, summary, select, textarea, input:not([type=hidden])")) {
    if (!isShown(it)) continue;
    const isPlainLink = it.localName === "a" && getComputedStyle(it).display === "inline";
    if (isPlainLink) continue;
    const isBox = it.matches("[type=checkbox], [type=radio]");
    const box = (isBox ? (it.closest("label") ?? it) : it).getBoundingClientRect();
    const least = width < phone && !isBox && !it.matches(".copy, .theme button") ? 44 : isBox && width < phone ? 22 : 24;
    if (Math.round(box.height) < least || Math.round(box.width) < Math.min(least, 24)) {
      wrong.add(`hard to hit (${Math.round(box.width)} x ${Math.round(box.height)}): ${called(it)}`);
    }
  }

  return [...wrong];
})
