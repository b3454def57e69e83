// What both pages share: theme, files to save, and small helpers.
const byId = (id) => document.getElementById(id);

function readDocument() {
  return JSON.parse(byId("document").textContent);
}

// Light or dark as the system says, until the reader chooses; colours are read when drawing.
function setUpTheme(redraw) {
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const apply = (name) => { root.dataset.theme = name; redraw(); };
  root.dataset.theme = system.matches ? "dark" : "light";
  system.addEventListener("change", (event) => apply(event.matches ? "dark" : "light"));
  byId("theme").addEventListener("click", () => apply(root.dataset.theme === "dark" ? "light" : "dark"));
}

function saveText(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function csvCell(value) {
  if (typeof value === "number") return Number.isFinite(value) ? String(+value.toPrecision(6)) : "";
  return /[",\n]/.test(value) ? `"${value.replace(/"/g, '""')}"` : value;
}

function csvText(head, rows) {
  return [head, ...rows].map((row) => row.map(csvCell).join(",")).join("\n") + "\n";
}

function addOptions(select, groups) {
  for (const [name, options] of groups) {
    const parent = name ? document.createElement("optgroup") : select;
    if (name) { parent.label = name; select.append(parent); }
    for (const [value, text] of options) parent.append(new Option(text, value));
  }
}

function tableRows(body, rows) {
  body.replaceChildren(...rows.map((cells) => {
    const row = document.createElement("tr");
    cells.forEach((cell, k) => {
      const box = document.createElement(k ? "td" : "th");
      if (!k) box.scope = "row";
      box.textContent = cell;
      row.append(box);
    });
    return row;
  }));
}

// Redraw once a frame, however often it is asked for.
function oncePerFrame(draw) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  };
}

function announce(text) {
  byId("live").textContent = text;
}

function showFailure(error) {
  byId("failure").hidden = false;
  byId("failure").textContent =
    `This page could not be shown (${error.message}). It needs a browser of 2023 or later.`;
}
