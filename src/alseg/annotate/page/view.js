// Which part of an image is on a canvas, and at what scale.

/** Where the image is on the canvas of the whole. */
export function wholePlace(canvas, query) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const [rows, columns] = query.size;
  const scale = Math.min(width / columns, height / rows);
  return { scale, x: (width - columns * scale) / 2, y: (height - rows * scale) / 2 };
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

/** Give a wide image more of the stage's width, and the zoom the rest. */
export function share(stage, query) {
  const [rows, columns] = query.size;
  const width = Math.max(1, stage.clientWidth);
  const whole = (stage.clientHeight * columns) / rows / width;
  const part = Math.max(0.5, Math.min(0.68, 1 - 300 / width, whole));
  stage.style.gridTemplateColumns = `${part}fr ${1 - part}fr`;
}

/** The image pixels that a zoom shows at first: the window and its surroundings. */
function firstSide(query) {
  const [top, left, bottom, right] = query.box;
  const long = Math.max(bottom - top, right - left);
  return query.part ? Math.max(8 * long, 24) : Math.max(7 * long, 80);
}

/** Return the side after some steps in or out: from eight pixels to the whole image. */
function zoomed(query, steps) {
  const largest = Math.max(...query.size, firstSide(query));
  return Math.min(largest, Math.max(8, firstSide(query) * 2 ** (-steps / 2)));
}

export const freshView = () => ({ steps: 0, across: 0, down: 0 });

/** Zoom in or out by steps, not beyond the ends. */
export function zoomBy(query, view, steps) {
  if (zoomed(query, view.steps + steps) !== zoomed(query, view.steps)) view.steps += steps;
}

/** Put a point of the image into the middle of the zoom. */
export function centreOn(query, view, column, row) {
  const [top, left, bottom, right] = query.box;
  const [rows, columns] = query.size;
  view.across = Math.max(0, Math.min(columns, column)) - (left + right) / 2;
  view.down = Math.max(0, Math.min(rows, row)) - (top + bottom) / 2;
}
