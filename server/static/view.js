// One picture and what became of it, as elements. Strangers' words (file names, labels, XML, sentences) are text, never HTML.
import { ask } from "./feedback.js";
import { code, parsed, redrawn, tree } from "./xml.js";

/** An element with properties and children; strings become text. */
export function node(tag, properties = {}, ...children) {
  const { dataset, aria, ...rest } = properties;
  const made = Object.assign(document.createElement(tag), rest);
  Object.assign(made.dataset, dataset);
  for (const name in aria) made.setAttribute(name, aria[name]);
  made.append(...children.filter((child) => child || child === 0));
  return made;
}

/** `kind` is empty for the one that leads on. */
export const button = (text, onclick, kind = "plain") => node("button", { type: "button", className: `button ${kind}`, onclick }, text);

const percent = (share) => `${(100 * share).toFixed(1)} %`;
const bestOf = (rows) => {
  if (rows[0].present === undefined) return rows[0].label;
  return rows.filter((row) => row.present).map((row) => row.label).join(", ") || "None of the labels";
};

/** The server's table of words: {title, text, again} for a code. */
function words({ code }) {
  const all = [...document.getElementById("words").content.children];
  const found = all.find((one) => one.dataset.code === code) || all.at(-1);
  return { title: found.dataset.title, text: found.textContent, again: found.dataset.again };
}

/** One line about a picture: for the strip, and for who listens. */
export function caption({ state, answer, problem }) {
  if (state === "problem") return `✕ ${words(problem).title}`;
  if (state !== "answer") return { waiting: "Waits", sending: "Sending", looking: "Looking", cancelled: "Cancelled" }[state];
  if (answer.predictions) {
    const [{ present, probability }] = answer.predictions;
    return bestOf(answer.predictions) + (present === undefined ? ` ${percent(probability)}` : "");
  }
  return answer.sure ? "✓ Sure" : "? Unsure";
}

/** The article of a picture in its present state; `does` has what its buttons do. */
export function render(shot, does) {
  const { state, answer } = shot;
  const kind = { answer: answer?.xml === undefined ? "labels" : "convert", problem: "problem" }[state] || "wait";
  shot.figure ||= picture(shot);
  const side = node("div", { className: "side" }, shot.figure);
  const main = node("div", { className: "main" });
  const article = node("article", { className: `answer live ${kind}`, dataset: { state } }, side, main);
  ({ labels, convert, problem, wait })[kind](main, shot, does, article);
  if (state === "answer") main.append(facts(answer, shot.seconds));
  if (kind === "labels") main.append(...ask(shot));
  return article;
}

const best = (text, more) => node("h2", { className: "best", tabIndex: -1 }, text, more && " ", more && node("span", {}, more));

function picture({ file, url }) {
  const seen = node("img", { src: url, alt: file.name });
  seen.onerror = () => seen.replaceWith(node("p", { className: "blind" }, "No preview"));
  return node("figure", {}, seen, node("figcaption", {}, file.name));
}

const time = (seconds) => (seconds < 1 ? `${Math.round(1000 * seconds)} ms` : `${seconds.toFixed(1)} s`);

function facts({ model, request_id, score }, seconds) {
  const row = (name, ...what) => node("div", {}, node("dt", {}, name), node("dd", {}, ...what));
  return node("dl", { className: "facts" },
    model && row("Model", `${model.name} `, node("code", { title: model.id }, model.id.slice(0, 8))),
    score !== undefined && row("Score", score.toFixed(3)),
    seconds !== undefined && row("Time", time(seconds)),
    request_id && row("Request", node("code", {}, request_id)));
}

function wait(main, { state, share, file }, does) {
  const title = { waiting: "Waits its turn", sending: "Sending", looking: "Looking", cancelled: "Cancelled" }[state];
  main.append(best(title));
  if (state === "cancelled") return main.append(node("p", {}, "No answer was waited for."), button("Try again", does.retry));
  const bar = node("progress", { max: 1, aria: { "aria-label": `${title} ${file.name}` } });
  if (state === "sending") bar.value = share || 0;
  main.append(bar, button("Cancel", does.cancel));
}

