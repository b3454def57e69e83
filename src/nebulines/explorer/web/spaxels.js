// The spectrum of a spaxel, from the page itself or from the local server.
class EmbeddedSpectra {
  constructor(arrays) {
    this.arrays = arrays;
    this.axis = arrays.wavelength.real();
  }

  row(kind, i) {
    const stored = this.arrays[kind];
    if (!stored) return null;
    const m = this.axis.length;
    const [offset, scale] = [this.arrays[kind + "-offset"].at(i), this.arrays[kind + "-scale"].at(i)];
    const values = new Array(m);
    for (let j = 0, sum = 0; j < m; j++) {
      sum = ((sum + stored.stored[i * m + j]) << 16) >> 16;
      values[j] = sum === MISSING ? null : offset + scale * sum;
    }
    return values;
  }

  async get(i) {
    const stretch = 1 + this.arrays.stretch.at(i);
    return { wavelength: Array.from(this.axis, (w) => w * stretch),
      data: this.row("data", i), model: this.row("model", i) };
  }
}

class ServedSpectra {
  constructor(nx) {
    this.nx = nx;
    this.kept = new Map();
  }

  async get(i) {
    if (!this.kept.has(i)) {
      if (this.kept.size > 500) this.kept.clear();
      const answer = await fetch(`spectrum?y=${Math.floor(i / this.nx)}&x=${i % this.nx}`);
      if (!answer.ok) throw new Error(`the server says ${answer.status}`);
      this.kept.set(i, await answer.json());
    }
    return this.kept.get(i);
  }
}

// Observed wavelength over rest wavelength at a velocity [km/s].
function dopplerFactor(redshift, velocityKms, convention) {
  const beta = velocityKms / 299792.458;
  const moving = convention === "relativistic" ? Math.sqrt((1 + beta) / (1 - beta)) : 1 + beta;
  return (1 + redshift) * moving;
}
