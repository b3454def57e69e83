// Colour maps, scales that outliers do not rule, and the colour bar.
function cssColour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function quantiles(values, shares) {
  const step = Math.max(1, Math.floor(values.length / 40000));
  const kept = [];
  for (let i = 0; i < values.length; i += step) if (Number.isFinite(values[i])) kept.push(values[i]);
  if (!kept.length) return shares.map(() => NaN);
  const sorted = Float64Array.from(kept).sort();
  return shares.map((share) => sorted[Math.round(share * (sorted.length - 1))]);
}

const WARP = { linear: (v) => v, asinh: Math.asinh };

// Values to the 256 colours of a map; 0 is "no value".
class ColourScale {
  // `soft` is where an asinh scale turns from linear to logarithmic
  constructor(low, high, { warp = "linear", map = "viridis", soft = 1 } = {}) {
    const unit = warp === "asinh" ? soft : 1;
    this.forward = (v) => WARP[warp](v / unit);
    this.inverse = (v) => unit * (warp === "asinh" ? Math.sinh(v) : v);
    this.low = this.forward(low);
    this.high = this.forward(high);
    if (!(this.high > this.low)) {
      const middle = Number.isFinite(this.low) ? this.low : 0;
      [this.low, this.high] = [middle - 0.5, middle + 0.5];
    }
    this.map = map;
    this.warp = warp;
  }

  static robust(values, { warp, map, soft, symmetric = false } = {}) {
    let [low, middle, high] = quantiles(values, [0.02, 0.5, 0.98]);
    if (symmetric) {
      const reach = Math.max(high - middle, middle - low);
      [low, high] = [middle - reach, middle + reach];
    }
    return new ColourScale(low, high, { warp, map, soft });
  }

  // The same from values whose asinh is given.
  static robustAsinh(scaled) {
    const [low, high] = quantiles(scaled, [0.02, 0.98]);
    return new ColourScale(Math.sinh(low), Math.sinh(high), { warp: "asinh" });
  }

  indices(values) {
    return this.indicesOf(Float32Array.from(values, this.forward));
  }

  // Colours of values on the scale itself; the last comparison is false for "no value".
  indicesOf(scaled) {
    const found = new Uint8Array(scaled.length);
    const gain = 254 / (this.high - this.low);
    for (let i = 0; i < scaled.length; i++) {
      const at = (scaled[i] - this.low) * gain;
      if (at > 254) found[i] = 255;
      else if (at < 0) found[i] = 1;
      else if (at >= 0) found[i] = (1.5 + at) | 0;
    }
    return found;
  }

  palette(maps) {
    const palette = new Uint32Array(256);
    const bytes = new Uint8Array(palette.buffer);
    palette[0] = packedColour(cssColour("--missing"));
    for (let i = 1; i < 256; i++) {
      bytes.set(maps[this.map].subarray(3 * i, 3 * i + 3), 4 * i);
      bytes[4 * i + 3] = 255;
    }
    return palette;
  }

  ticks() {
    if (this.warp === "linear") return niceTicks(this.low, this.high, 5);
    const wanted = [0];
    for (let power = -30; power <= 30; power++) {
      for (const digit of [1, 2, 5]) wanted.push(digit * 10 ** power, -digit * 10 ** power);
    }
    const room = (this.high - this.low) / 9;
    const kept = [];
    for (const value of wanted.sort((a, b) => Math.abs(b) - Math.abs(a))) {
      const at = this.forward(value);
      const clear = kept.every((other) => Math.abs(this.forward(other) - at) > room);
      if (at >= this.low && at <= this.high && clear) kept.push(value);
    }
    if (kept.length < 3) return niceTicks(this.inverse(this.low), this.inverse(this.high), 5);
    return kept.sort((a, b) => a - b);
  }
}

function packedColour(text) {
  const [r, g, b] = text.match(/\w\w/g).map((part) => parseInt(part, 16));
  return new Uint32Array(new Uint8Array([r, g, b, 255]).buffer)[0];
}

function niceTicks(low, high, most) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * power).find((s) => s >= rough) || 10 * power;
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) found.push(k * step);
  return found;
}

function shortNumber(value, digits = 3) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e5 || size < 1e-3)) {
    const [front, power] = value.toExponential(Math.max(0, digits - 1)).split("e");
    const raised = String(+power).replace(/[-\d]/g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);
    return `${String(+front).replace("-", "−")}×10${raised}`;
  }
  return String(Number(value.toPrecision(digits))).replace("-", "−");
}

function drawColourBar(canvas, scale, maps) {
  const { context, width, height } = sharpCanvas(canvas);
  const palette = new Uint8Array(scale.palette(maps).buffer);
  const bar = { top: 2, height: height - 18 };
  for (let x = 0; x < width; x++) {
    const i = 1 + Math.round((254 * x) / (width - 1));
    context.fillStyle = `rgb(${palette[4 * i]},${palette[4 * i + 1]},${palette[4 * i + 2]})`;
    context.fillRect(x, bar.top, 1.5, bar.height);
  }
  context.fillStyle = cssColour("--text");
  context.strokeStyle = cssColour("--text");
  context.font = "11px system-ui, sans-serif";
  for (const value of scale.ticks()) {
    const at = ((scale.forward(value) - scale.low) / (scale.high - scale.low)) * (width - 1);
    context.fillRect(Math.round(at), bar.top + bar.height - 3, 1, 5);
    context.textAlign = at < 12 ? "left" : at > width - 12 ? "right" : "center";
    context.fillText(shortNumber(value), at, height - 3);
  }
}

// A canvas with as many pixels as the screen shows; drawing is in CSS pixels.
function sharpCanvas(canvas) {
  const density = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const wanted = [Math.max(1, Math.round(width * density)), Math.max(1, Math.round(height * density))];
  if (canvas.width !== wanted[0]) canvas.width = wanted[0];
  if (canvas.height !== wanted[1]) canvas.height = wanted[1];
  const context = canvas.getContext("2d");
  context.setTransform(density, 0, 0, density, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height, density };
}
