// One panel of points: drawn pixel by pixel, so that 100 000 of them follow the mouse.
const MARGIN = { left: 44, right: 8, top: 22, bottom: 32 };
const CELLS = 200;

class Scatter {
  constructor(figure, view, { onHover, onClick, onBox }) {
    this.figure = figure;
    this.title = figure.querySelector(".panel-title");
    this.canvas = figure.querySelector("canvas.points");
    this.overlay = figure.querySelector("canvas.overlay");
    this.view = view;
    this.marks = [];
    this.visible = true;
    view.listeners.push(() => this.draw());
    attachGestures(this.overlay, {
      view,
      plane: (px, py) => this.plane(px, py),
      onHover: (px, py) => onHover(this.nearest(px, py)),
      onClick: (px, py) => onClick(this.nearest(px, py)),
      onBox: (a, b) => { this.box = null; onBox(this, a, b); },
      onBoxMove: (a, b) => { this.box = [a, b]; this.drawMarks(); },
    });
  }

  setPoints(x, y, order) {
    Object.assign(this, { x, y, order });
    this.cells = null;
  }

  setColours(indices, palette) {
    Object.assign(this, { indices, palette });
  }

  area() {
    const [w, h] = [this.canvas.clientWidth, this.canvas.clientHeight];
    return { x: MARGIN.left, y: MARGIN.top, w: Math.max(10, w - MARGIN.left - MARGIN.right),
      h: Math.max(10, h - MARGIN.top - MARGIN.bottom) };
  }

  plane(px, py) {
    const [x0, x1, y0, y1] = this.view.range;
    const a = this.area();
    return [x0 + ((px - a.x) / a.w) * (x1 - x0), y1 - ((py - a.y) / a.h) * (y1 - y0)];
  }

  pixel(i) {
    const [x0, x1, y0, y1] = this.view.range;
    const a = this.area();
    return [a.x + ((this.x[i] - x0) / (x1 - x0)) * a.w, a.y + ((y1 - this.y[i]) / (y1 - y0)) * a.h];
  }

  draw() {
    if (!this.visible || !this.x || !this.indices) return;
    const { context, density, width, height } = sharpCanvas(this.canvas);
    this.drawn = `${width} ${height}`;
    const a = this.area();
    const [w, h] = [Math.round(a.w * density), Math.round(a.h * density)];
    const image = context.createImageData(w, h);
    const pixels = new Uint32Array(image.data.buffer);
    pixels.fill(packedColour(cssColour("--plot")));
    this.drawPoints(pixels, w, h, density);
    context.putImageData(image, Math.round(a.x * density), Math.round(a.y * density));
    this.drawAxes(context, a);
    this.drawMarks();
  }

  // Draw again where the window has changed.
  fit() {
    if (this.drawn !== `${this.canvas.clientWidth} ${this.canvas.clientHeight}`) this.draw();
  }

  drawPoints(pixels, w, h, density) {
    const { x, y, order, indices, palette } = this;
    const [x0, x1, y0, y1] = this.view.range;
    const [gx, gy] = [w / (x1 - x0), h / (y1 - y0)];
    const crowd = Math.sqrt((w * h) / Math.max(1, x.length)) * 0.28;
    const radius = Math.min(4 * density, Math.max(1, crowd) * this.view.magnification() ** 0.5);
    const disc = discOffsets(radius);
    const reach = Math.ceil(radius);
    for (let k = 0; k < order.length; k++) {
      const i = order[k];
      const px = Math.round((x[i] - x0) * gx);
      const py = Math.round((y1 - y[i]) * gy);
      if (!(px >= -reach && px < w + reach && py >= -reach && py < h + reach)) continue;
      const colour = palette[indices[i]];
      for (let d = 0; d < disc.length; d += 2) {
        const [cx, cy] = [px + disc[d], py + disc[d + 1]];
        if (cx >= 0 && cx < w && cy >= 0 && cy < h) pixels[cy * w + cx] = colour;
      }
    }
  }

  drawAxes(context, a) {
    const [x0, x1, y0, y1] = this.view.range;
    context.strokeStyle = cssColour("--line");
    context.strokeRect(a.x - 0.5, a.y - 0.5, a.w + 1, a.h + 1);
    context.fillStyle = cssColour("--soft");
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "center";
    for (const value of niceTicks(x0, x1, Math.max(2, a.w / 90))) {
      const at = a.x + ((value - x0) / (x1 - x0)) * a.w;
      context.fillRect(at, a.y + a.h, 1, 4);
      context.fillText(shortNumber(value), at, a.y + a.h + 15);
    }
    for (const value of niceTicks(y0, y1, Math.max(2, a.h / 60))) {
      const at = a.y + ((y1 - value) / (y1 - y0)) * a.h;
      context.fillRect(a.x - 4, at, 4, 1);
      context.textAlign = "right";
      context.fillText(shortNumber(value), a.x - 6, at + 4);
    }
    context.fillStyle = cssColour("--text");
    context.textAlign = "center";
    context.fillText(this.labels ? this.labels[0] : "", a.x + a.w / 2, a.y + a.h + 29);
    context.save();
    context.translate(11, a.y + a.h / 2);
    context.rotate(-Math.PI / 2);
    context.fillText(this.labels ? this.labels[1] : "", 0, 0);
    context.restore();
  }

