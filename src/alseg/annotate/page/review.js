// The review: answers one below the other, those on which people differ first, to be corrected.

import { element, isTaken, keyOf, makeButtons, swatch, tell, unknownKey } from "./controls.js";
import { drawWhole, drawZoom } from "./drawing.js";
import { listenToPointer } from "./pointer.js";
import { call, picture, prefetch, withToken } from "./server.js";
import { freshView, share, zoomBy } from "./view.js";
import { answerInWords, windowInWords } from "./words.js";

const COMMANDS = { undo: ["Take the correction back", "What people said counts again"] };

let round;
let keys;
let list = { items: [], start: 0, total: 0, page: 1 };
let at = 0; // The item that is shown.
let view = freshView();
let pictures = null;
let sending = false;

async function ask(path, body) {
  try {
    const reply = await call(path, body);
    if (reply.status === 200) tell("");
    return reply;
  } catch {
    tell("No answer from the server; nothing was changed. Is alseg annotate still running?");
    return null;
  }
}

async function begin() {
  const reply = await ask("api/round");
  if (reply?.status !== 200) return reply && tell(reply.content.error);
  round = reply.content;
  keys = makeButtons(round, act, COMMANDS);
  element("title").textContent = `Review of round ${round.number}`;
  element("labelling").href = withToken("./");
  addChoice("Disagreements", "disagreements");
  addChoice("Parts without an answer", "open");
  addChoice("All, disagreements first", "all");
  round.classes.forEach((name, number) => addChoice(`Answered ${name}`, `answer ${number}`));
  for (const { word, said } of round.answers) addChoice(`Answered ${said}`, `answer ${word}`);
  for (const show of ["disagreements", "open", "all"]) {
    element("show").value = show;
    await load(0);
    if (list.total) break;
  }
  return undefined;
}

function addChoice(label, value) {
  element("show").append(new Option(label, value));
}

async function load(start, wanted = 0) {
  const [show, answer = ""] = element("show").value.split(" ");
  const reply = await ask(`api/review?${new URLSearchParams({ show, answer, start })}`);
  if (!reply) return;
  if (reply.status !== 200) {
    tell(reply.content.error);
    return;
  }
  list = reply.content;
  showAgreement();
  fillList();
  await select(Math.min(wanted, list.items.length - 1));
}

function showAgreement() {
  const { measure, kappa, equal, asked, answered } = list.agreement;
  const words = [`${list.open} to settle`];
  if (equal !== null) {
    words.push(`${measure} ${kappa === null ? "not defined" : kappa.toFixed(2)}`);
    words.push(`${Math.round(equal * 100)} % equal on ${answered} of ${asked}`);
  }
  element("agreement").textContent = words.join(" · ");
}

function fillList() {
  element("items").replaceChildren(...list.items.map(makeItem));
  const last = list.start + list.items.length;
  element("range").textContent = list.total
    ? `${list.start + 1} to ${last} of ${list.total}` : "nothing here";
  element("earlier").disabled = !list.start;
  element("later").disabled = last >= list.total;
}

function makeItem(item, position) {
  const entry = document.createElement("li");
  entry.classList.toggle("part", item.part > 0);
  const button = document.createElement("button");
  button.type = "button";
  const name = document.createElement("strong");
  name.textContent = item.id;
  const votes = document.createElement("span");
  votes.className = "votes";
  for (const vote of item.votes) votes.append(voteInWords(vote.person, vote.answer));
  if (item.review !== null) votes.append(voteInWords("corrected", item.review));
  const status = document.createElement("small");
  status.textContent = statusOf(item);
  button.append(name, votes, status);
  button.addEventListener("click", () => select(position));
  entry.append(button);
  return entry;
}

function statusOf(item) {
  if (item.review !== null) return "settled by a correction";
  if (item.tied) return "a tie: not settled";
  return item.differ ? "differ; the majority counts" : "";
}

