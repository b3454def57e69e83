// The page of a population: points, spectrum, widths.
class PopulationPage {
  constructor(doc, arrays) {
    Object.assign(this, { doc, arrays });
    this.spectra = new GalaxySpectra(doc, arrays);
    this.maps = Object.fromEntries(doc.colourMaps.map((name) => [name, arrays["map-" + name].stored]));
    this.view = new View();
    this.order = shuffled(doc.n);
    this.here = -1;
    this.pinned = -1;
    this.selected = [];
    setUpTheme(() => this.restyle());
    this.makePanels();
    this.makeControls();
    this.makePlot();
    this.recolour(true);
    new ResizeObserver(oncePerFrame(() => this.panels.forEach((p) => p.fit()))).observe(byId("panels"));
    new ResizeObserver(oncePerFrame(() => this.drawBar())).observe(byId("bar"));
    window.addEventListener("hashchange", () => this.showAddress());
    this.showAddress();
  }

  makePanels() {
    this.panels = this.doc.variants.map(({ label }) => {
      const figure = byId("panel").content.firstElementChild.cloneNode(true);
      byId("panels").append(figure);
      const panel = new Scatter(figure, this.view, {
        onHover: (i) => this.hover(i),
        onClick: (i) => this.pin(i),
        onBox: (from, a, b) => this.select(from.inBox(a, b)),
      });
      panel.label = label;
      panel.overlay.addEventListener("keydown", (event) => this.key(event, panel));
      return panel;
    });
  }

  makeControls() {
    const { doc } = this;
    addOptions(byId("plane"), [["", doc.embeddings.map((e, k) => [String(k), e.label])],
      ["diagrams", [["bpt", "BPT: [N II]/Hα and [O III]/Hβ"], ["strength", "colour and strength"]]]]);
    addOptions(byId("colour"), [
      ["equivalent width", doc.lines.map((line, k) => ["line-" + k, line.label])],
      ["galaxies", doc.columns.map((column, k) => ["column-" + k, column.label])]]);
    addOptions(byId("variant"), [["", [...doc.variants.map(({ key, label }) => [key, label]),
      ...(doc.variants.length > 1 ? [["all", "side by side"]] : [])]]]);
    byId("colour").value = "line-" + Math.max(0, doc.lines.findIndex((l) => l.name === "HALPHA6563"));
    byId("variant").value = doc.variants.length > 1 ? "all" : doc.variants[0].key;
    for (const id of ["colour", "variant"]) byId(id).addEventListener("change", () => this.recolour());
    byId("plane").addEventListener("change", () => this.place(true));
    byId("search").addEventListener("submit", (event) => { event.preventDefault(); this.find(); });
    byId("save").addEventListener("click", () => this.save());
    byId("clear").addEventListener("click", () => this.select([]));
    byId("home").addEventListener("click", () => this.view.reset());
    byId("closer").addEventListener("click", () => this.view.zoomMiddle(0.6));
    byId("farther").addEventListener("click", () => this.view.zoomMiddle(1 / 0.6));
    this.select([]);
  }

  makePlot() {
    const { axis, coarse } = { axis: this.spectra.axis, coarse: this.spectra.coarse };
    const whole = { name: "all", low: axis[0], high: coarse[coarse.length - 1] };
    this.plot = new SpectrumPlot(byId("spectrum"), {
      xLabel: "rest wavelength, vacuum [Å]",
      yLabel: this.doc.fluxLabel,
      series: [{ name: "stars", colour: "--stars" },
        ...this.doc.variants.map(({ key, label }) => ({
          name: label, colour: "--" + key, width: key === "observed" ? 1.6 : 1.2 }))],
      windows: [whole, ...this.doc.windows],
    });
  }

  variants() {
    const wanted = byId("variant").value;
    return this.doc.variants.filter(({ key }) => wanted === "all" || wanted === key);
  }

  recolour(home = false) {
    const [kind, number] = byId("colour").value.split("-");
    const shown = new Set(this.variants().map(({ key }) => key));
    const single = kind === "column";
    this.doc.variants.forEach(({ key }, k) => {
      const panel = this.panels[k];
      panel.visible = shown.has(key);
      panel.figure.hidden = !panel.visible;
    });
    const column = single ? this.doc.columns[+number] : null;
    if (column && column.names.length) this.colourByClass(+number, column);
    else this.colourByValue(single ? null : +number, single ? +number : null);
    byId("panels").dataset.count = String(this.variants().length);
    document.body.dataset.layout = this.variants().length > 1 ? "wide" : "side";
    this.place(home);
  }

