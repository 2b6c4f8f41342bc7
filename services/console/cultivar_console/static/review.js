// Reviews examples one at a time. What people and models wrote only ever becomes textContent or a field's value.

import { call } from "./calls.js";
import { forget, keep, recall } from "./drafts.js";

const IDLE_MS = 30 * 60 * 1000; // who does nothing for so long lets the lease lapse

const find = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const page = find("#content");
const form = find("#task");
const panels = { task: form, end: find("#end"), lost: find("#lost") };
const criteria = all(".criterion");
const optional = (id) => document.getElementById(id);

let task = null; // the task that is shown, with its lease
let after = null; // what to show once a lost task was read
let leaseEnds = 0;
let active = Date.now();
let marked = 0;
let busy = false;
let again = 0; // the timer of the next look or extension

const ofTask = (verb, body) => call(`/tasks/${task.id}/${verb}`, { token: task.lease.token, ...body });

// --- what is shown -------------------------------------------------------------------------------------------------

function show(name) {
  for (const [key, panel] of Object.entries(panels)) panel.hidden = key !== name;
  const target = name === "task" ? find("#example") : panels[name];
  target.focus({ preventScroll: true });
  window.scrollTo({ top: 0 });
}

function notice(text, bad = false) {
  const line = find("#notice");
  line.textContent = text;
  line.hidden = !text;
  line.classList.toggle("bad", bad);
}

function explain(error) {
  const out = ["SIGN_IN_NEEDED", "REFUSED"].includes(error.reason);
  const what = error.message.charAt(0).toUpperCase() + error.message.slice(1);
  notice(`${what}. What you wrote is kept here${out ? "; load this page again" : ""}.`, true);
}

