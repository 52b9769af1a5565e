// XML as it is read: coloured text, a tree, and a drawing of its own. Everything is text or an image; nothing of it becomes part of the page.
import { node } from "./view.js";

const MOST_COLOURED = 200_000; // characters; more would be some 100,000 elements
const MOST_NODES = 2000;
const TOKENS = /(<!--[^]*?-->|<\?[^]*?\?>|<!\[CDATA\[[^]*?\]\]>)|(<\/?)([^\s<>/="']+)|([^\s<>/="']+)(?==["'])|("[^"]*"|'[^']*')|(\/?>)/g;

/** The document, or null where it is none. Scripts in it are never run, and nothing is fetched. */
export function parsed(xml) {
  const found = new DOMParser().parseFromString(xml, "application/xml");
  return found.querySelector("parsererror") ? null : found;
}

/** <pre> of the text, in colours. */
export function code(xml) {
  const pre = node("pre", { className: "xml", tabIndex: 0, aria: { role: "region", "aria-label": "XML" } });
  if (xml.length > MOST_COLOURED) {
    pre.textContent = xml;
    return pre;
  }
  let at = 0;
  const put = (text, kind) => pre.append(kind ? node("span", { className: kind }, text) : text);
  for (const found of xml.matchAll(TOKENS)) {
    if (found.index > at) put(xml.slice(at, found.index));
    const [all, aside, open, name, attribute, value] = found;
    if (aside) put(aside, "x-aside");
    else if (open) { put(open, "x-mark"); put(name, "x-name"); }
    else if (attribute) put(attribute, "x-attribute");
    else if (value) put(value, "x-value");
    else put(all, "x-mark");
    at = found.index + all.length;
  }
  if (at < xml.length) put(xml.slice(at));
  return pre;
}

/** Nested <details>; the first levels are open. */
export function tree(root) {
  let left = MOST_NODES;
  const grow = (element, depth) => {
    left -= 1;
    const says = [node("span", { className: "x-name" }, element.nodeName)];
    for (const { name, value } of element.attributes) {
      says.push(node("span", { className: "x-attribute" }, ` ${name} `), node("span", { className: "x-value" }, value));
    }
    const texts = [...element.childNodes].filter((one) => one.nodeType === Node.TEXT_NODE && one.data.trim());
    says.push(...texts.map((one) => ` ${one.data.trim()}`));
    if (!element.children.length) return node("div", { className: "leaf" }, ...says);
    const grown = node("details", { open: depth < 4 }, node("summary", {}, ...says));
    for (const child of element.children) {
      if (left <= 0) {
        grown.append(node("div", { className: "leaf" }, "…"));
        break;
      }
      grown.append(grow(child, depth + 1));
    }
    return grown;
  };
  return grow(root, 0);
}

/** The SVG's text; lines where it names no paint, since it would be black from side to side. */
export function redrawn(found) {
  const copy = found.cloneNode(true);
  const all = [...copy.querySelectorAll("*")];
  const painted = all.some((one) => one.localName === "style" || ["fill", "stroke", "style"].some((name) => one.hasAttribute(name)));
  const paint = { fill: "none", stroke: "#1f6f8b", "stroke-width": "1.5", "stroke-linejoin": "round" };
  if (!painted) for (const name in paint) copy.documentElement.setAttribute(name, paint[name]);
  return new XMLSerializer().serializeToString(copy);
}
