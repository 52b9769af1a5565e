// The page works without this; with it pictures can be dropped, pasted and taken, and are answered without a new page.
import { button, caption, node, render } from "./view.js";

const by = (id) => document.getElementById(id);
const [form, input, camera, chooser, stage, strip, say] = ["form", "image", "camera", "model", "stage", "strip", "say"].map(by);
const loading = { ask: "/", name: "" }; // a page from before the models were there
let shots = []; // the newest drop first: {file, url, model, state, share, answer, problem, seconds, request, button, article, figure, blobs}
let shown = null;
let queue = [];
let busy = false;

const chosen = () => {
  const option = chooser.selectedOptions[0];
  return option ? { name: option.value, ...option.dataset } : loading;
};

// ---- what is seen -------------------------------------------------------------------------

function show(shot) {
  shown = shot;
  const held = stage.contains(document.activeElement);
  shot.article ||= render(shot, { cancel: () => cancel(shot), retry: () => retry(shot) });
  stage.replaceChildren(shot.article, ...other(shot));
  if (held) shot.article.querySelector("h2").focus(); // what had the focus is gone
  list();
}

/** Another model was chosen since: it may be asked about the same picture. */
function other({ state, model, file }) {
  const { name } = chosen();
  if (name === model.name || !["answer", "problem"].includes(state)) return [];
  return [node("p", { className: "other" }, button(`Ask ${name} too`, () => add([file])))];
}

function list() {
  document.body.classList.toggle("some", shots.length > 0);
  by("history").hidden = shots.length < 2;
  for (const shot of shots) {
    shot.button.setAttribute("aria-current", shot === shown);
    shot.button.dataset.state = shot.state;
    shot.button.lastChild.textContent = caption(shot);
  }
}

function change(shot, state, more) {
  Object.assign(shot, { state, ...more, article: null });
  if (shot === shown) show(shot);
  else list();
  if (state === "answer" || state === "problem") say.textContent = `${shot.file.name}: ${caption(shot)}`;
}

function step(shot, share) {
  shot.share = share;
  const bar = shot === shown && stage.querySelector("progress");
  if (bar) bar.value = share;
}

// ---- pictures in --------------------------------------------------------------------------

function add(files) {
  const fresh = [...files].map((file) => ({ file, model: chosen(), state: "waiting", url: URL.createObjectURL(file) }));
  if (!fresh.length) return;
  for (const shot of fresh) {
    shot.button = node("button", { type: "button", onclick: () => show(shot) }, node("img", { src: shot.url, alt: "" }), node("span"));
    shot.button.firstChild.onerror = (event) => event.target.replaceWith(node("i"));
    shot.button.title = shot.file.name;
  }
  strip.prepend(...fresh.map((shot) => node("li", {}, shot.button)));
  shots = [...fresh, ...shots];
  queue.push(...fresh);
  show(fresh[0]);
  work();
}

// One after the other: the server is shared.
async function work() {
  if (busy) return;
  busy = true;
  for (let shot; (shot = queue.shift()); ) if (shot.state === "waiting") await ask(shot);
  busy = false;
}

async function ask(shot) {
  if (shot.file.size > form.dataset.most * 2 ** 20) return change(shot, "problem", { problem: { code: "too-large" } });
  change(shot, "sending", { share: 0 });
  const began = performance.now();
  const { status, content } = await send(shot);
  const seconds = (performance.now() - began) / 1000;
  if (shot.state === "cancelled") return;
  if (status === 401 && (await wantKey())) return ask(shot);
  if (status === 200 && content) change(shot, "answer", { answer: content, seconds });
  else change(shot, "problem", { problem: content || { code: status ? "other" : "offline", status } });
}

let key = ""; // of a server that wants one; nowhere else

function send(shot) {
  return new Promise((done) => {
    const request = (shot.request = new XMLHttpRequest()); // fetch tells no upload progress
    const end = (content) => done({ status: request.status, content });
    request.open("POST", shot.model.ask);
    request.setRequestHeader("Accept", "application/json");
    shot.headers = key ? { "X-API-Key": key } : {};
    for (const name in shot.headers) request.setRequestHeader(name, shot.headers[name]);
    request.upload.onprogress = (event) => event.lengthComputable && step(shot, event.loaded / event.total);
    request.upload.onload = () => change(shot, "looking");
    request.onerror = request.onabort = () => end(null);
    request.onload = () => {
      try {
        end(JSON.parse(request.responseText));
      } catch {
        end(null); // a proxy's page
      }
    };
    const body = new FormData();
    body.append("image", shot.file);
    request.send(body);
  });
}

function wantKey() {
  const dialog = by("key");
  by("key-text").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((done) => {
    dialog.onclose = () => {
      key = dialog.returnValue ? by("key-text").value.replace(/[^!-~]/g, "") : "";
      done(key);
    };
  });
}

function cancel(shot) {
  change(shot, "cancelled");
  say.textContent = `${shot.file.name}: cancelled`;
  shot.request?.abort();
}

function retry(shot) {
  change(shot, "waiting", { problem: null, model: chosen() });
  queue.push(shot);
  work();
}

function clear() {
  for (const shot of shots) {
    shot.state = "cancelled";
    shot.request?.abort();
    for (const url of [shot.url, ...(shot.blobs || [])]) URL.revokeObjectURL(url);
  }
  [shots, queue, shown] = [[], [], null];
  stage.replaceChildren();
  strip.replaceChildren();
  say.textContent = "";
  list();
  input.focus();
}

// ---- the ways in --------------------------------------------------------------------------

document.documentElement.classList.add("js");
input.required = false;
for (const one of [input, camera]) {
  one.addEventListener("change", () => { add(one.files); one.value = ""; });
}
const finger = matchMedia("(pointer: coarse)").matches;
document.documentElement.classList.toggle("touch", finger);
camera.hidden = by("take").hidden = !finger;
form.addEventListener("submit", (event) => event.preventDefault());
chooser.addEventListener("change", () => shown && show(shown));
by("clear").addEventListener("click", clear);
document.addEventListener("paste", (event) => add(event.clipboardData.files));

// The whole page takes a drop; a picture let go beside the frame should not open in its place.
const over = (event, is) => {
  if (event.dataTransfer && !event.dataTransfer.types.includes("Files")) return; // words, for a field
  event.preventDefault();
  by("drop").classList.toggle("over", is);
};
for (const name of ["dragenter", "dragover"]) document.addEventListener(name, (event) => over(event, true));
document.addEventListener("dragleave", (event) => over(event, event.relatedTarget !== null));
document.addEventListener("drop", (event) => { over(event, false); add(event.dataTransfer.files); });

for (const sample of document.querySelectorAll("#samples button")) {
  sample.addEventListener("click", async () => {
    const blob = await (await fetch(sample.dataset.url)).blob();
    add([new File([blob], sample.firstChild.alt, { type: blob.type })]);
  });
}
