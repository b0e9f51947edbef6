// A layer's positions as a mosaic in the shape of the photograph, and one of them enlarged.

// As many pixels as a sharp screen shows of the widest mosaic; no cell needs more than its icon has.
const MOSAIC_PIXELS = 1280;
const CELL_PIXELS = 128;
const LEAST_CELL = 40;

class Mosaic {
  constructor(body, panel, page) {
    Object.assign(this, { panel, page, extent: panel.extent, spot: this.spotOf(panel, page) });
    this.node = this.picture();
    this.cell = make("span", "cell");
    this.node.append(this.canvas(), this.cell);
    this.tinted = [];
    this.legend = new Legend(make("div", "legend"), page);
    this.lens = make("div", "lens");
    this.icon = this.button();
    this.words = make("p", "caption");
    this.lens.append(this.icon, this.words);
    this.makeRoom(body);
    const around = make("div", "around");
    around.append(this.node, this.lens);
    body.append(around);
    if (panel.tints.length) body.append(this.legend.node);
  }

  // A cell that is smaller shows nothing: fine grids take a line of their own.
  makeRoom(body) {
    const wide = `${LEAST_CELL * this.panel.grid[1]}px`;
    this.node.style.flexBasis = `max(260px, ${wide})`;
    this.node.style.maxWidth = `max(360px, ${wide})`;
    const section = body.closest("[data-panel]");
    if (section) section.style.flexBasis = `max(280px, ${wide})`;
  }

  // Like a spatial selection, on the panel's own grid: a place picks a cell, else the default one.
  spotOf({ grid, extent, highlights, sets, frames, sizes }, page) {
    const followed = page.placed([highlights, ...sets]);
    const own = { grid, extent, gesture: followed?.gesture ?? "hover" };
    if (followed) return { ...own, default: cellAt(own, middleOf(followed, followed.default)) };
    return { ...own, default: sizes[0].indexOf(Math.max(...sizes[0])) };
  }

  picture() {
    const node = make("div", "picture mosaic");
    const { title } = this.panel;
    Object.assign(node, { tabIndex: 0, extent: this.extent, spot: this.spot, teller: this });
    node.setAttribute("role", "application");
    node.setAttribute("aria-label", `${title}: ${HOW_TO_POINT}`);
    node.style.aspectRatio = this.aspect();
    return node;
  }

  // Width over height of the part of the photograph that the grid covers.
  aspect() {
    const [top, left, bottom, right] = this.extent;
    const { photo } = this.page;
    if (!photo) return this.panel.grid[1] / this.panel.grid[0];
    return ((right - left) * photo.naturalWidth) / ((bottom - top) * photo.naturalHeight);
  }

  canvas() {
    const canvas = make("canvas", "cells");
    this.drawing = canvas.getContext("2d");
    this.measure();
    placeAt(canvas, WHOLE);
    return canvas;
  }

  measure() {
    const [rows, columns] = this.panel.grid;
    const wide = Math.min(CELL_PIXELS, Math.floor(MOSAIC_PIXELS / columns));
    const high = Math.round((wide * columns) / (rows * this.aspect()));
    Object.assign(this.drawing.canvas, { width: wide * columns, height: high * rows });
    this.drawing.imageSmoothingQuality = "high";
    this.pitch = [wide, high];
  }

  // The same cells in the shape of another photograph.
  rephotograph() {
    this.extent = this.page.photographs.extentOn(this.panel.extent);
    this.spot.extent = this.node.extent = this.extent;
    this.node.style.aspectRatio = this.aspect();
    this.measure();
  }

  button() {
    const button = make("button");
    button.type = "button";
    button.addEventListener("click", () => this.enlarge());
    return button;
  }

  show(frame) {
    this.frame = frame;
    this.numbers = this.panel.frames[frame];
    const { width, height } = this.drawing.canvas;
    this.drawing.clearRect(0, 0, width, height);
    this.numbers.forEach((number, index) => this.draw(number, index, this.panel.sizes[frame][index]));
    this.fields = (this.panel.tints[frame] ?? []).map((name) => this.page.field(name));
    if (this.panel.tints.length) this.legend.list(this.fields);
    this.tint(this.fields);
  }

  // Colours over the cells; of several, one that is pointed at elsewhere stands alone.
  tint(fields) {
    this.over = fields;
    this.tinted.forEach((layer) => layer.remove());
    this.tinted = layersOf(fields, this.page.data.palette).map(({ canvas }) => {
      placeAt(canvas, WHOLE);
      canvas.classList.add("tint");
      return canvas;
    });
    this.cell.before(...this.tinted);
  }

  light() {
    const pointed = this.page.pointedField();
    const wanted = this.fields.includes(pointed) ? [pointed] : this.fields;
    if (wanted.length !== this.over.length || wanted[0] !== this.over[0]) this.tint(wanted);
  }

  // A size is a share of the cell's area.
  draw(number, index, size) {
    const [, , sprite] = this.page.atomAt(number);
    const columns = this.panel.grid[1];
    const [wide, high] = this.pitch;
    const side = Math.sqrt(size);
    const left = wide * ((index % columns) + (1 - side) / 2);
    const top = high * (Math.floor(index / columns) + (1 - side) / 2);
    const box = [left, top, side * wide, side * high];
    if (sprite === null) this.page.drawBlank(this.drawing, box);
    else this.page.drawIcon(this.drawing, sprite, box);
  }

  follow() {
    const index = this.page.state(this.spot);
    this.frameCell(index);
    this.legend.tell(this.middleOf(index));
    const number = this.numbers[index];
    if (this.page.place.over || this.page.place.pinned) this.page.wants(this.page.atomAt(number)[2]);
    if (number === this.number) return;
    this.number = number;
    const [, label, sprite] = this.page.atomAt(number);
    this.words.textContent = this.tell();
    this.icon.className = sprite === null ? "unpictured" : "icon";
    this.icon.disabled = sprite === null;
    this.icon.setAttribute("aria-label", sprite === null ? `No picture of ${label}` : `Enlarge ${label}`);
    if (sprite === null) this.icon.style.background = "";
    else dressAs(this.icon, this.page, sprite);
  }

  // A picture that has been drawn takes its place in the mosaic.
  arrive(name) {
    const { frame } = this;
    this.numbers.forEach((number, index) => {
      if (this.page.atomAt(number)[2] === name) this.draw(number, index, this.panel.sizes[frame][index]);
    });
  }

  // The middle of a cell on the mosaic, over which its fields are stretched.
  middleOf(index) {
    return middleOf({ grid: this.panel.grid, extent: WHOLE }, index);
  }

  // By a transform, which lays out nothing anew.
  frameCell(index) {
    const [rows, columns] = this.panel.grid;
    placeAt(this.cell, [0, 0, 1 / rows, 1 / columns]);
    this.cell.style.transform = `translate(${100 * (index % columns)}%, ${100 * Math.floor(index / columns)}%)`;
  }

  // What the readout says while this panel is pointed at.
  tell() {
    const [atom, , detail] = this.page.data.marks[this.number];
    return detail || this.page.data.atoms[atom][1];
  }

  enlarge() {
    const [atom, , detail] = this.page.data.marks[this.number];
    if (this.page.data.atoms[atom][2] !== null) enlarge(this.page, { atom, detail });
  }
}
