// What the two canvases show: the whole image with the query marked, and the zoom on it.

import { wholePlace, zoomPlace } from "./view.js";

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
