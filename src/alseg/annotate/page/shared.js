// What the labelling page and the review have in common: the server, pictures, drawing, keys.

const TOKEN = new URLSearchParams(location.search).get("token") ?? "";
const KEPT = { image: 10, crop: 20 };
const WORDS = { mixed: "mixed", void: "void", skip: "skipped" };

export const OTHERS = {
  mixed: ["Mixed", "Several classes lie in the window"],
  void: ["Void", "None of the classes"],
  skip: ["Skip", "Cannot tell"],
  undo: ["Undo", "Take the last answer back"],
  guess: ["Guess", "Show what the network takes it for"],
  brighter: ["Brighter", "Draw dark pictures twice and four times as bright"],
};

const KEY_NAMES = { ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Backspace: "⌫", Space: "Space" };

export const element = (id) => document.getElementById(id);

export const withToken = (page) => `${page}?token=${encodeURIComponent(TOKEN)}`;

/** Ask the server; rejects if nothing answers. */
export async function call(path, body) {
  const options = { headers: { Authorization: `Bearer ${TOKEN}` }, cache: "no-store" };
  if (body !== undefined) {
    options.method = "POST";
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const response = await fetch(path, options);
  return { status: response.status, content: await response.json() };
}

const pictures = { image: new Map(), crop: new Map() };

/** Return a picture, fetched once; only so many are kept. */
export function picture(kind, name) {
  const kept = pictures[kind];
  let found = kept.get(name);
  if (found) kept.delete(name);
  else {
    found = fetchPicture(kind, name);
    found.catch(() => kept.delete(name));
  }
  kept.set(name, found);
  for (const oldest of [...kept.keys()].slice(0, Math.max(0, kept.size - KEPT[kind]))) {
    kept.get(oldest).then((bitmap) => bitmap.close(), () => {});
    kept.delete(oldest);
  }
  return found;
}

async function fetchPicture(kind, name) {
  const response = await fetch(`${kind}/${name}`, {
    headers: { Authorization: `Bearer ${TOKEN}` },
    cache: "no-store",
  });
  if (!response.ok) {
    const refused = new Error((await response.json()).error);
    refused.isRefusal = true;
    throw refused;
  }
  return createImageBitmap(await response.blob());
}

/** Fetch the pictures of queries that come soon; what fails now is fetched when it is shown. */
export function prefetch(queries) {
  for (const query of queries.slice(0, KEPT.image - 2)) {
    picture("image", query.image).catch(() => {});
    picture("crop", query.crop).catch(() => {});
  }
}

function prepareCanvas(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  const size = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== size[0]) canvas.width = size[0];
  if (canvas.height !== size[1]) canvas.height = size[1];
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return [context, width, height];
}

function drawLit(context, bitmap, place, light) {
  // A filter takes time also where it changes nothing.
  if (light !== 1) context.filter = `brightness(${light})`;
  context.drawImage(bitmap, ...place);
  context.filter = "none";
}

/** Stroke in black, then narrower in white, so that it shows on every colour. */
function strokeTwice(context, path, wide = 5) {
  context.strokeStyle = "#000";
  context.lineWidth = wide;
  context.stroke(path);
  context.strokeStyle = "#fff";
  context.lineWidth = wide / 2.5;
  context.stroke(path);
}

function mark(context, left, top, right, bottom, ticks) {
  const path = new Path2D();
  path.rect(left, top, right - left, bottom - top);
  const [x, y] = [(left + right) / 2, (top + bottom) / 2];
  path.moveTo(left, y);
  path.lineTo(left - ticks, y);
  path.moveTo(right, y);
  path.lineTo(right + ticks, y);
  path.moveTo(x, top);
  path.lineTo(x, top - ticks);
  path.moveTo(x, bottom);
  path.lineTo(x, bottom + ticks);
  strokeTwice(context, path);
}

function wholePlace(canvas, query) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const [rows, columns] = query.size;
  const scale = Math.min(width / columns, height / rows);
  return { scale, x: (width - columns * scale) / 2, y: (height - rows * scale) / 2 };
}

/** Draw the whole image with the query marked; a small one gets a larger frame around it. */
export function drawWhole(canvas, bitmap, query, light = 1) {
  const [context] = prepareCanvas(canvas);
  const [rows, columns] = query.size;
  const { scale, x, y } = wholePlace(canvas, query);
  context.imageSmoothingQuality = "medium";
  drawLit(context, bitmap, [x, y, columns * scale, rows * scale], light);
  const [top, left, bottom, right] = query.box;
  const spare = (length) => Math.max(2.5, 9 - (length * scale) / 2);
  const [across, down] = [spare(right - left), spare(bottom - top)];
  mark(
    context,
    x + left * scale - across,
    y + top * scale - down,
    x + right * scale + across,
    y + bottom * scale + down,
    12,
  );
}

