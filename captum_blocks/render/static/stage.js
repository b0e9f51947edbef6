// A photograph with cells over it, and the one of them that stays in view.

const HOW_TO_POINT = "point at a place, or move with the arrow keys";
const NOTHING_POINTED_AT = "Point at a place to read its number here.";

class Picture {
  constructor(node, page) {
    Object.assign(this, { node, page, layers: [], outlined: [], photo: node.querySelector("img") });
    if (this.photo) this.frame();
  }

  // The part of the photograph that the network saw, where it did not see all of it.
  frame() {
    this.seen?.remove();
    const { seen } = this.page.photographs;
    if (seen.join() === WHOLE.join()) return;
    this.seen = make("span", "seen");
    placeAt(this.seen, seen);
    this.node.append(this.seen);
  }

  rephotograph() {
    if (!this.photo) return;
    const { image, name } = this.page.photographs;
    Object.assign(this.photo, { src: image.src, alt: name });
    this.frame();
  }

  show(fields) {
    this.layers.forEach((layer) => layer.remove());
    this.layers = layersOf(fields, this.page.data.palette, !this.photo).map(({ canvas, extent }) => {
      placeAt(canvas, this.within(extent));
      return canvas;
    });
    this.node.append(...this.layers);
    this.node.classList.toggle("covered", fields.length > 0);
  }

  // The cell that this spatial selection is in, and the one pointed at where that is another.
  outline(selection) {
    const wanted = selection ? this.cellsOf(selection) : [];
    if (JSON.stringify(wanted) === this.drawn) return;
    this.drawn = JSON.stringify(wanted);
    this.outlined.forEach((cell) => cell.remove());
    this.outlined = wanted.map(([name, box]) => {
      const cell = make("span", name);
      placeAt(cell, box);
      return cell;
    });
    this.node.append(...this.outlined);
  }

  cellsOf(selection) {
    const [chosen, looked] = [this.page.state(selection), this.page.looked(selection)];
    const grid = { grid: selection.grid, extent: this.within(selection.extent) };
    const cells = chosen === null ? [] : [["cell", cellBox(grid, chosen)]];
    return looked === chosen ? cells : [...cells, ["cell hint", cellBox(grid, looked)]];
  }

  // A sheet that shows a part of the photograph says which; places are given on the whole of it.
  within([top, left, bottom, right]) {
    const [above, before, below, after] = this.node.extent ?? WHOLE;
    const [high, wide] = [below - above, after - before];
    return [(top - above) / high, (left - before) / wide, (bottom - above) / high, (right - before) / wide];
  }
}

function cellBox({ grid: [rows, columns], extent: [top, left, bottom, right] }, index) {
  const [row, column] = [Math.floor(index / columns), index % columns];
  const [high, wide] = [(bottom - top) / rows, (right - left) / columns];
  return [top + row * high, left + column * wide, top + (row + 1) * high, left + (column + 1) * wide];
}

// The cell of a grid that a place on the photograph lies in, or the nearest one.
function cellAt({ grid: [rows, columns], extent: [top, left, bottom, right] }, [y, x]) {
  const row = Math.floor((rows * (y - top)) / (bottom - top));
  const column = Math.floor((columns * (x - left)) / (right - left));
  const within = (value, count) => Math.min(count - 1, Math.max(0, value));
  return within(row, rows) * columns + within(column, columns);
}

function middleOf(selection, index) {
  const [top, left, bottom, right] = cellBox(selection, index);
  return [(top + bottom) / 2, (left + right) / 2];
}

function valueAt(field, place) {
  return field.values[cellAt({ grid: [field.rows, field.columns], extent: field.extent }, place)];
}

// What the colours over a photograph mean: the scale of one field, or the names of several.
class Legend {
  constructor(node, page, bare = false) {
    Object.assign(this, { node, page, bare, values: [] });
  }

  show(fields) {
    if (fields.length === 1) this.node.replaceChildren(...this.ramp(fields[0]));
    else this.node.replaceChildren(...this.several(fields), ...this.uncoloured(fields));
  }

  // Where all are of one layer, it is named once.
  several(fields) {
    const parts = fields.map(({ label }) => / at \S+$/.exec(label)?.[0] ?? "");
    const [place] = new Set(parts).size === 1 ? parts : [""];
    const names = fields.map(({ label }) => label.slice(0, label.length - place.length));
    const entries = fields.map((field, i) => this.entry(field, names[i]));
    return place ? [...entries, make("span", "unit", place.trim())] : entries;
  }

  entry(field, name = field.label) {
    const entry = make("span", "entry");
    const swatch = make("span", "swatch");
    swatch.style.background = `rgb(${colourOf(field, this.page.data.palette, this.bare)})`;
    entry.append(swatch, make("span", "", name));
    return entry;
  }

  // Each with the number of the place that ``tell`` names, and the scale of the colours.
  list(fields) {
    this.values = fields.map((field) => [field, make("span", "told-value")]);
    const entries = this.values.map(([field, node]) => {
      const entry = this.entry(field);
      entry.append(node);
      return entry;
    });
    const scales = new Set(fields.map((field) => this.range(field)));
    const scale = scales.size === 1 ? [this.scale(fields[0], fields.length > 1)] : [];
    this.node.replaceChildren(...entries, ...scale, ...this.uncoloured(fields));
  }

