// The numbers of a panel for a spreadsheet: what it shows now, as tab-separated text and as a table.

const COPY_NUMBERS = "Copy numbers";
// What a spreadsheet would take for a formula, behind characters that it does not show.
const FORMULA = /^[\s\p{Cf}]*[=+\-@＝＋－＠]/u;

// Of each kind of panel its rows, names and numbers, the names of the columns first: a function of
// the panel's data, the number of its frame, the page and the view that draws it.
const PANEL_TABLES = {
  bars: tableOfMarks,
  versus: (panel, frame, page, view) => view.table(),
  matrix: tableOfMarks,
  overlay: tableOfOverlay,
  multiples: tableOfMultiples,
  cells: tableOfCells,
  histogram: tableOfCounts,
  sankey: tableOfFlows,
};

// What is copied of a panel: its picture, and its numbers where it has some.
function copyButtons(panel, page) {
  const buttons = make("div", "copies");
  buttons.append(copyButton());
  if (hasNumbers(panel, page)) buttons.append(numbersButton());
  return buttons;
}

function numbersButton() {
  const button = make("button", "copy of-numbers", COPY_NUMBERS);
  Object.assign(button, { type: "button", title: "as a table for spreadsheets" });
  return button;
}

// Icons may come without a number.
function hasNumbers({ kind, frames }, page) {
  if (PANEL_TABLES[kind] !== tableOfMarks) return kind in PANEL_TABLES;
  return frames.flat().some((number) => page.data.marks[number][1].some((value) => value !== null));
}

async function copyNumbers(page, section, button) {
  const { panel, view } = page.panels.find((entry) => entry.section === section);
  const rows = PANEL_TABLES[panel.kind](panel, page.frameOf(panel), page, view);
  const text = tabSeparated(rows);
  const copied = await putOnClipboard(page.root, { "text/plain": text, "text/html": asTable(rows) });
  if (!copied) saveBlob(new Blob([text], { type: "text/tab-separated-values" }), `${panel.title.slice(0, 60)}.tsv`);
  button.style.minWidth = `${button.offsetWidth}px`;
  sayCopied(page, button, copied ? "Copied" : "Saved");
}

function sayCopied(page, button, word) {
  const { announcer } = page.controls;
  button.textContent = announcer.textContent = word;
  setTimeout(() => {
    button.textContent = COPY_NUMBERS;
    if (announcer.textContent === word) announcer.textContent = "";
  }, COPIED_FOR);
}

// Pages without a secure address have no clipboard of their own, and the browser's command for it.
async function putOnClipboard(root, forms) {
  try {
    const blobs = Object.entries(forms).map(([type, text]) => [type, new Blob([text], { type })]);
    await navigator.clipboard.write([new ClipboardItem(Object.fromEntries(blobs))]);
    return true;
  } catch {
    return putByCommand(root, forms);
  }
}

function putByCommand(root, forms) {
  const focused = root.getRootNode().activeElement;
  const field = make("textarea", "unseen");
  Object.assign(field, { value: forms["text/plain"], readOnly: true });
  const fill = (event) => {
    Object.entries(forms).forEach(([type, text]) => event.clipboardData.setData(type, text));
    event.preventDefault();
  };
  document.addEventListener("copy", fill, { once: true });
  root.append(field);
  field.focus({ preventScroll: true });
  field.select();
  const copied = document.execCommand("copy");
  document.removeEventListener("copy", fill);
  field.remove();
  focused?.focus({ preventScroll: true });
  return copied;
}

// Forms

function tabSeparated(rows) {
  const quoted = (text) => (text.includes('"') ? `"${text.replaceAll('"', '""')}"` : text);
  return rows.map((row) => row.map((cell) => quoted(plainText(cell))).join("\t")).join("\n");
}

function asTable(rows) {
  const table = make("table");
  rows.forEach((row, i) => {
    const line = table.appendChild(make("tr"));
    for (const cell of row) line.appendChild(make(i ? "td" : "th")).textContent = plainText(cell);
  });
  return table.outerHTML;
}

// A number as every spreadsheet reads it; a name on one line that none takes for a formula.
function plainText(cell) {
  if (typeof cell === "number") return Number.isFinite(cell) ? String(cell) : "";
  const text = (cell ?? "").replace(/[\s\p{Cc}]+/gu, " ").trim();
  return FORMULA.test(text) ? `'${text}` : text;
}

// Numbers of single precision have no more digits than this.
function single(value) {
  return Number(value.toPrecision(7));
}

function inUnit(title, unit) {
  return title && unit && title !== unit ? `${title} (${unit})` : title || unit || "value";
}

// Tables

