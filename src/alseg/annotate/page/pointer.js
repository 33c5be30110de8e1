// The mouse, a pen or a finger on the two canvases.

import { element } from "./controls.js";
import { centreOn, wholePlace, zoomBy, zoomPlace } from "./view.js";

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