  // The numbers of one place, given as shares of the height and width that the fields cover.
  tell(place) {
    for (const [field, node] of this.values) {
      const value = valueAt({ ...field, extent: WHOLE }, place);
      write(node, `${formatNumber(value, true)} ${field.unit}`);
    }
  }

  ramp(field) {
    return [make("span", "field-label", field.label), this.scale(field), ...this.uncoloured([field])];
  }

  // Colours that tell groups apart leave out what is below zero, others what is below their scale;
  // both say so.
  uncoloured(fields) {
    const lower = fields.some(({ domain: [low], values }) => low > 0 && values.some((value) => value < low));
    if (lower) return [make("span", "unit", "lower: no colour")];
    const below = fields.some(({ hue, domain }) => hue !== null && domain[0] < 0);
    return below ? [make("span", "unit", "below zero: no colour")] : [];
  }

  // The same in words, where colours tell groups and not signs.
  range({ domain: [low, high], unit }) {
    return `${formatNumber(low, low < 0)} to ${formatNumber(high, low < 0)} ${unit}`.trim();
  }

  // Of several groups, each of its own colour, in grey.
  scale(field, ofSeveral = false) {
    const signed = field.domain[0] < 0 && field.hue === null;
    const [low, high] = field.hue === null ? field.domain : [0, Math.max(0, field.domain[1])];
    const ramp = make("span", "ramp");
    const { palette } = this.page.data;
    const start = signed ? `rgb(${palette.opposes}), ` : "";
    const colour = ofSeveral ? palette.neutral : colourOf(field, palette, this.bare);
    ramp.style.backgroundImage = `linear-gradient(to right, ${start}transparent, rgb(${colour}))`;
    const scale = make("span", "ramp-scale");
    scale.append(make("span", "", formatNumber(low, signed)), ramp);
    scale.append(make("span", "", formatNumber(high, signed)), make("span", "unit", field.unit));
    return scale;
  }
}

class Stage {
  constructor(aside, page) {
    Object.assign(this, { page, aside, shown: null });
    this.picture = new Picture(aside.querySelector("[data-stage]"), page);
    this.legend = new Legend(aside.querySelector(".legend"), page);
    this.readout = aside.querySelector(".readout");
  }

  has(view) {
    return Boolean(this.aside.querySelector(`button[data-view="${CSS.escape(view || "")}"]`));
  }

  // What lies on the photograph: the field of the mark pointed at, else the chosen view.
  fields() {
    const field = this.page.pointedField();
    if (field) return [field];
    const panel = this.page.viewPanel();
    if (!panel) return [];
    return panel.frames[this.page.frameOf(panel)].map((name) => this.page.field(name));
  }

  update() {
    const fields = this.fields();
    const same = this.shown && this.shown.length === fields.length && fields.every((field, i) => field === this.shown[i]);
    if (!same) {
      this.picture.show(fields);
      this.legend.show(fields);
      this.dropTitle();
      this.shown = fields;
    }
    this.picture.outline(this.page.spot());
    this.read(fields);
  }

  // The button that is pressed has said what lies on the photograph.
  dropTitle() {
    const named = this.legend.node.querySelector(".field-label");
    if (named && named.textContent === this.page.viewPanel()?.title) named.remove();
  }

  rephotograph() {
    this.picture.rephotograph();
    const { whole } = this.page.photographs.described[this.page.photographs.index];
    const node = this.aside.querySelector(".whole");
    if (node && whole) node.src = whole;
    this.picture.node.setAttribute("aria-label", `${this.page.photographs.name}: ${HOW_TO_POINT}`);
    this.shown = null;
  }

  smooth() {
    const smooth = this.page.root.classList.toggle("smooth");
    this.aside.querySelector(".smoother").setAttribute("aria-pressed", String(smooth));
  }

  read(fields) {
    const spot = this.page.spot();
    const { atom, teller } = this.page;
    const told = atom.over !== null ? this.page.overWords() : teller?.tell();
    if (told) write(this.readout, told);
    else write(this.readout, spot ? this.tellCell(spot, fields) : "");
  }

  tellCell(spot, fields) {
    const [rows, columns] = spot.grid;
    const index = this.page.looked(spot);
    if (index === null) return NOTHING_POINTED_AT;
    const [row, column] = [Math.floor(index / columns) + 1, (index % columns) + 1];
    const where = `row ${row}, column ${column} of ${rows} × ${columns}`;
    return fields.length ? `${where} · ${this.strongestAt(fields, middleOf(spot, index))}` : where;
  }

  strongestAt(fields, place) {
    const size = (field) => sizeIn(field, valueAt(field, place));
    const field = fields.reduce((best, next) => (size(next) > size(best) ? next : best));
    const name = fields.length > 1 ? `${field.label} ` : "";
    return `${name}${formatNumber(valueAt(field, place), field.domain[0] < 0)} ${field.unit}`.trim();
  }
}
