// The page of a cube's result: a map, and the spectrum of a spaxel.
class MapsPage {
  constructor(doc, arrays) {
    Object.assign(this, { doc, arrays });
    [this.ny, this.nx] = doc.shape;
    this.colourMaps = Object.fromEntries(doc.colourMaps.map((n) => [n, arrays["map-" + n].stored]));
    this.view = new View();
    this.here = -1;
    this.pinned = -1;
    this.selected = [];
    setUpTheme(() => { this.recolour(); if (this.plot) this.plot.restyle(); });
    this.image = new MapImage(byId("map"), doc.shape, this.view, {
      onHover: (i) => this.hover(i),
      onClick: (i) => this.pin(i),
      onBox: (indices) => this.select(indices),
    });
    this.image.overlay.addEventListener("keydown", (event) => this.key(event));
    this.makeControls();
    this.makePlot();
    this.view.setHome(this.image.home());
    this.recolour();
    new ResizeObserver(oncePerFrame(() => this.view.setHome(this.image.home()))).observe(byId("map"));
    new ResizeObserver(oncePerFrame(() => this.drawBar())).observe(byId("bar"));
    window.addEventListener("hashchange", () => this.showAddress());
  }

  makeControls() {
    const groups = new Map();
    this.doc.maps.forEach(({ group, label }, k) => {
      groups.set(group, [...(groups.get(group) || []), ["map-" + k, label]]);
    });
    if (this.doc.flags.length) {
      groups.set("flags", this.doc.flags.map(({ bit, name, count }) => ["flag-" + bit, `${name} (${count})`]));
    }
    addOptions(byId("which"), [...groups]);
    for (const id of ["which", "measured", "stretch", "part"]) {
      byId(id).addEventListener("change", () => this.recolour());
    }
    byId("search").addEventListener("submit", (event) => { event.preventDefault(); this.find(); });
    byId("home").addEventListener("click", () => this.view.reset());
    byId("closer").addEventListener("click", () => this.view.zoomMiddle(0.6));
    byId("farther").addEventListener("click", () => this.view.zoomMiddle(1 / 0.6));
    byId("clear").addEventListener("click", () => this.select([]));
    byId("save").addEventListener("click", () => this.save());
    byId("save-spectrum").addEventListener("click", () => this.saveSpectrum());
    this.select([]);
  }

  makePlot() {
    const { doc } = this;
    if (doc.spectra === "none") {
      byId("picture").dataset.empty = "yes";
      return;
    }
    this.source = doc.spectra === "served" ? new ServedSpectra(this.nx) : new EmbeddedSpectra(this.arrays);
    this.plot = new SpectrumPlot(byId("spectrum"), {
      xLabel: "observed wavelength [Å]",
      yLabel: doc.fluxLabel,
      series: [{ name: "data", colour: "--data", width: 1 },
        { name: "model", colour: "--model", width: 1.6 },
        { name: "data − model", colour: "--residual", width: 1 }],
      windows: [{ name: "all", low: null, high: null }, ...doc.windows],
      height: 300,
    });
    this.plot.marks = () => this.lineMarks();
    const strong = doc.windows.findIndex(({ name }) => name.includes("Hα"));
    this.plot.showWindow(strong + 1);
  }

  column() {
    const [kind, number] = byId("which").value.split("-");
    return { kind, number: +number, facts: kind === "map" ? this.doc.maps[+number] : null };
  }

  recolour() {
    const { kind, number, facts } = this.column();
    byId("part").parentElement.hidden = !(facts && facts.error);
    byId("stretch").parentElement.hidden = kind !== "map";
    byId("measured").parentElement.hidden = kind !== "map";
    if (kind === "flag") this.showFlag(number);
    else this.showMap(number, facts);
    this.drawBar();
    this.image.overlay.setAttribute("aria-label", `map of ${byId("bar-label").textContent}. `
      + "Arrow keys move, plus and minus zoom, shift and arrows pan, Enter pins.");
  }

