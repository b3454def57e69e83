// One galaxy: its continuum from principal components, and its lines from equivalent widths.
class GalaxySpectra {
  constructor(doc, arrays) {
    this.doc = doc;
    this.arrays = arrays;
    this.k = arrays.basis.spec.shape[0];
    this.m = arrays.basis.spec.shape[1];
    this.mean = arrays.mean.real();
    this.basis = arrays.basis.real();
    const { first, step } = doc.axis;
    this.coarse = Float64Array.from({ length: this.m }, (_, i) => first + step * i);
    this.makeFineAxis();
  }

  // The stored channels, and finer ones around every line.
  makeFineAxis() {
    const fine = new Set(this.coarse);
    for (const { wavelength } of this.doc.painted) {
      const reach = wavelength * 0.004;
      for (let d = -reach; d <= reach; d += 0.6) fine.add(+(wavelength + d).toFixed(2));
    }
    const { low, high } = { low: this.coarse[0], high: this.coarse[this.m - 1] };
    this.axis = Float64Array.from(fine).filter((w) => w >= low && w <= high).sort();
    this.left = Int32Array.from(this.axis, (w) =>
      Math.min(this.m - 2, Math.floor((w - low) / this.doc.axis.step)));
    this.part = Float64Array.from(this.axis, (w, i) =>
      (w - this.coarse[this.left[i]]) / this.doc.axis.step);
  }

  continuum(i) {
    const coefficients = this.arrays.coefficients.real(i * this.k, this.k);
    const level = this.arrays.level.at(i);
    const coarse = Float64Array.from(this.mean);
    for (let k = 0; k < this.k; k++) {
      const c = coefficients[k];
      for (let j = 0, b = k * this.m; j < this.m; j++, b++) coarse[j] += c * this.basis[b];
    }
    return Float64Array.from(this.axis, (w, j) => {
      const left = this.left[j];
      return level * (coarse[left] + this.part[j] * (coarse[left + 1] - coarse[left]));
    });
  }

  // Mean of the continuum 20 to 50 Angstrom away from a line, on both sides.
  level(continuum, wavelength) {
    let [sum, count] = [0, 0];
    for (let j = 0; j < this.axis.length; j++) {
      const away = Math.abs(this.axis[j] - wavelength);
      if (away >= 20 && away <= 50) { sum += continuum[j]; count++; }
    }
    return sum / count;
  }

  // The continuum with lines of the given equivalent widths [Angstrom].
  withLines(continuum, widths, broadeningKms) {
    const flux = Float64Array.from(continuum);
    for (const { wavelength, line, share } of this.doc.painted) {
      const width = widths[line] * share;
      if (!Number.isFinite(width)) continue;
      const sigma = wavelength * (broadeningKms / 299792.458);
      const peak = (width * this.level(continuum, wavelength)) / (sigma * Math.sqrt(2 * Math.PI));
      for (let j = 0; j < this.axis.length; j++) {
        const z = (this.axis[j] - wavelength) / sigma;
        if (z > -6 && z < 6) flux[j] += peak * Math.exp(-0.5 * z * z);
      }
    }
    return flux;
  }

  broadening(i) {
    return this.arrays.broadening ? this.arrays.broadening.at(i) : this.doc.broadening;
  }

  widths(variant, i) {
    const { arrays, doc } = this;
    return doc.lines.map((_, line) => arrays["ew-" + variant].at(line * doc.n + i));
  }
}
