// What is hard to read on the page in the colours it has now, as sentences.
(() => {
  "use strict";
  const wrong = new Set();
  // Readable: text against what is behind it.
  const parsed = (text) => {
    const numbers = text.match(/-?[\d.]+(?:e-?\d+)?/g)?.map(Number) ?? [0, 0, 0, 0];
    const scale = text.startsWith("color(") ? 255 : 1;
    return [numbers[0] * scale, numbers[1] * scale, numbers[2] * scale, numbers[3] ?? 1];
  };
  const over = (front, back) => [0, 1, 2].map((at) => front[at] * front[3] + back[at] * (1 - front[3])).concat(1);
  const behind = (it) => {
    const layers = [];
    for (let at = it; at; at = at.parentElement) {
      const colour = parsed(getComputedStyle(at).backgroundColor);
      if (colour[3] > 0) layers.push(colour);
      if (colour[3] === 1) break;
    }
    return layers.reduceRight((back, front) => over(front, back), [255, 255, 255, 1]);
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (one, other) => {
    const [high, low] = [light(one), light(other)].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
  };
  for (const it of all("body *")) {
    const hasText = [...it.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!hasText || !isShown(it) || it.closest("svg, [aria-hidden=true], option, noscript")) continue;
    const style = getComputedStyle(it);
    const back = behind(it);
    const size = parseFloat(style.fontSize);
    const least = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
    const found = ratio(over(parsed(style.color), back), back);
    if (found < least) wrong.add(`hard to read (${found.toFixed(2)}): ${called(it)}`);
  }
  for (const it of all("input:not([type=hidden], [type=checkbox], [type=radio], [type=color]), select, textarea")) {
    if (!isShown(it)) continue;
    const found = ratio(over(parsed(getComputedStyle(it).borderTopColor), behind(it.parentElement)), behind(it.parentElement));
    if (found < 3) wrong.add(`an edge that is hard to see (${found.toFixed(2)}): ${called(it)}`);
  }
  return [...wrong];
})