function showProgress(answer) {
  find("#progress").max = answer.tasks || 1;
  find("#progress").value = answer.reviewed;
  find("#progress-text").textContent = `${answer.reviewed} of ${answer.tasks} reviewed`;
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

function showTask(given) {
  task = given;
  hold(task.lease);
  const turns = task.messages.map((message) => {
    const turn = element("div", `turn ${message.role === "user" ? "user" : "other"}`, "");
    if (task.messages.length > 1) turn.append(element("p", "said", message.role === "user" ? page.dataset.input : message.role));
    turn.append(element("p", "text", message.content));
    return turn;
  });
  find("#messages").replaceChildren(...turns);
  find("#answer").textContent = task.answer;
  find("#answer").className = task.label ? "label" : "text";
  find("#rejected").textContent = task.rejected;
  find("#rejected-row").hidden = !task.rejected;
  find("#evidence-list").replaceChildren(...task.evidence.map((passage) => element("p", "text", passage)));
  find("#evidence").hidden = !task.evidence.length;
  const seeds = task.seeds.map((seed) => {
    const item = element("li", "", seed.text);
    item.append(" ", element("span", task.label ? "label" : "said", seed.answer));
    return item;
  });
  find("#seed-list").replaceChildren(...seeds);
  find("#seeds").hidden = !seeds.length;
  find("#seeds").open = false;
  const draft = recall(task.name);
  fill(draft ?? {});
  mark(Math.max(0, criteria.findIndex((criterion) => !scoreOf(criterion))));
  if (draft) notice("Your draft of this example is here again.");
  show("task");
}

function showEnd(title, text, retryMs = 0) {
  task = null;
  find("#end-title").textContent = title;
  find("#end-text").textContent = text;
  show("end");
  clearTimeout(again);
  if (retryMs) again = setTimeout(next, retryMs);
}

function present(answer) {
  showProgress(answer);
  if (answer.task) return showTask(answer.task);
  if (answer.none === "all_reviewed") return showEnd("All reviewed, thank you", "What you accepted is what the next model learns from.");
  const minutes = Math.max(1, Math.ceil((answer.free_seconds ?? 60) / 60));
  const wait = Math.min(15_000, Math.max(1000, (answer.free_seconds ?? 15) * 1000));
  showEnd(
    "All that is left is being read",
    `Other reviewers have the remaining examples; one may come free within ${minutes === 1 ? "a minute" : `${minutes} minutes`}. This page looks by itself.`,
    wait,
  );
}

async function next() {
  try {
    present(await call("/lease"));
  } catch (error) {
    if (error.reason === "QUEUE_CLOSED") return showEnd("This queue is closed", "No more reviews are needed here. Thank you.");
    explain(error);
    clearTimeout(again);
    if (error.reason === "OFFLINE" || error.reason === "UNAVAILABLE") again = setTimeout(next, 5000);
  }
}

// --- the draft -----------------------------------------------------------------------------------------------------

const scoreOf = (criterion) => find("input:checked", criterion)?.value ?? "";
const plain = (text) => text.replace(/\r\n?/g, "\n");

function said() {
  const edits = !find("#edit").hidden;
  const change = (id, original) => {
    const field = optional(id);
    return edits && field && field.value !== plain(original) ? field.value : "";
  };
  const scores = criteria.map((criterion) => [criterion.dataset.criterion, Number(scoreOf(criterion))]);
  const free = optional("free-tags")?.value.split(",") ?? [];
  const tags = [...free, ...all("input[name=tag]:checked").map((box) => box.value)];
  return {
    scores: Object.fromEntries(scores.filter(([, score]) => score)),
    decision: find("input[name=decision]:checked")?.value ?? "",
    edited_text: change("edited_text", task.text),
    edited_answer: change("edited_answer", task.answer),
    label: change("label", task.label),
    tags: tags.map((tag) => tag.trim()).filter(Boolean),
    comment: find("#comment").value,
  };
}

function fill(draft) {
  form.reset();
  for (const criterion of criteria) {
    const score = draft.scores?.[criterion.dataset.criterion];
    if (score) find(`input[value="${Number(score)}"]`, criterion).checked = true;
    showAnchor(criterion);
  }
  for (const choice of all("input[name=decision]")) choice.checked = choice.value === draft.decision;
  const tags = draft.tags ?? [];
  for (const box of all("input[name=tag]")) box.checked = tags.includes(box.value);
  if (optional("free-tags")) optional("free-tags").value = tags.join(", ");
  find("#comment").value = draft.comment ?? "";
  fillEdit(draft);
  openEdit(Boolean(draft.edited_text || draft.edited_answer || draft.label));
}

function fillEdit(draft) {
  for (const [id, original] of [["edited_text", task.text], ["edited_answer", task.answer], ["label", task.label]]) {
    if (optional(id)) optional(id).value = draft[id] || original;
  }
}

function openEdit(open) {
  find("#edit").hidden = !open;
  find("#edit-button").setAttribute("aria-expanded", String(open));
}

function keepDraft() {
  if (!task || keep(task.name, said())) return;
  notice("This browser keeps no drafts: submit before you leave the page.", true);
}

// --- the lease -----------------------------------------------------------------------------------------------------

function hold(lease) {
  task.lease = lease;
  leaseEnds = Date.now() + lease.seconds * 1000;
  clearTimeout(again);
  again = setTimeout(extend, Math.max(500, (lease.seconds * 1000) / 3));
}

async function extend() {
  if (!task || busy) return;
  if (Date.now() - active > IDLE_MS) return;
  const held = task;
  try {
    const lease = await ofTask("extend");
    if (task === held) hold(lease);
  } catch (error) {
    if (task !== held || busy) return;
    if (error.reason === "STALE_LEASE") await regain().catch(explain);
    else if (error.reason === "QUEUE_CLOSED") lose("This queue was closed while you were away", null);
    else {
      explain(error);
      clearTimeout(again);
      again = setTimeout(extend, 5000);
    }
  }
}

// Asks for a task: the lapsed one comes back first unless another reviewer took it. Tells whether it came back.
async function regain() {
  const answer = await call("/lease");
  showProgress(answer);
  if (answer.task?.name === task.name) {
    hold(answer.task.lease);
    return true;
  }
  lose("Another reviewer has this example now", answer);
  return false;
}

function lose(title, answer) {
  const words = said();
  const kept = [words.edited_text, words.edited_answer, words.label, words.tags.join(", "), words.comment];
  keepDraft();
  find("#lost-title").textContent = title;
  find("#lost-text").textContent = kept.filter(Boolean).join("\n\n") || "(no words, only scores)";
  task = null;
  after = answer;
  clearTimeout(again);
  notice("");
  show("lost");
}

function leaveLost() {
  const answer = after;
  after = null;
  if (answer) present(answer);
  else next();
}

// --- what a reviewer does ------------------------------------------------------------------------------------------

function missing(review) {
  if (!review.decision) return "Accept or decline it first: A or D";
  const edited = !find("#edit").hidden && ["edited_text", "edited_answer"].map(optional).filter(Boolean);
  if (review.decision === "accept" && edited && edited.some((field) => !field.value.trim()))
    return "The edited text is empty: undo the edit, or decline";
  const open = criteria.findIndex((criterion) => !scoreOf(criterion));
  if (review.decision !== "accept" || open < 0) return "";
  mark(open);
  return `Score ${find("legend", criteria[open]).firstChild.textContent.trim().toLowerCase()} first: 1 to 5`;
}

async function alone(work) {
  if (busy || !task) return;
  busy = true;
  form.setAttribute("aria-busy", "true");
  try {
    await work();
  } catch (error) {
    explain(error);
  } finally {
    busy = false;
    form.removeAttribute("aria-busy");
  }
}

const submit = () =>
  alone(async () => {
    const review = said();
    const wrong = missing(review);
    if (wrong) return notice(`${wrong}.`, true);
    const { name } = task;
    try {
      await ofTask("submit", review);
    } catch (error) {
      if (error.reason === "QUEUE_CLOSED") return lose("This queue was closed before you submitted", null);
      if (error.reason === "ALREADY_REVIEWED") return lose("Your first review of this example was received and stands", null);
      if (error.reason !== "STALE_LEASE") throw error;
      if (!(await regain())) return;
      await ofTask("submit", review);
    }
    forget(name);
    notice("");
    await next();
  });

const skip = () =>
  alone(async () => {
    const { name } = task;
    await ofTask("release").catch((error) => {
      if (error.reason !== "STALE_LEASE") throw error;
    });
    notice("");
    await next();
    if (task?.name === name) notice("No other example is free, so here it is again.");
  });

function edit() {
  openEdit(true);
  const first = find("#edit textarea, #edit select");
  first.focus();
  first.setSelectionRange?.(first.value.length, first.value.length);
}

function mark(place) {
  marked = Math.min(Math.max(place, 0), criteria.length - 1);
  criteria.forEach((criterion, number) => criterion.classList.toggle("marked", number === marked));
}

function showAnchor(criterion) {
  find(".anchor", criterion).textContent = find("input:checked", criterion)?.dataset.anchor ?? "";
}

function score(value) {
  find(`input[value="${value}"]`, criteria[marked]).checked = true;
  showAnchor(criteria[marked]);
  const open = criteria.findIndex((criterion, number) => number > marked && !scoreOf(criterion));
  if (open >= 0) mark(open);
  keepDraft();
}

function decide(decision) {
  find(`input[name=decision][value=${decision}]`).checked = true;
  notice("");
  keepDraft();
}

const KEYS = {
  1: () => score(1),
  2: () => score(2),
  3: () => score(3),
  4: () => score(4),
  5: () => score(5),
  a: () => decide("accept"),
  d: () => decide("decline"),
  e: edit,
  t: () => find("#tags input").focus(),
  c: () => find("#comment").focus(),
  s: skip,
  "?": () => find("#help").showModal(),
  enter: submit,
  arrowdown: () => mark(marked + 1),
  arrowup: () => mark(marked - 1),
};

function onKey(event) {
  if (find("#help").open || event.altKey || event.metaKey || event.isComposing) return;
  const { target } = event;
  const key = event.key.toLowerCase();
  const writes = target.matches("textarea, select, input[type=text]");
  if (key === "escape" && form.contains(target)) return find("#example").focus();
  if (event.ctrlKey && key !== "enter") return;
  if (!panels.lost.hidden && key === "enter" && !target.matches("a")) return event.preventDefault(), leaveLost();
  if (!task || !KEYS[key]) return;
  if (writes && !(event.ctrlKey && key === "enter")) return;
  if (key === "enter" && !event.ctrlKey && target.matches("button, a, summary")) return;
  if (key.startsWith("arrow") && target.matches("input")) return;
  event.preventDefault();
  if (!event.repeat || key.startsWith("arrow")) KEYS[key]();
}

function onActive() {
  active = Date.now();
  if (task && !busy && active > leaseEnds) extend();
}

document.addEventListener("keydown", onKey);
for (const kind of ["keydown", "pointerdown", "input"]) document.addEventListener(kind, onActive, { passive: true });
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && onActive());
form.addEventListener("input", keepDraft);
form.addEventListener("change", (event) => {
  const criterion = event.target.closest(".criterion");
  if (criterion) showAnchor(criterion);
  keepDraft();
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
criteria.forEach((criterion, number) => criterion.addEventListener("focusin", () => mark(number)));
find("#skip").addEventListener("click", skip);
find("#edit-button").addEventListener("click", edit);
find("#undo").addEventListener("click", () => {
  fillEdit({});
  openEdit(false);
  keepDraft();
  find("#example").focus();
});
find("#help-button").addEventListener("click", KEYS["?"]);
find("#lost-next").addEventListener("click", leaveLost);
if (window.matchMedia("(max-width: 60rem)").matches && optional("guidelines")) optional("guidelines").open = false;
next();
