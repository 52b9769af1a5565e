// "Was this right?", where the server keeps what people say.
import { button, node } from "./view.js";

const KEEPS = {
  labels: "Kept on the server: the picture's fingerprint, the answer and what you say.",
  pictures: "Kept on the server: the picture, the answer and what you say.",
};

/** What stands below a classification: nothing where the server keeps nothing. */
export function ask(shot) {
  const template = document.getElementById("feedback");
  if (!template || !crypto.subtle) return []; // no fingerprint can be taken on a page that came by plain HTTP
  const names = [...template.content.children].find((one) => one.dataset.model === shot.answer.model.name);
  const labels = [...(names?.children || [])].map((one) => one.textContent);
  const box = node("fieldset", { className: "feedback" }, node("legend", {}, "Was this right?"));
  box.append(...(shot.said ? [node("p", {}, shot.said)] : questions(box, shot, labels, template.dataset.keeps)));
  return [box];
}

function questions(box, shot, labels, keeps) {
  const tell = async (right, label) => {
    shot.said = await told(shot, keeps, right, label);
    box.replaceChildren(box.firstChild, node("p", { aria: { role: "status" } }, shot.said));
  };
  const several = shot.answer.predictions[0].present !== undefined;
  const answered = answers(shot);
  const no = () => {
    no.done ||= box.append(...(several ? boxes(labels, answered, tell) : choice(labels.filter((label) => label !== answered), tell)));
    no.done = true;
    box.querySelector("select, input").focus();
  };
  return [node("p", { className: "tools" }, button("Yes", () => tell(true, answered)), button("No", no)), node("small", {}, KEEPS[keeps])];
}

const answers = ({ answer: { predictions } }) =>
  predictions[0].present === undefined ? predictions[0].label : predictions.filter((row) => row.present).map((row) => row.label);

function choice(labels, tell) {
  const options = labels.map((label) => node("option", { value: label }, label));
  const select = node("select", { aria: { "aria-label": "The right label" } }, ...options, node("option", {}, "None of these"));
  select.lastChild.dataset.none = "1";
  const send = () => tell(false, select.selectedOptions[0].dataset.none ? null : select.value);
  return [node("p", { className: "tools" }, select, button("Send", send, ""))];
}

function boxes(labels, answered, tell) {
  const tick = (label) => node("input", { type: "checkbox", value: label, checked: answered.includes(label) });
  const ticks = labels.map((label) => node("label", {}, tick(label), ` ${label}`));
  const send = () => {
    const said = ticks.map((one) => one.firstChild).filter((one) => one.checked).map((one) => one.value);
    tell(false, said.length ? said : null);
  };
  return [node("div", { className: "ticks" }, ...ticks), node("p", { className: "tools" }, button("Send", send, ""))];
}

async function told(shot, keeps, right, label) {
  const { model, request_id } = shot.answer;
  const bytes = new Uint8Array(await shot.file.arrayBuffer());
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const sha256 = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const said = { request_id, sha256, model: model.name, id: model.id, answer: answers(shot), label, right };
  if (keeps === "pictures") said.picture = await base64(shot.file);
  try {
    const headers = { "Content-Type": "application/json", Accept: "application/json", ...shot.headers };
    const response = await fetch("/feedback", { method: "POST", headers, body: JSON.stringify(said) });
    return response.ok ? "Thank you. It is kept." : `It could not be kept: ${(await response.json()).detail}`;
  } catch {
    return "It could not be kept; the server cannot be reached.";
  }
}

function base64(file) {
  return new Promise((done) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.readAsDataURL(file);
  });
}
