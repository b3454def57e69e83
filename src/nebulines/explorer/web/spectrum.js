// Spectra in uPlot, with windows on the lines.
class SpectrumPlot {
  constructor(holder, { xLabel, yLabel, series, windows, height = 250 }) {
    Object.assign(this, { holder, xLabel, yLabel, series, windows, height });
    this.window = 0;
    this.hidden = new Set();
    this.buttons = holder.parentElement.querySelector(".windows");
    this.toggles = holder.parentElement.querySelector(".series");
    this.makeButtons();
    new ResizeObserver(() => this.resize()).observe(holder);
  }

  makeButtons() {
    this.windows.forEach(({ name }, k) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.setAttribute("aria-pressed", String(k === 0));
      button.addEventListener("click", () => this.showWindow(k));
      this.buttons.append(button);
    });
    this.series.forEach(({ name, colour }, k) => {
      const label = document.createElement("label");
      label.className = "key";
      label.innerHTML = `<input type="checkbox" checked><i style="background:var(${colour})"></i>`;
      label.append(name);
      label.firstChild.addEventListener("change", (event) => {
        if (event.target.checked) this.hidden.delete(k);
        else this.hidden.add(k);
        if (this.plot) this.plot.setSeries(k + 1, { show: event.target.checked });
      });
      this.toggles.append(label);
    });
  }

  showWindow(k) {
    this.window = k;
    [...this.buttons.children].forEach((b, i) => b.setAttribute("aria-pressed", String(i === k)));
    if (this.plot) this.plot.setScale("x", this.span());
  }

  span() {
    const { low, high } = this.windows[this.window];
    if (low === null) return { min: this.data[0][0], max: this.data[0][this.data[0].length - 1] };
    return { min: low, max: high };
  }

  setData(data) {
    this.data = data;
    if (!this.plot) return this.build();
    this.plot.batch(() => {
      this.plot.setData(data, false);
      this.plot.setScale("x", this.span());
    });
    return undefined;
  }

  // Colours of the theme are read when the plot is built.
  build() {
    if (this.plot) this.plot.destroy();
    const axis = {
      stroke: cssColour("--text"),
      grid: { stroke: cssColour("--grid"), width: 1 },
      ticks: { stroke: cssColour("--grid"), width: 1 },
      font: "11px system-ui, sans-serif",
      labelFont: "11px system-ui, sans-serif",
      labelSize: 18,
    };
    const lines = this.series.map(({ name, colour, width }, k) => ({
      label: name, stroke: cssColour(colour), width: width || 1.2,
      show: !this.hidden.has(k), points: { show: false }, spanGaps: false,
    }));
    this.plot = new uPlot({
      width: Math.max(200, this.holder.clientWidth),
      height: this.height,
      legend: { show: false },
      padding: [this.marks ? 16 : 8, 12, 0, 0],
      cursor: { y: false, drag: { x: true, y: false } },
      scales: { x: { time: false }, y: { range: (u, low, high) => paddedRange(low, high) } },
      axes: [
        { ...axis, label: this.xLabel, size: 34, values: (u, ticks) => ticks.map(String) },
        { ...axis, label: this.yLabel, size: 68, values: (u, ticks) => ticks.map((v) => shortNumber(v)) },
      ],
      series: [{ label: this.xLabel }, ...lines],
      hooks: { draw: [(u) => this.drawMarks(u)] },
    }, this.data, this.holder);
    this.plot.setScale("x", this.span());
    return undefined;
  }

  // Lines by name, where `marks` says that they lie.
  drawMarks(u) {
    if (!this.marks) return;
    const { ctx, bbox } = u;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = cssColour("--soft");
    const density = window.devicePixelRatio || 1;
    ctx.font = `${10 * density}px system-ui, sans-serif`;
    ctx.textAlign = "left";
    ctx.textBaseline = "alphabetic";
    ctx.setLineDash([2 * density, 3 * density]);
    let last = -Infinity;
    for (const { at, label } of this.marks().sort((a, b) => a.at - b.at)) {
      const x = u.valToPos(at, "x", true);
      if (!(x >= bbox.left && x <= bbox.left + bbox.width)) continue;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      const width = ctx.measureText(label).width;
      if (x - last > width / 2) {
        ctx.fillText(label, x - width / 2, bbox.top - 3 * density);
        last = x + width / 2 + 4;
      }
    }
    ctx.restore();
  }

  resize() {
    if (!this.plot) return;
    this.plot.setSize({ width: Math.max(200, this.holder.clientWidth), height: this.height });
  }

  restyle() {
    if (this.data) this.build();
  }
}

function paddedRange(low, high) {
  if (!(high > low)) return [Number.isFinite(low) ? low - 1 : 0, Number.isFinite(low) ? low + 1 : 1];
  const room = 0.06 * (high - low);
  return [low - room, high + room];
}
