// A map: one square a spaxel, with zoom, pan, and marks on spaxels.
class MapImage {
  constructor(figure, [ny, nx], view, { onHover, onClick, onBox }) {
    Object.assign(this, { ny, nx, view });
    this.canvas = figure.querySelector("canvas.points");
    this.overlay = figure.querySelector("canvas.overlay");
    this.picture = document.createElement("canvas");
    this.picture.width = nx;
    this.picture.height = ny;
    this.marks = [];
    view.listeners.push(() => this.draw());
    attachGestures(this.overlay, {
      view,
      plane: (px, py) => this.plane(px, py),
      onHover: (px, py) => onHover(this.spaxel(px, py)),
      onClick: (px, py) => onClick(this.spaxel(px, py)),
      onBox: (a, b) => { this.box = null; onBox(this.inBox(a, b)); },
      onBoxMove: (a, b) => { this.box = [a, b]; this.drawMarks(); },
    });
  }

  // The whole map with square spaxels; x and y of the plane count spaxels.
  home() {
    const [w, h] = [this.canvas.clientWidth, this.canvas.clientHeight];
    const size = Math.max(this.nx / Math.max(w, 1), this.ny / Math.max(h, 1)) * 1.02;
    const [rx, ry] = [0.5 * size * w, 0.5 * size * h];
    return [this.nx / 2 - rx, this.nx / 2 + rx, this.ny / 2 - ry, this.ny / 2 + ry];
  }

  setColours(indices, palette) {
    const context = this.picture.getContext("2d");
    const image = context.createImageData(this.nx, this.ny);
    const pixels = new Uint32Array(image.data.buffer);
    for (let y = 0; y < this.ny; y++) {
      const to = (this.ny - 1 - y) * this.nx;
      for (let x = 0; x < this.nx; x++) pixels[to + x] = palette[indices[y * this.nx + x]];
    }
    context.putImageData(image, 0, 0);
    this.draw();
  }

  plane(px, py) {
    const [x0, x1, y0, y1] = this.view.range;
    return [x0 + (px / this.canvas.clientWidth) * (x1 - x0),
      y1 - (py / this.canvas.clientHeight) * (y1 - y0)];
  }

  pixel(x, y) {
    const [x0, x1, y0, y1] = this.view.range;
    return [((x - x0) / (x1 - x0)) * this.canvas.clientWidth,
      ((y1 - y) / (y1 - y0)) * this.canvas.clientHeight];
  }

  spaxel(px, py) {
    if (!(px === px)) return -1;
    const [x, y] = this.plane(px, py).map(Math.floor);
    return x >= 0 && x < this.nx && y >= 0 && y < this.ny ? y * this.nx + x : -1;
  }

  inBox(a, b) {
    const found = [];
    for (let i = 0; i < this.nx * this.ny; i++) {
      const [x, y] = [(i % this.nx) + 0.5, Math.floor(i / this.nx) + 0.5];
      if ((x - a[0]) * (x - b[0]) <= 0 && (y - a[1]) * (y - b[1]) <= 0) found.push(i);
    }
    return found;
  }

  draw() {
    const { context } = sharpCanvas(this.canvas);
    context.imageSmoothingEnabled = false;
    const [px, py] = this.pixel(0, this.ny);
    const [qx, qy] = this.pixel(this.nx, 0);
    context.drawImage(this.picture, px, py, qx - px, qy - py);
    context.strokeStyle = cssColour("--line");
    context.strokeRect(px, py, qx - px, qy - py);
    this.drawMarks();
  }

  drawMarks() {
    const { context } = sharpCanvas(this.overlay);
    for (const { index, kind } of this.marks) {
      const [x, y] = [index % this.nx, Math.floor(index / this.nx)];
      const [px, py] = this.pixel(x, y + 1);
      const [qx, qy] = this.pixel(x + 1, y);
      const room = Math.max(0, (7 - (qx - px)) / 2);
      const strokes = kind === "here" ? [[5, "--plot"], [2.5, "--mark"]] : [[1.2, "--mark"]];
      for (const [width, colour] of strokes) {
        context.lineWidth = width;
        context.strokeStyle = cssColour(colour);
        context.strokeRect(px - room, py - room, qx - px + 2 * room, qy - py + 2 * room);
      }
    }
    if (this.box) {
      const [[ax, ay], [bx, by]] = this.box;
      context.setLineDash([4, 3]);
      context.lineWidth = 1.5;
      context.strokeStyle = cssColour("--mark");
      context.strokeRect(ax, ay, bx - ax, by - ay);
    }
  }
}