function voteInWords(person, answer) {
  const vote = document.createElement("span");
  vote.append(swatch(round, answer), `${person}: ${answerInWords(round, answer)}`);
  return vote;
}

async function select(position) {
  const item = list.items[position];
  pictures = null;
  at = Math.max(0, position);
  for (const [number, entry] of [...element("items").children].entries()) {
    entry.firstChild.setAttribute("aria-current", String(number === position));
  }
  element("stage").hidden = !item;
  if (!item) return;
  element("items").children[position].scrollIntoView({ block: "nearest" });
  const where = `row ${item.row}, column ${item.column}`;
  element("place").textContent = `${item.name} · ${where}`;
  element("window").textContent = windowInWords(item);
  element("said").textContent = item.answer === null
    ? `${item.id} has no answer that counts` : `${item.id} counts as ${answerInWords(round, item.answer)}`;
  for (const [answer, button] of keys.buttons) {
    button.classList.toggle("chosen", answer === item.answer);
  }
  keys.buttons.get("undo").disabled = item.review === null;
  view = freshView();
  prefetch(list.items.slice(position, position + 3));
  try {
    const both = await Promise.all([picture("image", item.image), picture("crop", item.crop)]);
    if (list.items[at] !== item) return;
    pictures = both;
    draw();
    document.body.dataset.query = item.id;
  } catch (error) {
    tell(error.isRefusal ? error.message : "No answer from the server.");
  }
}

function draw() {
  const item = list.items[at];
  if (!item || !pictures) return;
  share(element("stage"), item);
  drawWhole(element("whole"), pictures[0], item);
  drawZoom(element("zoom"), ...pictures, item, view);
}

function act(what) {
  const item = list.items[at];
  element("stage").focus({ preventScroll: true });
  if (!item) return undefined;
  if (what === "closer" || what === "farther") {
    zoomBy(item, view, what === "closer" ? 1 : -1);
    return draw();
  }
  if (what === "undo") return item.review === null ? undefined : correct(item, null);
  return correct(item, what);
}

async function correct(item, answer) {
  if (sending || !pictures) return;
  sending = true;
  try {
    const sent = { person: "review", query: item.id, revision: item.revision, answer, seconds: 0 };
    const reply = await ask("api/answer", sent);
    if (!reply) return;
    if (![200, 409].includes(reply.status)) {
      tell(reply.content.error);
      return;
    }
    if (answer === "mixed" || item.answer === "mixed" || reply.status === 409) {
      // The parts of a mixed window come or go.
      await load(list.start, at);
      if (reply.status === 409) tell("This was corrected in another window; see what counts now.");
      return;
    }
    list.open += (reply.content.differ && answer === null) - (item.differ && item.review === null);
    list.items[at] = reply.content;
    element("items").children[at].replaceWith(makeItem(reply.content, at));
    showAgreement();
    await select(answer === null ? at : Math.min(at + 1, list.items.length - 1));
  } finally {
    sending = false;
  }
}

document.addEventListener("keydown", (event) => {
  if (!keys || event.repeat || isTaken(event)) return;
  const key = keyOf(event);
  const step = { ArrowDown: 1, ArrowUp: -1 }[key];
  if (step) {
    event.preventDefault();
    select(Math.min(list.items.length - 1, Math.max(0, at + step)));
    return;
  }
  const what = keys.byKey.get(key);
  if (what === undefined) {
    const hint = unknownKey(event);
    if (hint) element("said").textContent = hint;
    return;
  }
  event.preventDefault();
  act(what);
});

element("show").addEventListener("change", () => {
  element("stage").focus();
  load(0);
});
element("earlier").addEventListener("click", () => load(list.start - list.page));
element("later").addEventListener("click", () => load(list.start + list.page));
listenToPointer(() => pictures && { query: list.items[at], view }, draw);
new ResizeObserver(draw).observe(element("stage"));
begin();
