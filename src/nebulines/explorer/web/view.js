// A rectangle of the plane that one or several canvases show, with zoom and pan.
class View {
  constructor() {
    this.listeners = [];
    this.home = [0, 1, 0, 1];
    this.range = this.home;
  }

  setHome(range) {
    this.home = range;
    this.set(range);
  }

  set(range) {
    this.range = range;
    for (const listener of this.listeners) listener();
  }

  reset() {
    this.set(this.home);
  }

  zoom(factor, x, y) {
    const [x0, x1, y0, y1] = this.range;
    this.set([x + (x0 - x) * factor, x + (x1 - x) * factor,
      y + (y0 - y) * factor, y + (y1 - y) * factor]);
  }

  zoomMiddle(factor) {
    const [x0, x1, y0, y1] = this.range;
    this.zoom(factor, (x0 + x1) / 2, (y0 + y1) / 2);
  }

  // dx, dy in parts of the width and height
  pan(dx, dy) {
    const [x0, x1, y0, y1] = this.range;
    const [sx, sy] = [dx * (x1 - x0), dy * (y1 - y0)];
    this.set([x0 + sx, x1 + sx, y0 + sy, y1 + sy]);
  }

  magnification() {
    return (this.home[1] - this.home[0]) / (this.range[1] - this.range[0]);
  }
}

// Mouse, touch and wheel on a canvas: wheel zooms, drag pans, shift and drag draws a box.
function attachGestures(canvas, { view, plane, onHover, onClick, onBox, onBoxMove }) {
  let press = null;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const [x, y] = plane(...place(event));
    view.zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.005), x, y);
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    press = { at: place(event), from: view.range, box: event.shiftKey, moved: false };
  });
  canvas.addEventListener("pointermove", (event) => {
    const at = place(event);
    if (!press) return onHover(...at);
    const [dx, dy] = [at[0] - press.at[0], at[1] - press.at[1]];
    press.moved = press.moved || Math.hypot(dx, dy) > 4;
    if (!press.moved) return undefined;
    if (press.box) return onBoxMove(press.at, at);
    const here = plane(...at);
    const there = plane(...press.at);
    const shift = [there[0] - here[0], there[1] - here[1]];
    const [x0, x1, y0, y1] = view.range;
    press.at = at;
    return view.set([x0 + shift[0], x1 + shift[0], y0 + shift[1], y1 + shift[1]]);
  });
  canvas.addEventListener("pointerup", (event) => {
    if (!press) return;
    const { box, moved, at } = press;
    press = null;
    if (!moved) onClick(...place(event));
    else if (box) onBox(plane(...at), plane(...place(event)));
  });
  canvas.addEventListener("pointercancel", () => { press = null; });
  canvas.addEventListener("pointerleave", () => { if (!press) onHover(NaN, NaN); });
  canvas.addEventListener("dblclick", () => view.reset());
}