// A row a mark and a column a number; behind each number the tick on its bar, and its range.
function tableOfMarks(panel, frame, page, view) {
  const marks = panel.frames[frame].map((number) => page.data.marks[number]);
  const ticked = marks.some(([, , , ticks]) => ticks?.length);
  const spanned = marks.some(([, , , , spans]) => spans);
  const roles = marks.map(([atom]) => page.data.atoms[atom][5]);
  const told = roles.some((role) => role !== "atom");
  const numbers = view.answers ? view.answers.now().map((value) => [single(value)]) : marks.map(([, values]) => values);
  const rows = marks.map(([atom, , , ticks = [], spans = []], i) => {
    const cells = panel.columns.flatMap((_, column) => {
      const value = numbers[i][column] ?? null;
      const range = spanned ? (spans[column] ?? [null, null]) : [];
      return [value, ...(ticked ? [ticks[column] ?? null] : []), ...range];
    });
    return [page.data.atoms[atom][1], ...cells, ...(told ? [roles[i]] : [])];
  });
  return [["name", ...headsOf(panel, { ticked, spanned }, view), ...(told ? ["role"] : [])], ...rows];
}

function headsOf({ columns, unit, ticked: words }, { ticked, spanned }, { answers }) {
  const tick = (words ?? "").split("; ").find((part) => part.startsWith("tick")) ?? "tick";
  const off = answers?.off.length ? `, without ${answers.named(answers.off)}` : "";
  return columns.flatMap((title) => {
    const head = `${inUnit(title, unit)}${off}`;
    const more = [...(ticked ? [tick] : []), ...(spanned ? ["least by any method", "largest by any method"] : [])];
    return [head, ...more.map((what) => (title ? `${title}, ${what}` : what))];
  });
}

function tableOfOverlay(panel, frame, page) {
  const fields = panel.frames[frame].map((name) => page.field(name));
  return tableOfFields(fields, fields.map(({ label }) => label));
}

// The number told below each small photograph comes first.
function tableOfMultiples(panel, frame, page) {
  const marks = panel.frames[frame].map((number) => page.data.marks[number]);
  const atoms = marks.map(([atom]) => page.data.atoms[atom]);
  const sums = marks.map(([, values]) => values[0] ?? null);
  return tableOfFields(atoms.map(([, , , field]) => page.field(field)), atoms.map(([, label]) => label), sums);
}

// A row a place, counted from one as the readout does; maps of several grids follow each other.
function tableOfFields(fields, names, sums = []) {
  const places = ({ rows, columns }) =>
    Array.from({ length: rows * columns }, (_, i) => [Math.floor(i / columns) + 1, (i % columns) + 1]);
  const told = sums.some((sum) => sum !== null);
  const grids = new Set(fields.map(({ rows, columns, extent }) => `${rows} ${columns} ${extent}`));
  if (grids.size === 1) {
    const heads = fields.map(({ unit }, i) => inUnit(names[i], unit));
    const rows = places(fields[0]).map((place, i) => [...place, ...fields.map(({ values }) => single(values[i]))]);
    return [["row", "column", ...heads], ...(told ? [["all", "all", ...sums]] : []), ...rows];
  }
  const long = fields.flatMap((field, map) => {
    const rows = places(field).map((place, i) => [names[map], ...place, single(field.values[i]), field.unit]);
    return told ? [[names[map], "all", "all", sums[map], field.unit], ...rows] : rows;
  });
  return [["map", "row", "column", "value", "unit"], ...long];
}

// A row a cell: its number, and what the colours over it are.
function tableOfCells(panel, frame, page) {
  const { grid, unit } = panel;
  const tints = (panel.tints[frame] ?? []).map((name) => page.field(name));
  const rows = panel.frames[frame].map((number, i) => {
    const [atom, values] = page.data.marks[number];
    const middle = middleOf({ grid, extent: WHOLE }, i);
    const colours = tints.map((field) => single(valueAt({ ...field, extent: WHOLE }, middle)));
    const place = [Math.floor(i / grid[1]) + 1, (i % grid[1]) + 1];
    return [page.data.atoms[atom][1], ...place, values[0] ?? null, ...colours];
  });
  const heads = [inUnit("", unit), ...tints.map(({ label, unit: own }) => inUnit(label, own))];
  return [["name", "row", "column", ...heads], ...rows];
}

// Below the counts, what is marked.
function tableOfCounts({ edges, columns, unit, counted, frames, marked }, frame) {
  const heads = columns.map((title) => inUnit(title, counted || "count"));
  const rows = edges.slice(1).map((edge, i) => [edges[i], edge, ...frames[frame].map((counts) => counts[i])]);
  const own = marked ? [[MARKED, null, ...marked[frame]]] : [];
  return [[inUnit("from", unit), inUnit("to", unit), ...heads], ...rows, ...own];
}

function tableOfFlows({ titles, unit, frames }, frame, page) {
  const { sides, bands } = frames[frame];
  const name = (side, index) => page.atomAt(sides[side][index])[1];
  const inOrder = [...bands].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const rows = inOrder.map(([source, target, value]) => [name(0, source), name(1, target), value]);
  return [[inUnit("from", titles[0]), inUnit("to", titles[1]), inUnit("", unit)], ...rows];
}
