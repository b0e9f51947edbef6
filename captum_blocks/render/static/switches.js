// Atoms that the reader switches off, and what the network answers without them.

// One switch: on says that the atom is there.
function switchNode(page, name, key, label) {
  const node = make("button", "switch");
  Object.assign(node, { type: "button" });
  node.setAttribute("role", "switch");
  node.setAttribute("aria-label", label);
  Object.assign(node.dataset, { selection: name, atomKey: key });
  return node;
}

function showSwitch(page, node) {
  const { selection, atomKey } = node.dataset;
  node.setAttribute("aria-checked", String(!page.isOff(selection, atomKey)));
}

// A bar is drawn anew where its number or its scale changes: a node that is replaced while it is
// pressed is never clicked.
function redraw(cell, value, scale, draw) {
  const key = `${value} ${scale}`;
  if (cell.lastChild.shown === key) return;
  const track = draw();
  track.shown = key;
  cell.lastChild.replaceWith(track);
}

// The answers of one panel: rows of its tables, all computed by the network.
class Answers {
  constructor(bars) {
    const { panel, page } = bars;
    Object.assign(this, { bars, page, tables: panel.switched.map(unpackTable), table: null });
    this.line = make("p", "switch-line");
    this.line.setAttribute("aria-live", "polite");
    const { selection } = this.tables[0];
    // Where no panel lists the atoms, the switches stand here.
    const own = !page.data.panels.some(({ sets }) => sets.includes(selection));
    this.switches = own ? make("div", "switches") : null;
    bars.body.append(this.line, ...(own ? [this.switches] : []));
  }

  turn(frame) {
    this.table = this.tables[frame];
    if (!this.switches) return;
    const { selection, keys, names } = this.table;
    this.switches.replaceChildren(...keys.map((key, i) => this.labelled(selection, key, names[i])));
  }

  labelled(selection, key, name) {
    const node = make("span", "labelled-switch");
    node.append(switchNode(this.page, selection, key, name), make("span", "", name));
    return node;
  }

  get off() {
    const { selection, keys } = this.table;
    return keys.map((key, i) => i).filter((i) => this.page.isOff(selection, keys[i]));
  }

  // One number an answer, without what is off.
  now() {
    const { off, table } = this;
    return table.values(table.keys.reduce((sum, key, i) => sum + (off.includes(i) ? 0 : 2 ** i), 0));
  }

  apply() {
    const off = this.off;
    const now = this.now();
    this.bars.marks.forEach((mark, i) => {
      redraw(mark.lastChild.firstChild, now[i], "", () => this.bars.track(now[i]));
      const label = `${mark.label}: ${this.text(now[i])}`;
      mark.detail = off.length ? `${label} without ${this.named(off)}` : this.page.data.marks[mark.number][2];
    });
    write(this.line, this.words(off, now));
  }

  named(off) {
    return listed(off.map((i) => this.page.nameOf(this.table.keys[i], this.table.names[i])));
  }

  text(value) {
    return this.table.shared ? formatPercent(value) : formatNumber(value, this.bars.scale.signed);
  }

  words(off, now) {
    const [label] = this.bars.marks.map((mark) => mark.label);
    const before = this.table.values(2 ** this.table.keys.length - 1)[0];
    if (!off.length) return `With everything there: “${label}” ${this.text(before)}. Switch a group off to see the answer without it.`;
    const best = now.indexOf(Math.max(...now));
    const winner = best > 0 ? `; of these “${this.bars.marks[best].label}” is first, ${this.text(now[best])}` : "";
    const place = `zero in ${off.length > 1 ? "their" : "its"} place, the rest of the layer stays`;
    return `Without ${this.named(off)} (${place}): “${label}” ${this.text(now[0])} instead of ${this.text(before)}${winner}.`;
  }
}

function listed(names) {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

function formatPercent(share) {
  return `${(100 * share).toFixed(1)}%`;
}

// Numbers come as bytes: of each row the answers' scores, then what all others come to.
function unpackTable(packed) {
  const bytes = new DataView(bytesOf(packed.scores).buffer);
  const width = bytes.byteLength / 4 / 2 ** packed.keys.length;
  const rowOf = (row) => Array.from({ length: width }, (_, i) => bytes.getFloat32(4 * (row * width + i), true));
  const values = (row) => {
    const scores = rowOf(row);
    const rest = scores.pop();
    return HEADS[packed.head]?.(scores, rest) ?? scores;
  };
  const parted = (row) => {
    const scores = rowOf(row);
    return [scores.slice(0, -1), scores.at(-1)];
  };
  return { ...packed, shared: packed.head !== "values", values, rowOf: parted };
}

const HEADS = {
  classes(scores, rest) {
    const most = Math.max(rest, ...scores);
    const sizes = scores.map((score) => Math.exp(score - most));
    const all = sizes.reduce((sum, size) => sum + size, Math.exp(rest - most));
    return sizes.map((size) => size / all);
  },
  labels: (scores) => scores.map((score) => 1 / (1 + Math.exp(-score))),
};
