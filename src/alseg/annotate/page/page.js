// The labelling page: one query after the other, one key an answer.

import { element, isTaken, keyInWords, keyOf, makeButtons, tell, unknownKey } from "./controls.js";
import { drawWhole, drawZoom } from "./drawing.js";
import { listenToPointer } from "./pointer.js";
import { callUntilHeard, picture, prefetch, wait, withToken } from "./server.js";
import { freshView, share, zoomBy } from "./view.js";
import {
  answerInWords, disputesInWords, paceInWords, questionInWords, windowInWords,
} from "./words.js";

const COMMANDS = {
  undo: ["Undo", "Take the last answer back"],
  guess: ["Guess", "Show what the network takes it for"],
  brighter: ["Brighter", "Draw dark pictures twice and four times as bright"],
};

let round; // What stays as it is for everybody.
let state; // What the server said last of this person's queries.
let keys; // The buttons, and what each key does.
let query = null; // The one on the screen; null while none can be answered.
let unseen = null; // The query whose pictures the server does not have.
let shown = null; // The query whose pictures are drawn, and the pictures.
let view = freshView(); // How far the zoom was moved in, and where to.
let light = 1; // How much brighter than they are the pictures are drawn.
let since = 0; // When the query was first seen.
let sending = false;

async function begin() {
  const reply = await callUntilHeard("api/round");
  if (reply.status !== 200) return tell(reply.content.error);
  round = reply.content;
  keys = makeButtons(round, act, COMMANDS);
  element("title").textContent = `Round ${round.number}`;
  element("review").href = withToken("review");
  element("next").textContent = round.next;
  const names = round.people.map((person) => person.name);
  const before = sessionStorage.getItem("person");
  if (names.length === 1) return enter(names[0]);
  return names.includes(before) ? enter(before) : signIn();
}

async function signIn() {
  if (sending) return undefined;
  query = unseen = null;
  element("who").hidden = true;
  element("said").textContent = "";
  const reply = await callUntilHeard("api/round");
  if (reply.status !== 200) return tell(reply.content.error);
  element("people").replaceChildren(
    ...reply.content.people.map((person) => {
      const button = document.createElement("button");
      button.type = "button";
      const done = document.createElement("small");
      done.textContent = `${person.done} of ${person.total}`;
      button.append(person.name, done);
      button.addEventListener("click", () => enter(person.name));
      return button;
    }),
  );
  reveal("sign-in");
  return element("people").firstChild?.focus();
}

async function enter(name) {
  sessionStorage.setItem("person", name);
  element("who").textContent = name;
  element("who").hidden = round.people.length === 1;
  element("who").title = "Answer as somebody else";
  await refresh(name);
}

async function refresh(name) {
  const reply = await callUntilHeard(`api/state?person=${encodeURIComponent(name)}`);
  if (reply.status !== 200) return tell(reply.content.error);
  return take(reply.content);
}

/** Show one of the three: who are you, the query, or that all is done. */
function reveal(id) {
  for (const name of ["sign-in", "stage", "done"]) element(name).hidden = name !== id;
  const asking = id === "stage";
  element("classes").hidden = element("question").hidden = !asking;
  for (const name of ["others", "bar", "count", "pace"]) element(name).hidden = id === "sign-in";
  for (const [what, button] of keys.buttons) button.hidden = what !== "undo" && !asking;
}

/** Show the state that the server sent. */
async function take(content) {
  state = content;
  showProgress();
  const next = state.ahead[0] ?? null;
  query = unseen = null;
  if (!next) return showDone();
  reveal("stage");
  for (;;) {
    try {
      const [whole, crop] = await Promise.all([
        picture("image", next.image), picture("crop", next.crop),
      ]);
      // Meanwhile another state may have come.
      if (state !== content) return;
      present(next, whole, crop);
      // Once the query is on the screen, which is not to wait for the pictures of later ones.
      requestAnimationFrame(() => setTimeout(() => prefetch(content.ahead)));
      return;
    } catch (error) {
      if (state !== content) return;
      unseen = error.isRefusal ? next : null;
      if (unseen) blank(`${error.message} Trying again; ${waysOut()} skips the query.`);
      else tell("No answer from the server. Trying again.");
      await wait();
    }
  }
}

/** Show no picture rather than that of another query. */
function blank(message) {
  shown = null;
  for (const name of ["whole", "zoom"]) element(name).width = 1;
  for (const name of ["place", "window", "question"]) element(name).textContent = "";
  tell(message);
}

function present(next, whole, crop) {
  if (!element("notice").hidden && element("notice").dataset.stays !== "1") tell("");
  element("notice").dataset.stays = "";
  if (shown?.query.id !== next.id) view = freshView();
  if (shown?.query.image !== next.image) light = 1;
  shown = { query: next, whole, crop };
  query = next;
  since = performance.now();
  unchoose();
  const size = windowInWords(next);
  const where = `row ${next.row}, column ${next.column}`;
  element("place").textContent = `${next.name} · ${where}`;
  element("window").textContent = size;
  element("window").classList.toggle("strong", next.part > 0);
  element("whole").setAttribute("aria-label", `Image ${next.name}, query marked at ${where}`);
  element("zoom").setAttribute("aria-label", `Zoom, ${size}`);
  element("question").textContent = questionInWords(next);
  element("asks").textContent = `${questionInWords(next)} ${size}, ${next.name}, ${where}`;
  showLight();
  keys.buttons.get("mixed").title = !next.part && next.parts
    ? `Several classes: its ${next.parts} parts are asked next` : "Several classes: becomes void";
  draw();
  document.body.dataset.query = next.id;
}

