// What a reader cannot see of an open page, one line each: text and pictures beyond the edge of what holds them, and
// figures that are shown so small that their letters cannot be read. Everything that is folded is unfolded first.
//
// Code may scroll sideways, as it does in every editor, and so may a formula. Nothing else may: on a phone nobody sees
// that there is more.
(() => {
  const SCROLLS = "div.highlight pre, .math-block";
  const PICTURES = "svg, img, canvas, video, table, input, select, button";
  const PIXELS = 1.5;  // rounding
  const SMALLEST = 0.7;  // of the size at which a figure was drawn: its smallest letters then are 9 pixels high
  const WINDOW = { left: 0, right: innerWidth, top: -Infinity, bottom: Infinity };
  const lines = new Set(), told = new Set();
  for (const one of document.querySelectorAll("details")) one.open = true;

  function tell(node, what) {
    const words = (node.getAttribute("aria-label") || node.textContent || "").trim().replace(/\s+/g, " ").slice(0, 60);
    told.add(node);
    lines.add(`cut: ${[node.tagName.toLowerCase(), ...node.classList].join(".")} ${what}: ${words}`);
  }

  // The part of the window in which a thing inside `node` can be seen without scrolling; null where it may scroll, or
  // is there for screen readers alone. `itself`: the thing is the text of `node`, so what `node` hides counts too.
  // Every node is asked once: a long page has thousands of words in a few boxes.
  const known = new Map();

  function seen(node, itself) {
    return itself ? inside(node) : shown(node) ? inside(node.parentElement) : null;
  }

  function shown(node) {
    const edge = node.getBoundingClientRect();
    return edge.width > 1 && edge.height > 1 && getComputedStyle(node).clipPath === "none";
  }

  function inside(node) {
    if (!node || node === document.documentElement) return WINDOW;
    if (!known.has(node)) known.set(node, narrowed(node));
    return known.get(node);
  }

  function narrowed(node) {
    if (!shown(node)) return null;
    const style = getComputedStyle(node), edge = node.getBoundingClientRect();
    const around = style.position === "fixed" ? WINDOW : inside(node.parentElement);
    if (!around) return null;
    const part = { ...around };
    if (style.overflowX !== "visible" && style.display !== "inline") {
      if (node.matches(SCROLLS) && !node.closest(".cell_output")) return null;
      part.left = Math.max(part.left, edge.left), part.right = Math.min(part.right, edge.right);
    }
    if (["hidden", "clip"].includes(style.overflowY) && style.display !== "inline") {
      part.top = Math.max(part.top, edge.top), part.bottom = Math.min(part.bottom, edge.bottom);
    }
    return part;
  }

  // Says the first box of `node` that cannot be seen whole; nothing where something around it was named already.
  function check(node, boxes, itself) {
    for (let up = told.size ? node : null; up; up = up.parentElement) if (told.has(up)) return;
    const window_ = seen(node, itself);
    for (const box of window_ ? boxes : []) {
      const { left, right, top, bottom } = window_, middle = box.top + box.height / 2;
      const edges = `reaches from ${Math.round(box.left)} to ${Math.round(box.right)}`;
      if (box.width < 1 || box.height < 1) continue;
      if (box.left < left - PIXELS || box.right > right + PIXELS) {
        return tell(node, `${edges}, and can be seen from ${Math.round(left)} to ${Math.round(right)}`);
      }
      if (middle < top || middle > bottom) return tell(node, "is hidden above or below the edge");
    }
  }

  // The boxes of the words: blanks at the end of a line may hang over its edge.
  function words(text) {
    const boxes = [], range = document.createRange();
    for (const word of text.textContent.matchAll(/\S+/g)) {
      range.setStart(text, word.index);
      range.setEnd(text, word.index + word[0].length);
      boxes.push(...range.getClientRects());
    }
    return boxes;
  }

  for (const one of document.querySelectorAll("body *")) {
    if (!one.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
    if (one.parentElement.closest("svg")) continue;
    if (one.matches(PICTURES)) check(one, [one.getBoundingClientRect()], false);
    for (const text of one.childNodes) if (text.nodeType === Node.TEXT_NODE) check(one, words(text), true);
  }

  for (const svg of document.querySelectorAll("svg.mm-figure")) {
    const edge = svg.getBoundingClientRect(), drawn = svg.viewBox.baseVal.width * 96 / 72;
    if (edge.width && edge.width < SMALLEST * drawn) {
      tell(svg, `is ${Math.round(edge.width)} pixels wide, drawn were ${Math.round(drawn)}: too small to read`);
    }
    for (const part of svg.querySelectorAll("path, use, text, image")) {
      if (part.closest("defs, clipPath, [clip-path]")) continue;
      const box = part.getBoundingClientRect();
      const beyond = [edge.left - box.left, box.right - edge.right, edge.top - box.top, box.bottom - edge.bottom];
      if (edge.width && box.width && Math.max(...beyond) > PIXELS) tell(svg, "draws beyond its edge");
    }
  }
  return [...lines];
})()
