// Arrays stored in the page: base64 of deflated bytes, in planes (see pack.py).
const MISSING = -32768;

function bytesOfBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function joinPlanes(planes, type) {
  if (type === "u1") return planes;
  const size = type === "i2" ? 2 : 4;
  const n = planes.length / size;
  const bytes = new Uint8Array(planes.length);
  for (let k = 0; k < size; k++) {
    const from = k * n;
    for (let i = 0, to = k; i < n; i++, to += size) bytes[to] = planes[from + i];
  }
  const kinds = { i2: Int16Array, i4: Int32Array, f4: Float32Array };
  return new kinds[type](bytes.buffer);
}

// One array: whole numbers in `stored`, real ones by `real(start, count)`.
class StoredArray {
  constructor(spec, stored) {
    this.spec = spec;
    this.stored = stored;
  }

  real(start = 0, count = this.stored.length) {
    const values = this.scaled(start, count);
    const { asinh, unit } = this.spec;
    if (asinh) for (let i = 0; i < count; i++) values[i] = unit * Math.sinh(values[i]);
    return values;
  }

  // The numbers, or their asinh where that is what is stored.
  scaled(start = 0, count = this.stored.length) {
    const { scale, offset } = this.spec;
    if (scale === undefined) return Float32Array.from(this.stored.subarray(start, start + count));
    const values = new Float32Array(count);
    for (let i = 0; i < count; i++) {
      const q = this.stored[start + i];
      values[i] = q === MISSING ? NaN : offset + scale * q;
    }
    return values;
  }

  at(index) {
    return this.real(index, 1)[0];
  }
}

async function loadArrays(specs) {
  const names = Object.keys(specs);
  const loaded = await Promise.all(names.map(async (name) => {
    const block = document.getElementById("array-" + name);
    const planes = await inflate(bytesOfBase64(block.textContent));
    block.remove();
    return new StoredArray(specs[name], joinPlanes(planes, specs[name].type));
  }));
  return Object.fromEntries(names.map((name, i) => [name, loaded[i]]));
}