  drawMarks() {
    const { context } = sharpCanvas(this.overlay);
    const a = this.area();
    context.save();
    context.beginPath();
    context.rect(a.x, a.y, a.w, a.h);
    context.clip();
    for (const { index, kind } of this.marks) {
      const [px, py] = this.pixel(index);
      if (!Number.isFinite(px + py)) continue;
      for (const [radius, width, name] of kind === "here"
        ? [[7, 4, "--plot"], [7, 2, "--mark"]] : [[4, 1.5, "--mark"]]) {
        context.beginPath();
        context.arc(px, py, radius, 0, 2 * Math.PI);
        context.lineWidth = width;
        context.strokeStyle = cssColour(name);
        context.stroke();
      }
    }
    if (this.box) {
      const [[ax, ay], [bx, by]] = this.box;
      context.setLineDash([4, 3]);
      context.strokeStyle = cssColour("--mark");
      context.strokeRect(ax, ay, bx - ax, by - ay);
    }
    context.restore();
  }

  // Index of the galaxy nearest to a pixel, within 14 pixels; -1 for none.
  nearest(px, py, reach = 14) {
    if (!(px === px) || !this.x) return -1;
    this.cells = this.cells || new PointGrid(this.x, this.y, this.view.home);
    const a = this.area();
    const [x0, x1, y0, y1] = this.view.range;
    const [x, y] = this.plane(px, py);
    return this.cells.nearest(x, y, a.w / (x1 - x0), a.h / (y1 - y0), reach);
  }

  inBox(a, b) {
    const [x0, x1] = [Math.min(a[0], b[0]), Math.max(a[0], b[0])];
    const [y0, y1] = [Math.min(a[1], b[1]), Math.max(a[1], b[1])];
    const found = [];
    for (let i = 0; i < this.x.length; i++) {
      if (this.x[i] >= x0 && this.x[i] <= x1 && this.y[i] >= y0 && this.y[i] <= y1) found.push(i);
    }
    return found;
  }
}

// Points sorted into cells of the plane, to find the nearest one fast.
class PointGrid {
  constructor(x, y, [x0, x1, y0, y1]) {
    Object.assign(this, { x, y, x0, y0 });
    this.dx = (x1 - x0) / CELLS;
    this.dy = (y1 - y0) / CELLS;
    this.first = new Int32Array(CELLS * CELLS + 1);
    const cells = new Int32Array(x.length);
    for (let i = 0; i < x.length; i++) {
      cells[i] = Number.isFinite(x[i] + y[i]) ? this.cell(x[i], y[i]) : -1;
      if (cells[i] >= 0) this.first[cells[i] + 1]++;
    }
    for (let c = 0; c < CELLS * CELLS; c++) this.first[c + 1] += this.first[c];
    this.points = new Int32Array(x.length);
    const filled = this.first.slice();
    for (let i = 0; i < x.length; i++) if (cells[i] >= 0) this.points[filled[cells[i]]++] = i;
  }

  column(x) { return Math.max(0, Math.min(CELLS - 1, Math.floor((x - this.x0) / this.dx))); }

  row(y) { return Math.max(0, Math.min(CELLS - 1, Math.floor((y - this.y0) / this.dy))); }

  cell(x, y) { return this.row(y) * CELLS + this.column(x); }

  nearest(x, y, gx, gy, reach) {
    let [best, found] = [reach * reach, -1];
    const [c0, c1] = [this.column(x - reach / gx), this.column(x + reach / gx)];
    const [r0, r1] = [this.row(y - reach / gy), this.row(y + reach / gy)];
    for (let r = r0; r <= r1; r++) {
      for (let k = this.first[r * CELLS + c0]; k < this.first[r * CELLS + c1 + 1]; k++) {
        const i = this.points[k];
        const distance = ((this.x[i] - x) * gx) ** 2 + ((this.y[i] - y) * gy) ** 2;
        if (distance < best) [best, found] = [distance, i];
      }
    }
    return found;
  }
}

function discOffsets(radius) {
  const found = [];
  const reach = Math.ceil(radius);
  for (let dy = -reach; dy <= reach; dy++) {
    for (let dx = -reach; dx <= reach; dx++) {
      if (dx * dx + dy * dy <= radius * (radius + 0.5)) found.push(dx, dy);
    }
  }
  return Int32Array.from(found);
}
