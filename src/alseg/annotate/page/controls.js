// The buttons of the answers and of what a page does, their keys, and the notice.

const KEY_NAMES = { ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Backspace: "⌫", Space: "Space" };

export const element = (id) => document.getElementById(id);

export function tell(message) {
  element("notice").textContent = message;
  element("notice").hidden = !message;
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

/** Return a key as the buttons show it. */
export const keyInWords = (key) => KEY_NAMES[key] ?? key.replace("Shift+", "⇧");

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
  const shown = keyInWords(key);
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

/**
 * Make the buttons of the answers, then those of what the page does: a label and a title each.
 * Returns them by answer, and what each key does.
 */
export function makeButtons(round, act, commands) {
  const buttons = new Map();
  const byKey = new Map();
  const add = (what, section, made, key) => {
    made.addEventListener("click", () => act(what));
    element(section).append(made);
    buttons.set(what, made);
    if (key) byKey.set(key, what);
  };
  round.classes.forEach((name, number) => {
    const made = button(name, round.keys[number], name);
    made.insertBefore(swatch(round, number), made.lastChild);
    add(number, "classes", made, round.keys[number]);
  });
  element("classes").classList.toggle("many", round.classes.length > 35);
  for (const { word, key, label, help } of round.answers) {
    add(word, "others", button(label, key, help), key);
  }
  for (const [what, [label, title]] of Object.entries(commands)) {
    add(what, "others", button(label, round.commandKeys[what], title));
  }
  for (const [what, key] of Object.entries(round.commandKeys)) byKey.set(key, what);
  return { buttons, byKey };
}
