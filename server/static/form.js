"use strict";
// The page works without this; with it, pictures can be dropped and are answered without a new page.
const form = document.getElementById("form");
const input = document.getElementById("image");
const drop = document.getElementById("drop");
const results = document.getElementById("results");
document.documentElement.classList.add("js");

const element = (tag, text, name) => {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text; // never as HTML: file names and labels are strangers' words
  if (name) made.className = name;
  return made;
};

const percent = (share) => `${(100 * share).toFixed(1)} %`;

const signed = (answer) => element("p", `${answer.model.name} ${answer.model.id.slice(0, 8)} · request ${answer.request_id}`, "id");

function show(article, answer) {
  const best = element("p", "XML ", "best");
  best.append(element("span", `${answer.sure ? "sure" : "not sure"}, ${percent(answer.score)}`));
  article.append(best, element("pre", answer.xml), signed(answer));
}

function fill(article, answer) {
  const best = element("p", `${answer.predictions[0].label} `, "best");
  best.append(element("span", percent(answer.predictions[0].probability)));
  const list = element("ol");
  for (const { label, probability } of answer.predictions) {
    const meter = element("meter");
    meter.max = 1;
    meter.value = probability;
    const line = element("li");
    line.append(element("span", label, "label"), meter, element("span", percent(probability), "percent"));
    list.append(line);
  }
  article.append(best, list, signed(answer));
}

function complain(article, title, detail, id) {
  article.classList.add("problem");
  article.append(element("p", title, "best"), element("p", detail), element("p", id ? `request ${id}` : "", "id"));
}

// A server with keys wants one; it is kept as long as the page is open, and nowhere else.
let key = "";

async function ask(body) {
  const headers = { Accept: "application/json", ...(key && { "X-API-Key": key }) };
  const response = await fetch(form.parentElement.dataset.ask, { method: "POST", body, headers });
  if (response.status !== 401) return response;
  key = (prompt("This server wants a key:") || "").replace(/[^!-~]/g, "");
  return key ? ask(body) : response;
}

async function classify(file) {
  const article = element("article", undefined, "answer");
  const picture = element("img");
  picture.alt = file.name;
  picture.src = URL.createObjectURL(file);
  picture.onerror = () => picture.remove();
  const waiting = element("p", `Looking at ${file.name} …`);
  article.append(picture, waiting);
  results.prepend(article);
  const body = new FormData();
  body.append("image", file);
  try {
    const response = await ask(body);
    const answer = await response.json();
    waiting.remove();
    if (response.ok) (answer.xml ? show : fill)(article, answer);
    else complain(article, file.name, answer.detail, answer.request_id);
  } catch {
    waiting.remove();
    complain(article, file.name, "The server cannot be reached; try again in a moment.");
  }
}

// One after the other: the server is shared.
async function all(files) {
  for (const file of files) await classify(file);
}

input.addEventListener("change", () => { all([...input.files]); input.value = ""; });
form.addEventListener("submit", (event) => event.preventDefault());
for (const name of ["dragenter", "dragover"])
  drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
for (const name of ["dragleave", "drop"])
  drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.remove("over"); });
drop.addEventListener("drop", (event) => all([...event.dataTransfer.files]));
document.addEventListener("paste", (event) => all([...event.clipboardData.files]));