/** Where the image is on the zoom's canvas, with the centre of the query, moved, in the middle. */
export function zoomPlace(canvas, query, view) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const [top, left, bottom, right] = query.box;
  const scale = Math.min(width, height) / zoomed(query, view.steps);
  const x = width / 2 - ((left + right) / 2 + view.across) * scale;
  const y = height / 2 - ((top + bottom) / 2 + view.down) * scale;
  return { scale, x, y };
}

/** Draw what lies around the query, pixel by pixel; blank beyond the image. */
export function drawZoom(canvas, whole, crop, query, view, light = 1) {
  const [context] = prepareCanvas(canvas);
  const [cropTop, cropLeft] = query.cropBox;
  const [top, left, bottom, right] = query.box;
  const [rows, columns] = query.size;
  const { scale, x, y } = zoomPlace(canvas, query, view);
  // Shapes are easier to know when smooth; single pixels easier to tell when sharp.
  context.imageSmoothingEnabled = scale < 8;
  context.imageSmoothingQuality = "medium";
  // The whole image, made smaller, fills what the crop does not hold.
  drawLit(context, whole, [x, y, columns * scale, rows * scale], light);
  const corner = [x + cropLeft * scale, y + cropTop * scale];
  drawLit(context, crop, [...corner, crop.width * scale, crop.height * scale], light);
  context.strokeStyle = "#777c81";
  context.lineWidth = 1;
  context.strokeRect(x - 0.5, y - 0.5, columns * scale + 1, rows * scale + 1);
  if (query.part) {
    const [wholeTop, wholeLeft, wholeBottom, wholeRight] = query.whole;
    const around = new Path2D();
    around.rect(
      x + wholeLeft * scale - 7,
      y + wholeTop * scale - 7,
      (wholeRight - wholeLeft) * scale + 14,
      (wholeBottom - wholeTop) * scale + 14,
    );
    context.setLineDash([6, 5]);
    strokeTwice(context, around, 4);
    context.setLineDash([]);
  }
  const gap = 2.5;
  mark(
    context,
    x + left * scale - gap,
    y + top * scale - gap,
    x + right * scale + gap,
    y + bottom * scale + gap,
    14,
  );
}

/** Give a wide image more of the stage's width, and the zoom the rest. */
export function share(stage, query) {
  const [rows, columns] = query.size;
  const width = Math.max(1, stage.clientWidth);
  const whole = (stage.clientHeight * columns) / rows / width;
  const part = Math.max(0.5, Math.min(0.68, 1 - 300 / width, whole));
  stage.style.gridTemplateColumns = `${part}fr ${1 - part}fr`;
}

/** The image pixels that a zoom shows at first: the window and its surroundings. */
export function firstSide(query) {
  const [top, left, bottom, right] = query.box;
  const long = Math.max(bottom - top, right - left);
  return query.part ? Math.max(8 * long, 24) : Math.max(7 * long, 80);
}

/** Return the side after some steps in or out: from eight pixels to the whole image. */
export function zoomed(query, steps) {
  const largest = Math.max(...query.size, firstSide(query));
  return Math.min(largest, Math.max(8, firstSide(query) * 2 ** (-steps / 2)));
}

export const freshView = () => ({ steps: 0, across: 0, down: 0 });

/** Zoom in or out by steps, not beyond the ends. */
export function zoomBy(query, view, steps) {
  if (zoomed(query, view.steps + steps) !== zoomed(query, view.steps)) view.steps += steps;
}

/** Put a point of the image into the middle of the zoom. */
function centreOn(query, view, column, row) {
  const [top, left, bottom, right] = query.box;
  const [rows, columns] = query.size;
  view.across = Math.max(0, Math.min(columns, column)) - (left + right) / 2;
  view.down = Math.max(0, Math.min(rows, row)) - (top + bottom) / 2;
}

/**
 * Let the wheel zoom, a drag and a click pan, and a double click return to the query.
 * `current` returns the query and view on the screen, or null; `draw` draws them.
 */
