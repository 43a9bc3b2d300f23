// What both audits say of an element, and whether it is seen.
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const called = (it) => {
  const name = it.id ? `#${it.id}` : it.className && it.className.baseVal === undefined ? `.${it.className.replace(/ /g, ".")}` : "";
  return `<${it.localName}${name}> "${(it.innerText || it.value || "").trim().replace(/\s+/g, " ").slice(0, 40)}"`;
};
const isShown = (it) => it.checkVisibility({ visibilityProperty: true }) && !it.closest(".unseen, .skip") && it.getClientRects().length > 0;