  showMap(number, facts) {
    const part = facts.error ? byId("part").value : "value";
    const stored = part === "error" ? this.arrays["error-" + number] : this.arrays["value-" + number];
    const shown = this.arrays["shown-" + number].stored;
    let values = stored.real();
    if (part === "snr") {
      const error = this.arrays["error-" + number].real();
      values = values.map((v, i) => v / error[i]);
    }
    if (byId("measured").checked) values = values.map((v, i) => (shown[i] ? v : NaN));
    const chosen = byId("stretch").value;
    const warp = chosen !== "auto" ? chosen : part === "value" ? facts.warp : "linear";
    const two = facts.diverging && part === "value";
    this.scale = ColourScale.robust(values, { warp, map: two ? "diverging" : "viridis",
      symmetric: two, soft: facts.soft });
    this.image.setColours(this.scale.indices(values), this.scale.palette(this.colourMaps));
    const name = { value: "", error: ", 1σ error", snr: ", value / error" }[part];
    const unit = part === "snr" ? "" : facts.unit;
    byId("bar-label").textContent = `${facts.label}${name}${unit ? ` [${unit}]` : ""}`;
    const [low, middle, high] = quantiles(values, [0.16, 0.5, 0.84]);
    const count = values.reduce((sum, v) => sum + Number.isFinite(v), 0);
    byId("summary").textContent = `${facts.text}. ${count} spaxels, median ${shortNumber(middle)}, `
      + `16–84 %: ${shortNumber(low)} to ${shortNumber(high)}`;
  }

  showFlag(bit) {
    this.scale = null;
    const flag = this.doc.flags.find((f) => f.bit === bit);
    const palette = new Uint32Array(256);
    palette[0] = packedColour(cssColour("--missing"));
    palette[1] = packedColour(cssColour("--class-2"));
    const flags = this.arrays.flags.stored;
    this.image.setColours(Uint8Array.from(flags, (f) => (f & bit ? 1 : 0)), palette);
    byId("bar-label").textContent = flag.name;
    byId("summary").textContent = `${flag.meaning}. ${flag.count} spaxels`;
  }

  drawBar() {
    byId("bar").hidden = !this.scale;
    if (this.scale) drawColourBar(byId("bar"), this.scale, this.colourMaps);
  }

  hover(i) {
    if (this.pinned >= 0 || i < 0 || i === this.here) return;
    this.show(i);
  }

  pin(i) {
    if (i < 0) return;
    this.pinned = this.pinned === i ? -1 : i;
    this.show(i);
  }

  show(i) {
    this.here = i;
    this.mark();
    byId("name").textContent = this.name(i);
    byId("name-state").textContent = this.pinned === i ? "pinned" : "";
    const rows = this.rows(i);
    const half = Math.ceil(rows.length / 2);
    tableRows(byId("facts"), rows.slice(0, half));
    tableRows(byId("facts-more"), rows.slice(half));
    byId("spaxel-flags").textContent = this.flagNames(i).join(", ") || "none";
    byId("save-spectrum").disabled = !this.source;
    if (this.source) this.showSpectrum(i);
    document.body.dataset.shown = String(i);
  }

  async showSpectrum(i) {
    let spectrum;
    try {
      spectrum = await this.source.get(i);
    } catch (error) {
      byId("name-state").textContent = `no spectrum: ${error.message}`;
      return;
    }
    if (i !== this.here) return;
    this.spectrum = spectrum;
    const { wavelength, data, model } = spectrum;
    const none = () => wavelength.map(() => null);
    const rest = data && model
      ? data.map((v, j) => (v === null || model[j] === null ? null : v - model[j])) : none();
    this.plot.windows[0].low = wavelength[0];
    this.plot.windows[0].high = wavelength[wavelength.length - 1];
    this.plot.setData([wavelength, data || none(), model || none(), rest]);
    document.body.dataset.drawn = String(i);
  }

  // Where the lines lie at the velocity of the spaxel.
  lineMarks() {
    const { doc } = this;
    return doc.lines.map(({ name, label, rest }) => {
      const group = doc.groups[name] || 1;
      const column = group > 1 ? `velocity_group${group}` : "velocity";
      const k = doc.maps.findIndex((m) => m.name === column);
      const velocity = k < 0 ? 0 : this.arrays["value-" + k].at(this.here);
      return { label, at: rest * dopplerFactor(doc.redshift, velocity, doc.convention) };
    });
  }

  name(i) {
    const [x, y] = [i % this.nx, Math.floor(i / this.nx)];
    if (!this.doc.sky) return `spaxel x ${x}, y ${y}`;
    const n = this.nx * this.ny;
    const [east, north] = [this.arrays.sky.at(i), this.arrays.sky.at(n + i)];
    const dec = this.doc.sky.dec + north / 3600;
    const ra = this.doc.sky.ra + east / 3600 / Math.cos((this.doc.sky.dec * Math.PI) / 180);
    return `spaxel x ${x}, y ${y} · RA ${ra.toFixed(5)}°, Dec ${dec.toFixed(5)}°`.replace("-", "−");
  }