export function listenToPointer(current, draw) {
  const [whole, zoom] = [element("whole"), element("zoom")];
  let drag = null;
  const middle = (query, view) => {
    const [top, left, bottom, right] = query.box;
    return [(left + right) / 2 + view.across, (top + bottom) / 2 + view.down];
  };
  zoom.addEventListener("wheel", (event) => {
    const now = current();
    if (!now || event.ctrlKey || !event.deltaY) return;
    event.preventDefault();
    zoomBy(now.query, now.view, event.deltaY < 0 ? 1 : -1);
    draw();
  }, { passive: false });
  zoom.addEventListener("pointerdown", (event) => {
    const now = current();
    if (!now || event.button !== 0) return;
    zoom.setPointerCapture(event.pointerId);
    const from = middle(now.query, now.view);
    drag = { query: now.query, x: event.offsetX, y: event.offsetY, from, moved: false };
  });
  zoom.addEventListener("pointermove", (event) => {
    const now = current();
    if (!drag || now?.query !== drag.query) return;
    const [across, down] = [event.offsetX - drag.x, event.offsetY - drag.y];
    // A hand that clicks trembles.
    if (!drag.moved && Math.hypot(across, down) < 4) return;
    drag.moved = true;
    const { scale } = zoomPlace(zoom, now.query, now.view);
    centreOn(now.query, now.view, drag.from[0] - across / scale, drag.from[1] - down / scale);
    draw();
  });
  zoom.addEventListener("pointerup", (event) => {
    const now = current();
    const clicked = drag && !drag.moved && now?.query === drag.query;
    drag = null;
    if (!clicked) return;
    const { scale, x, y } = zoomPlace(zoom, now.query, now.view);
    centreOn(now.query, now.view, (event.offsetX - x) / scale, (event.offsetY - y) / scale);
    draw();
  });
  zoom.addEventListener("pointercancel", () => { drag = null; });
  whole.addEventListener("click", (event) => {
    const now = current();
    if (!now) return;
    const { scale, x, y } = wholePlace(whole, now.query);
    centreOn(now.query, now.view, (event.offsetX - x) / scale, (event.offsetY - y) / scale);
    draw();
  });
  for (const canvas of [whole, zoom]) {
    canvas.addEventListener("dblclick", () => {
      const now = current();
      if (!now) return;
      now.view.across = now.view.down = 0;
      draw();
    });
  }
}

export function windowInWords(query) {
  const [top, left, bottom, right] = query.box;
  const [rows, columns] = [bottom - top, right - left];
  const size = `${rows}×${columns} pixel${rows * columns > 1 ? "s" : ""}`;
  return query.part ? `part ${query.part} of ${query.parts} · ${size}` : `window ${size}`;
}

/** Name a key press as the server names keys, on keyboards of any language. */
export function keyOf(event) {
  if (event.ctrlKey || event.metaKey) return event.code === "KeyZ" ? "Backspace" : "";
  if (event.altKey) return "";
  const { key, code } = event;
  if (/^Digit\d$/.test(code)) return code.slice(-1);
  if (/^\d$/.test(key)) return key;
  let letter = /^[a-z]$/i.test(key) ? key.toLowerCase() : "";
  const foreign = key === "Process" || key === "Unidentified" || /^\p{L}$/u.test(key);
  if (!letter && foreign && /^Key[A-Z]$/.test(code)) letter = code.slice(-1).toLowerCase();
  if (letter) return event.shiftKey ? `Shift+${letter}` : letter;
  return key === " " ? "Space" : key;
}

/** Whether a key belongs to what has the focus: a button that it presses, a list it moves in. */
export function isTaken(event) {
  const focused = document.activeElement?.tagName ?? "";
  if (focused === "SELECT") return true;
  return /^(BUTTON|A)$/.test(focused) && (event.key === " " || event.key === "Enter");
}

const SILENT = /^(Tab|Shift|Control|Alt|AltGraph|Meta|OS|(Caps|Num|Scroll)Lock|Dead|Escape|F\d+|Audio.*|Unidentified|Process)$/;

/** Return a hint for a key that does nothing; nothing for those that are the browser's. */
export function unknownKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || SILENT.test(event.key)) return "";
  return `The key ${KEY_NAMES[event.key] ?? event.key} does nothing here; the keys are on the buttons.`;
}

export function answerInWords(round, answer) {
  return typeof answer === "number" ? round.classes[answer] : WORDS[answer];
}

export function swatch(round, answer) {
  const square = document.createElement("span");
  square.className = "swatch";
  if (typeof answer === "number") {
    square.style.background = `rgb(${round.colors[answer].join(" ")})`;
  }
  return square;
}

function button(label, key, title) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "answer";
  const cap = document.createElement("kbd");
  const shown = KEY_NAMES[key] ?? key.replace("Shift+", "⇧");
  cap.textContent = shown;
  cap.setAttribute("aria-hidden", "true");
  if (!shown) cap.hidden = true;
  else made.setAttribute("aria-keyshortcuts", key);
  made.title = title;
  const name = document.createElement("span");
  name.className = "name";
  name.textContent = label;
  made.append(cap, name);
  return made;
}

/** Make the buttons of all answers; returns them by answer, and what each key does. */
export function makeButtons(round, act, words = OTHERS) {
  const buttons = new Map();
  const byKey = new Map();
  round.classes.forEach((name, number) => {
    const made = button(name, round.keys[number], name);
    made.insertBefore(swatch(round, number), made.lastChild);
    made.addEventListener("click", () => act(number));
    element("classes").append(made);
    buttons.set(number, made);
    if (round.keys[number]) byKey.set(round.keys[number], number);
  });
  element("classes").classList.toggle("many", round.classes.length > 35);
  for (const [what, [label, title]] of Object.entries(words)) {
    const made = button(label, round.otherKeys[what], title);
    made.addEventListener("click", () => act(what));
    element("others").append(made);
    buttons.set(what, made);
  }
  for (const [what, key] of Object.entries(round.otherKeys)) byKey.set(key, what);
  return { buttons, byKey };
}

export function tell(message) {
  element("notice").textContent = message;
  element("notice").hidden = !message;
}
