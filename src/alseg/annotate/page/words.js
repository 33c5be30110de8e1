// What the pages say of queries, answers and the pace.

export function windowInWords(query) {
  const [top, left, bottom, right] = query.box;
  const [rows, columns] = [bottom - top, right - left];
  const size = `${rows}×${columns} pixel${rows * columns > 1 ? "s" : ""}`;
  return query.part ? `part ${query.part} of ${query.parts} · ${size}` : `window ${size}`;
}

export function questionInWords(next) {
  const [top, left, bottom, right] = next.box;
  if (next.part) return `Which class fills part ${next.part} of ${next.parts}, the solid frame?`;
  if ((bottom - top) * (right - left) === 1) return "Which class is the pixel in the frame?";
  return "Which class fills the frame? If it holds several, answer Mixed.";
}

export function answerInWords(round, answer) {
  if (typeof answer === "number") return round.classes[answer];
  return round.answers.find(({ word }) => word === answer).said;
}

export function paceInWords(seconds, left) {
  const rate = `${Math.round(60 / Math.max(seconds, 0.1))} clicks/min`;
  const minutes = (left * seconds) / 60;
  if (!left) return rate;
  if (minutes < 1) return `${rate} · under 1 min left`;
  if (minutes < 90) return `${rate} · ${Math.round(minutes)} min left`;
  return `${rate} · ${(minutes / 60).toFixed(1)} h left`;
}

export function disputesInWords(count) {
  if (!count) return "";
  return `People disagree on ${count} ${count === 1 ? "query" : "queries"}: settle them in the `
    + "review first. ";
}