  colourByValue(line, number) {
    const { doc, arrays } = this;
    const column = number === null ? null : doc.columns[number];
    const values = (key) => (column ? arrays["column-" + number].real()
      : arrays["ew-" + key].scaled(line * doc.n, doc.n));
    const first = values(doc.variants[0].key);
    this.scale = column ? ColourScale.robust(first) : ColourScale.robustAsinh(first);
    const palette = this.scale.palette(this.maps);
    this.variants().forEach(({ key, label }) => {
      const panel = this.panels[doc.variants.findIndex((v) => v.key === key)];
      const reuse = column || key === doc.variants[0].key;
      panel.setColours(this.scale.indicesOf(reuse ? first : values(key)), palette);
      panel.title.textContent = column ? column.label : `${doc.lines[line].label}, ${label}`;
    });
    byId("classes").replaceChildren();
    byId("bar").hidden = false;
    byId("bar-label").textContent = column ? `${column.label}${column.unit ? ` [${column.unit}]` : ""}`
      : `EW of ${doc.lines[line].label} [Å, rest frame; positive in emission]`;
    this.drawBar();
  }

  drawBar() {
    if (this.scale) drawColourBar(byId("bar"), this.scale, this.maps);
  }

  colourByClass(number, column) {
    const numbers = this.arrays["column-" + number].stored;
    this.scale = null;
    const palette = new Uint32Array(256);
    palette[0] = packedColour(cssColour("--missing"));
    column.names.forEach((_, k) => { palette[k + 1] = packedColour(cssColour(`--class-${k % 8}`)); });
    const indices = Uint8Array.from(numbers, (v) => (v >= 0 && v < column.names.length ? v + 1 : 0));
    for (const panel of this.panels) {
      panel.setColours(indices, palette);
      panel.title.textContent = `${column.label}${this.variants().length > 1 ? `, ${panel.label}` : ""}`;
    }
    const counts = new Int32Array(column.names.length);
    for (const v of numbers) if (v >= 0) counts[v]++;
    byId("classes").replaceChildren(...column.names.map((name, k) => {
      const item = document.createElement("span");
      item.innerHTML = `<i style="background:var(--class-${k % 8})"></i>`;
      item.append(`${name} (${counts[k]})`);
      return item;
    }));
    byId("bar").hidden = true;
    byId("bar-label").textContent = column.label;
  }

  place(home) {
    const wanted = byId("plane").value;
    this.doc.variants.forEach(({ key }, k) => {
      const panel = this.panels[k];
      if (!panel.visible) return;
      const { x, y, labels } = this.coordinates(wanted, key);
      panel.setPoints(x, y, this.order);
      panel.labels = labels;
      panel.overlay.setAttribute("aria-label", `${panel.title.textContent}: ${labels.join(" against ")}. `
        + "Arrow keys step to neighbours, plus and minus zoom, shift and arrows pan, Enter pins.");
    });
    if (home) this.view.setHome(this.extent());
    else this.panels.forEach((panel) => panel.draw());
    this.mark();
  }

  coordinates(wanted, variant) {
    const { doc, arrays } = this;
    const line = (name) => {
      const k = doc.lines.findIndex((l) => l.name === name);
      return arrays["ew-" + variant].real(k * doc.n, doc.n);
    };
    if (wanted === "bpt") {
      const ratio = (a, b) => a.map((v, i) => (v > 0 && b[i] > 0 ? Math.log10(v / b[i]) : NaN));
      return { x: ratio(line("NII6583"), line("HALPHA6563")), y: ratio(line("OIII5007"), line("HBETA4861")),
        labels: ["log EW [N II] 6583 / EW Hα", "log EW [O III] 5007 / EW Hβ"] };
    }
    if (wanted === "strength") {
      const k = doc.lines.findIndex((l) => l.name === "HALPHA6563");
      const strength = arrays["ew-" + variant].scaled(k * doc.n, doc.n);
      return { x: arrays["column-0"].real(), y: strength,
        labels: [`${doc.columns[0].label} [${doc.columns[0].unit}]`, "asinh(EW Hα / Å)"] };
    }
    const chosen = doc.embeddings[+wanted];
    const both = arrays["embedding-" + wanted];
    return { x: both.real(0, doc.n), y: both.real(doc.n, doc.n), labels: chosen.axes };
  }

  extent() {
    const panel = this.panels.find((p) => p.visible);
    const spread = (values) => {
      const [low, high] = quantiles(values, [0.002, 0.998]);
      const room = 0.1 * (high - low) || 1;
      return [low - room, high + room];
    };
    return [...spread(panel.x), ...spread(panel.y)];
  }

  hover(i) {
    if (i < 0 && this.pinned >= 0) i = this.pinned;
    if (i < 0 || i === this.here) return;
    this.show(i);
  }

  pin(i) {
    this.pinned = this.pinned === i ? -1 : i;
    if (i >= 0) this.show(i);
    this.mark();
  }

  show(i) {
    this.here = i;
    const { doc, spectra } = this;
    const continuum = spectra.continuum(i);
    const widths = doc.variants.map(({ key }) => spectra.widths(key, i));
    const broadening = spectra.broadening(i);
    this.plot.setData([spectra.axis, continuum,
      ...widths.map((w) => spectra.withLines(continuum, w, broadening))]);
    byId("name").textContent = this.name(i);
    byId("name-state").textContent = this.pinned === i ? "pinned" : "";
    tableRows(byId("widths"), doc.lines.map((line, k) =>
      [line.label, ...widths.map((w) => shortNumber(w[k]))]));
    tableRows(byId("facts"), doc.columns.map((column, k) => [column.label, this.fact(column, k, i)]));
    this.mark();
    document.body.dataset.shown = String(i);
  }