function problem(main, { problem: found }, does) {
  const { title, text, again } = words(found);
  main.append(best(title), node("p", {}, text));
  if (found.detail) main.append(node("p", { className: "detail" }, `The server says: ${found.detail}`));
  if (found.status && !found.detail) main.append(node("p", { className: "detail" }, `Status ${found.status}`));
  if (again) main.append(button("Try again", does.retry));
  main.append(facts(found));
}

function labels(main, { answer: { predictions } }) {
  const several = predictions[0].present !== undefined;
  const row = ({ label, probability, present }) => node("li", { className: several ? (present ? "present" : "absent") : "" },
    node("span", { className: "label" }, label),
    node("meter", { max: 1, value: probability, aria: { "aria-hidden": "true" } }),
    node("span", { className: "percent" }, percent(probability)),
    several && node("span", { className: "mark" }, present ? "present" : "absent"));
  main.append(best(bestOf(predictions), !several && percent(predictions[0].probability)), node("ol", { className: "bars" }, ...predictions.map(row)));
}

// ---- pictures to XML ----------------------------------------------------------------------

function convert(main, shot, _does, article) {
  const { xml, sure, valid } = shot.answer;
  const found = parsed(xml);
  const svg = found?.documentElement.namespaceURI === "http://www.w3.org/2000/svg";
  article.classList.toggle("unsure", !sure);
  main.append(best(sure ? "Sure" : "Unsure"));
  const note = (text) => main.append(node("p", { className: "note" }, text));
  if (!sure) note("The picture may be none of the kind that this model knows. Look at the answer before you use it.");
  if (!valid) note("The XML is not valid by the model's own schema.");
  if (svg) lay(shot, found);
  else if (found) {
    const aria = { role: "group", "aria-label": "The XML as a tree" };
    article.querySelector(".side").append(node("div", { className: "tree", aria }, tree(found.documentElement)));
  }
  main.append(tools(shot, svg), code(xml));
}

function blob(shot, text, type) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  (shot.blobs ||= []).push(url);
  return url;
}

/** The drawing over the picture, as the model saw it: an image, so that nothing in it is part of the page. */
function lay(shot, found) {
  const { figure, file, model } = shot;
  const url = blob(shot, redrawn(found), "image/svg+xml");
  const drawn = node("img", { src: url, className: "drawn", alt: `${file.name}, drawn again` });
  const frame = node("div", { className: "frame", dataset: { resize: model.resize || "pad" } });
  frame.style.aspectRatio = model.ratio || 1;
  const seen = figure.firstChild;
  seen.replaceWith(frame);
  frame.append(seen, drawn);
  const slider = node("input", { type: "range", min: 0, max: 100, value: 50, aria: { "aria-label": "From the picture to the drawing" } });
  const move = () => {
    frame.style.setProperty("--share", slider.value / 100);
    slider.setAttribute("aria-valuetext", slider.value < 34 ? "picture" : slider.value > 66 ? "drawing" : "drawing over picture");
  };
  slider.oninput = move;
  move();
  frame.after(node("div", { className: "slide" }, node("span", {}, "Picture"), slider, node("span", {}, "Drawing")));
}

function tools(shot, svg) {
  const { answer: { xml }, file } = shot;
  const url = blob(shot, xml, svg ? "image/svg+xml" : "application/xml");
  const name = `${file.name.replace(/\.[^.]*$/, "")}.${svg ? "svg" : "xml"}`;
  const copy = button("Copy", async () => { copy.textContent = (await copied(xml)) ? "Copied" : "Not copied"; });
  return node("p", { className: "tools" }, copy, node("a", { className: "button plain", href: url, download: name }, "Download"));
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch { // a page that came by plain HTTP has no clipboard
    getSelection().selectAllChildren(document.querySelector(".xml"));
    return document.execCommand("copy");
  }
}
