// A photograph with cells over it, and the one of them that stays in view.

class Picture {
  constructor(node, page) {
    Object.assign(this, { node, page, layers: [], cells: [] });
  }

  show(fields) {
    this.layers.forEach((layer) => layer.remove());
    this.layers = layersOf(fields, this.page.data.palette).map(({ canvas, extent }) => {
      placeAt(canvas, extent);
      return canvas;
    });
    this.node.append(...this.layers);
    this.node.classList.toggle("covered", fields.length > 0);
  }

  // The cell that each of these spatial selections is in.
  outline(selections) {
    this.cells.forEach((cell) => cell.remove());
    this.cells = selections.map((selection) => {
      const cell = make("span", "cell");
      placeAt(cell, cellBox(selection, this.page.state(selection)));
      return cell;
    });
    this.node.append(...this.cells);
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

class Stage {
  constructor(aside, page) {
    Object.assign(this, { page, node: aside.querySelector("[data-stage]") });
    this.picture = new Picture(this.node, page);
    this.legend = aside.querySelector(".legend");
    this.readout = aside.querySelector(".readout");
    this.views = page.data.panels
      .map((panel, number) => ({ panel, number }))
      .filter(({ panel }) => panel.kind === "overlay" && panel.stage);
    if (page.sensesPlaces()) page.sensePlaces(this.node);
    this.node.classList.toggle("senses", page.sensesPlaces());
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
    const shown = fields.map((field) => field.label).join("\n");
    if (shown !== this.shown) {
      this.picture.show(fields);
      this.explain(fields);
      this.shown = shown;
    }
    const spot = this.spot();
    this.picture.outline(spot ? [spot] : []);
    this.read(spot, fields);
  }

  // The spatial selection that the view is about; without one, the finest of the page.
  spot() {
    const panel = this.page.viewPanel();
    const own = panel && this.page.selections.get(panel.sets || panel.highlights);
    if (own && own.grid) return own;
    const cells = ({ grid: [rows, columns] }) => rows * columns;
    return this.page.spatial.reduce((best, next) => (best && cells(best) >= cells(next) ? best : next), null);
  }

  explain(fields) {
    this.legend.replaceChildren();
    if (fields.length === 1) this.legend.append(...this.ramp(fields[0]));
    else this.legend.append(...fields.map((field) => this.entry(field)));
  }

  entry(field) {
    const entry = make("span", "entry");
    const swatch = make("span", "swatch");
    swatch.style.background = `rgb(${this.page.fieldColour(field)})`;
    entry.append(swatch, make("span", "", field.label));
    return entry;
  }

  ramp(field) {
    const [low, high] = field.domain;
    const ends = low < 0 ? [this.page.data.palette.opposes, this.page.data.palette.supports] : [];
    const colour = this.page.fieldColour(field);
    const ramp = make("span", "ramp");
    ramp.style.background = ends.length
      ? `linear-gradient(to right, rgb(${ends[0]}), transparent, rgb(${ends[1]}))`
      : `linear-gradient(to right, transparent, rgb(${colour}))`;
    const scale = make("span", "ramp-scale");
    scale.append(make("span", "", formatNumber(low, low < 0)), ramp, make("span", "", formatNumber(high, low < 0)));
    scale.append(make("span", "unit", field.unit));
    return [make("span", "field-label", field.label), scale];
  }

  read(spot, fields) {
    const parts = [];
    if (spot) {
      const [rows, columns] = spot.grid;
      const index = this.page.state(spot);
      parts.push(`row ${Math.floor(index / columns) + 1}, column ${(index % columns) + 1} of ${rows} × ${columns}`);
    }
    const strongest = spot && fields.length ? this.strongestAt(fields, middleOf(spot, this.page.state(spot))) : "";
    this.readout.textContent = [...parts, strongest].filter(Boolean).join(" · ");
  }

  strongestAt(fields, place) {
    const there = fields.map((field) => ({
      field,
      value: field.values[cellAt({ grid: [field.rows, field.columns], extent: field.extent }, place)],
    }));
    const { field, value } = there.reduce((best, next) => (Math.abs(next.value) > Math.abs(best.value) ? next : best));
    const name = fields.length > 1 ? `${field.label} ` : "";
    return `${name}${formatNumber(value, field.domain[0] < 0)} ${field.unit}`.trim();
  }
}