function unchoose() {
  for (const [what, button] of keys.buttons) {
    if (what !== "brighter") button.classList.remove("chosen", "guessed");
  }
}

function draw() {
  if (!shown || element("stage").hidden) return;
  share(element("stage"), shown.query);
  drawWhole(element("whole"), shown.whole, shown.query, light);
  drawZoom(element("zoom"), shown.whole, shown.crop, shown.query, view, light);
}

function showProgress() {
  const { answered, asked } = state.progress;
  element("bar").max = Math.max(1, asked);
  element("bar").value = answered;
  element("count").textContent = state.progress.unit === "clicks"
    ? `${answered} of ${asked} clicks` : `${answered} of ${asked}`;
  const left = state.left;
  element("pace").textContent = state.pace === null ? "" : paceInWords(state.pace, left);
  element("said").textContent = state.last
    ? `Last answer: ${state.last.id} is ${answerInWords(round, state.last.answer)}` : "";
  keys.buttons.get("undo").disabled = !state.last;
}

function showDone() {
  shown = null;
  const all = state.others === 0;
  element("done-title").textContent = all ? "All queries are answered" : "Your share is answered";
  element("done-text").textContent = all
    ? `${disputesInWords(state.disputed)}Stop the server with Ctrl-C and go on with`
    : `Other people still have ${state.others} queries to answer. Thank you.`;
  element("next").hidden = !all;
  reveal("done");
  document.body.dataset.query = "done";
}

/** Do what a key or button stands for. */
function act(what) {
  element("stage").focus({ preventScroll: true });
  if (sending) return undefined;
  if (what === "undo") return undo();
  if (!query) return answerUnseen(what);
  if (what === "guess") return guess();
  if (what === "brighter") return brighten();
  if (what === "closer" || what === "farther") return zoom(what === "closer" ? 1 : -1);
  return answer(what);
}

function zoom(step) {
  zoomBy(shown.query, view, step);
  draw();
}

function brighten() {
  light = light === 4 ? 1 : light * 2;
  showLight();
  draw();
}

function showLight() {
  const button = keys.buttons.get("brighter");
  button.classList.toggle("chosen", light > 1);
  button.setAttribute("aria-pressed", String(light > 1));
  button.querySelector(".name").textContent = light > 1 ? `Brighter: ${light}×` : "Brighter";
}

async function guess() {
  const asked = query;
  const reply = await callUntilHeard(`api/guess?query=${encodeURIComponent(asked.id)}`);
  if (query !== asked || reply.status !== 200) return;
  keys.buttons.get(reply.content.guess)?.classList.add("guessed");
  const name = round.classes[reply.content.guess] ?? "nothing";
  element("asks").textContent = `The network's guess is ${name}`;
}

async function answer(what) {
  keys.buttons.get(what).classList.add("chosen");
  const seconds = (performance.now() - since) / 1000;
  await send({ query: query.id, revision: query.revision, answer: what, seconds });
}

/** The answers to a query that nobody can see. */
const uncharged = () => round.answers.filter((answer) => !answer.is_charged);

const waysOut = () => uncharged().map(({ key }) => keyInWords(key)).join(" or ");

async function answerUnseen(what) {
  if (!unseen || !uncharged().some(({ word }) => word === what)) return;
  await send({ query: unseen.id, revision: unseen.revision, answer: what, seconds: 0 });
}

async function undo() {
  if (!state?.last) return;
  await send({ query: state.last.id, revision: state.last.revision, answer: null, seconds: 0 });
}

/** Whether a refused answer counts all the same: it was sent twice, as the first reply was lost. */
function wasHeard(sent, { last, ahead }) {
  if (sent.answer !== null) return last?.id === sent.query && last.answer === sent.answer;
  return ahead.some(({ id, revision }) => id === sent.query && revision === sent.revision + 1);
}

async function send(body) {
  if (sending) return;
  sending = true;
  try {
    const seconds = Math.min(body.seconds, 86400);
    const sent = { ...body, person: state.person, seconds };
    const reply = await callUntilHeard("api/answer", sent);
    if (reply.status === 409) {
      if (!wasHeard(sent, reply.content)) {
        tell("This was answered in another window. Here is what is asked now.");
        element("notice").dataset.stays = "1";
      }
    } else if (reply.status !== 200) {
      tell(reply.content.error);
      unchoose();
      return;
    }
    // Not awaited: while its pictures are missing, the query can still be skipped.
    take(reply.content);
  } finally {
    sending = false;
  }
}

document.addEventListener("keydown", (event) => {
  // Whoever holds a key down answers once.
  if (!keys || event.repeat || isTaken(event)) return;
  const what = keys.byKey.get(keyOf(event));
  if (what === undefined) {
    const hint = element("sign-in").hidden ? unknownKey(event) : "";
    if (hint) element("said").textContent = hint;
    return;
  }
  event.preventDefault();
  if (element("sign-in").hidden) act(what);
});

// Another window may have answered meanwhile; and who was away did not look at the query.
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && state && !sending && element("sign-in").hidden) {
    refresh(state.person);
  }
});

element("who").addEventListener("click", signIn);
element("closer").addEventListener("click", () => act("closer"));
element("farther").addEventListener("click", () => act("farther"));
listenToPointer(() => shown && { query: shown.query, view }, draw);
new ResizeObserver(draw).observe(element("stage"));
begin();