  rows(i) {
    return this.doc.maps.map(({ label, unit, error, group }, k) => {
      const value = shortNumber(this.arrays["value-" + k].at(i), 4);
      const spread = error ? `± ${shortNumber(this.arrays["error-" + k].at(i), 2)}` : "";
      const name = group === "line fluxes" ? `${label} flux` : label;
      return [name, value, value === "–" ? "" : spread, unit];
    });
  }

  flagNames(i) {
    const bits = this.arrays.flags ? this.arrays.flags.stored[i] : 0;
    return this.doc.flags.filter(({ bit }) => bits & bit).map(({ name }) => name);
  }

  mark() {
    const marks = this.selected.map((index) => ({ index, kind: "selected" }));
    if (this.here >= 0) marks.push({ index: this.here, kind: "here" });
    this.image.marks = marks;
    this.image.drawMarks();
  }

  select(indices) {
    this.selected = indices;
    byId("count").textContent = indices.length ? `${indices.length} selected` : "nothing selected";
    byId("save").disabled = byId("clear").disabled = !indices.length;
    this.mark();
  }

  find() {
    const [x, y] = byId("wanted").value.split(/[\s,;]+/).map(Number);
    if (!(x >= 0 && x < this.nx && y >= 0 && y < this.ny)) {
      byId("found").textContent = `x from 0 to ${this.nx - 1}, y from 0 to ${this.ny - 1}`;
      return;
    }
    byId("found").textContent = "";
    this.pinned = Math.floor(y) * this.nx + Math.floor(x);
    this.show(this.pinned);
    announce(this.name(this.pinned));
  }

  showAddress() {
    const wanted = decodeURIComponent(window.location.hash.slice(1));
    if (!wanted) return false;
    byId("wanted").value = wanted;
    this.find();
    return this.here >= 0;
  }

  key(event) {
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const arrow = arrows[event.key];
    if (arrow && event.shiftKey) this.view.pan(0.1 * arrow[0], 0.1 * arrow[1]);
    else if (arrow) this.step(arrow);
    else if (event.key === "+" || event.key === "=") this.view.zoomMiddle(0.7);
    else if (event.key === "-") this.view.zoomMiddle(1 / 0.7);
    else if (event.key === "0") this.view.reset();
    else if (event.key === "Enter") this.pin(this.here);
    else if (event.key === "Escape") { this.pinned = -1; this.select([]); }
    else return;
    event.preventDefault();
  }

  step([dx, dy]) {
    const i = Math.max(0, this.here);
    const x = Math.max(0, Math.min(this.nx - 1, (i % this.nx) + dx));
    const y = Math.max(0, Math.min(this.ny - 1, Math.floor(i / this.nx) + dy));
    this.pinned = y * this.nx + x;
    this.show(this.pinned);
    const { facts, number } = this.column();
    announce(`x ${x}, y ${y}${facts ? `, ${facts.label} ${shortNumber(this.arrays["value-" + number].at(this.here))} ${facts.unit}` : ""}`);
  }

  save() {
    const { maps } = this.doc;
    const head = ["x", "y", ...maps.flatMap(({ name, error }) => (error ? [name, `${name}_err`] : [name])), "flags"];
    const rows = this.selected.map((i) => [i % this.nx, Math.floor(i / this.nx),
      ...maps.flatMap(({ error }, k) => {
        const value = this.arrays["value-" + k].at(i);
        return error ? [value, this.arrays["error-" + k].at(i)] : [value];
      }), this.arrays.flags ? this.arrays.flags.stored[i] : 0]);
    saveText("spaxels.csv", csvText(head, rows));
  }

  saveSpectrum() {
    if (!this.spectrum) return;
    const { wavelength, data, model } = this.spectrum;
    const number = (values, j) => (values && values[j] !== null ? values[j] : NaN);
    const rows = wavelength.map((w, j) => [w, number(data, j), number(model, j)]);
    const [x, y] = [this.here % this.nx, Math.floor(this.here / this.nx)];
    saveText(`spectrum_x${x}_y${y}.csv`, csvText(["wavelength_Angstrom", "data", "model"], rows));
  }

  brightest() {
    const k = this.doc.maps.findIndex(({ name }) => name === "snr");
    if (k < 0) return Math.floor((this.nx * this.ny) / 2);
    let [best, found] = [-Infinity, 0];
    this.arrays["value-" + k].real().forEach((v, i) => { if (v > best) [best, found] = [v, i]; });
    return found;
  }
}

async function start() {
  const doc = readDocument();
  const arrays = await loadArrays(doc.arrays);
  const page = new MapsPage(doc, arrays);
  if (!page.showAddress()) page.show(page.brightest());
  window.explorer = page;
  document.body.dataset.ready = String(Math.round(performance.now()));
}

start().catch(showFailure);