  name(i) {
    return this.doc.ids ? this.doc.ids[i] : `galaxy ${i}`;
  }

  fact(column, k, i) {
    const stored = this.arrays["column-" + k];
    if (column.names.length) return column.names[stored.stored[i]] || "–";
    return `${shortNumber(stored.at(i), 4)}${column.unit ? ` ${column.unit}` : ""}`;
  }

  mark() {
    const marks = this.selected.length <= 3000
      ? this.selected.map((index) => ({ index, kind: "selected" })) : [];
    if (this.here >= 0) marks.push({ index: this.here, kind: "here" });
    for (const panel of this.panels) {
      panel.marks = marks;
      if (panel.visible && panel.x) panel.drawMarks();
    }
  }

  select(indices) {
    this.selected = indices;
    byId("count").textContent = indices.length
      ? `${indices.length} selected` : "nothing selected";
    byId("save").disabled = byId("clear").disabled = !indices.length;
    this.mark();
  }

  find() {
    const wanted = byId("wanted").value.trim();
    const i = this.doc.ids ? this.doc.ids.indexOf(wanted) : Number(wanted.replace(/^galaxy\s*/i, ""));
    if (wanted === "" || !(i >= 0 && i < this.doc.n)) {
      byId("found").textContent = this.doc.ids ? `no galaxy ${wanted}` : `a number from 0 to ${this.doc.n - 1}`;
      return;
    }
    byId("found").textContent = "";
    this.pinned = Math.floor(i);
    this.show(this.pinned);
    announce(this.sentence(this.pinned));
  }

  showAddress() {
    const wanted = decodeURIComponent(window.location.hash.slice(1));
    if (!wanted) return;
    byId("wanted").value = wanted;
    this.find();
  }

  sentence(i) {
    const parts = this.doc.columns.slice(0, 3).map((column, k) => `${column.label} ${this.fact(column, k, i)}`);
    return `${this.name(i)}: ${parts.join(", ")}`;
  }

  key(event, panel) {
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const arrow = arrows[event.key];
    if (arrow && event.shiftKey) this.view.pan(0.1 * arrow[0], 0.1 * arrow[1]);
    else if (arrow) this.step(panel, arrow);
    else if (event.key === "+" || event.key === "=") this.view.zoomMiddle(0.7);
    else if (event.key === "-") this.view.zoomMiddle(1 / 0.7);
    else if (event.key === "0") this.view.reset();
    else if (event.key === "Enter" && this.here >= 0) this.pin(this.here);
    else if (event.key === "Escape") { this.pinned = -1; this.select([]); }
    else return;
    event.preventDefault();
  }

  // To the nearest galaxy at least eight pixels further in a direction.
  step(panel, [dx, dy]) {
    const a = panel.area();
    const [px, py] = this.here >= 0 ? panel.pixel(this.here) : [a.x + a.w / 2, a.y + a.h / 2];
    let [best, found] = [Infinity, -1];
    for (let i = 0; i < this.doc.n; i++) {
      const [qx, qy] = panel.pixel(i);
      const along = (qx - px) * dx - (qy - py) * dy;
      const across = Math.abs((qx - px) * dy) + Math.abs((qy - py) * dx);
      if (along >= 8 && along + 2 * across < best) [best, found] = [along + 2 * across, i];
    }
    if (found < 0) return;
    this.pinned = -1;
    this.show(found);
    announce(this.sentence(found));
  }

  save() {
    const { doc, spectra } = this;
    const head = ["id", ...doc.columns.map((c) => c.name),
      ...doc.variants.flatMap(({ key }) => doc.lines.map(({ name }) => `EW_${name}_${key}`))];
    const rows = this.selected.map((i) => [this.name(i), ...doc.columns.map((c, k) =>
      (c.names.length ? this.fact(c, k, i) : this.arrays["column-" + k].at(i))),
    ...doc.variants.flatMap(({ key }) => spectra.widths(key, i))]);
    saveText("galaxies.csv", csvText(head, rows));
  }

  restyle() {
    this.recolour();
    this.plot.restyle();
  }
}

function shuffled(n) {
  const order = Int32Array.from({ length: n }, (_, i) => i);
  let seed = 12345;
  for (let i = n - 1; i > 0; i--) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    const j = seed % (i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

async function start() {
  const doc = readDocument();
  const arrays = await loadArrays(doc.arrays);
  const page = new PopulationPage(doc, arrays);
  if (page.here < 0) page.show(0);
  window.explorer = page;
  document.body.dataset.ready = String(Math.round(performance.now()));
}

start().catch(showFailure);
