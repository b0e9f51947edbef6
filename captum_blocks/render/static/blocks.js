// The page's state and its gestures: who is pointed at, what is pinned, which panels follow.
// It knows kinds of panels and kinds of selections, never the name of an interface.

const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const STEPS = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };

class Page {
  constructor(root, data, memory) {
    Object.assign(this, { root, data, memory });
    this.photo = root.querySelector("[data-stage] img");
    this.selections = new Map(data.selections.map((selection) => [selection.name, selection]));
    this.spatial = data.selections.filter((selection) => selection.grid);
    this.unpacked = new Map();
    this.place = { over: null, pinned: null };
    this.atom = { over: null, pinned: null };
    this.chosen = { over: new Map(), pinned: new Map() };
    this.view = this.firstView();
    for (const sheet of data.sheets) sheet.url = urlOf(sheet.src);
  }

  start() {
    const aside = this.root.querySelector(".stage");
    this.stage = aside && new Stage(aside, this);
    this.panels = [...this.root.querySelectorAll("[data-panel]")].map((section) => this.build(section));
    this.listen();
    this.restore();
    this.update();
  }

  build(section) {
    const panel = this.data.panels[Number(section.dataset.panel)];
    const kind = PANEL_KINDS[panel.kind];
    const body = section.querySelector(".panel-body");
    this.addControls(body, panel);
    const view = kind.prototype ? new kind(body, panel, this) : kind(body, panel, this);
    return { section, panel, view, frame: null };
  }

  // State

  state(selection) {
    if (selection.grid) {
      const place = this.place.over || this.place.pinned;
      return place ? cellAt(selection, place) : selection.default;
    }
    const { over, pinned } = this.chosen;
    return over.get(selection.name) ?? pinned.get(selection.name) ?? selection.default;
  }

  frameOf(panel) {
    return panel.follows.reduce((index, name) => {
      const selection = this.selections.get(name);
      return index * sizeOf(selection) + this.state(selection);
    }, 0);
  }

  pointed() {
    return this.atom.over ?? this.atom.pinned;
  }

  pointedField() {
    const atom = this.pointed();
    const name = atom === null ? null : this.data.atoms[atom][3];
    return name === null ? null : this.field(name);
  }

  firstView() {
    const first = this.data.panels.findIndex((panel) => panel.kind === "overlay" && panel.stage);
    return first < 0 ? "photo" : String(first);
  }

  viewPanel() {
    return this.view === "photo" ? null : this.data.panels[Number(this.view)];
  }

  // Pools

  field(name) {
    if (!this.unpacked.has(name)) this.unpacked.set(name, unpackField(this.data.fields[name]));
    return this.unpacked.get(name);
  }

  dress(node, sprite) {
    const [sheet, cell] = this.data.sprites[sprite];
    dressIcon(node, this.data.sheets[sheet], cell);
  }

  groupColour(hue) {
    return this.data.palette.groups[hue % this.data.palette.groups.length];
  }

  fieldColour(field) {
    return field.hue === null ? this.data.palette.supports : this.groupColour(field.hue);
  }

  ground(width) {
    this.thumbnail ??= greyThumbnail(this.photo, width);
    return this.thumbnail;
  }

  copyPhoto() {
    const node = make("div", "picture");
    node.append(this.photo.cloneNode());
    return node;
  }

  // Drawing

  update() {
    for (const entry of this.panels) this.updatePanel(entry);
    this.stage?.update();
    this.light();
    this.updateControls();
    this.memory.write(this.pins());
  }

  updatePanel(entry) {
    const frame = this.frameOf(entry.panel);
    if (frame !== entry.frame) entry.view.show(frame);
    entry.frame = frame;
    entry.view.follow?.();
  }

  // A mark pointed at lights every mark of its key, and dims the others of those panels.
  light() {
    const atom = this.pointed();
    const key = atom === null ? null : this.data.atoms[atom][0];
    const pinned = this.atom.pinned === null ? null : this.data.atoms[this.atom.pinned][0];
    for (const { section, panel, view } of this.panels) {
      if (!view.marks) continue;
      const chosen = this.highlighted(panel);
      let lit = false;
      for (const mark of view.marks) {
        const same = key !== null ? mark.dataset.key === key : mark.dataset.key === chosen;
        mark.classList.toggle("lit", same);
        mark.classList.toggle("pinned", mark.dataset.key === pinned);
        lit ||= same;
      }
      section.classList.toggle("has-lit", lit);
    }
  }

  highlighted(panel) {
    const selection = this.selections.get(panel.highlights);
    return selection && selection.keys ? selection.keys[this.state(selection)] : undefined;
  }

  // Selections that are chosen from a list or slid

  addControls(body, panel) {
    this.controls ??= new Map();
    for (const name of panel.follows) {
      const selection = this.selections.get(name);
      const asked = selection.gesture === "choose" || selection.gesture === "slider";
      if (!asked || this.controls.has(name)) continue;
      const control = selection.gesture === "choose" ? chooser(selection) : slider(selection);
      control.input.addEventListener("input", () => this.choose(name, Number(control.input.value)));
      this.controls.set(name, control);
      body.before(control.node);
    }
  }

  updateControls() {
    for (const [name, control] of this.controls ?? []) {
      const selection = this.selections.get(name);
      control.input.value = this.state(selection);
      if (control.output) control.output.textContent = selection.keys[this.state(selection)];
    }
    for (const button of this.root.querySelectorAll("[data-view]")) {
      button.setAttribute("aria-pressed", String(button.dataset.view === this.view));
    }
  }

  choose(name, index) {
    this.chosen.pinned.set(name, index);
    this.update();
  }

  // Gestures

  listen() {
    this.root.addEventListener("pointerdown", (event) => this.noteTouch(event), true);
    this.root.addEventListener("pointerover", (event) => this.enterMark(event));
    this.root.addEventListener("pointerout", (event) => this.leaveMark(event));
    this.root.addEventListener("focusin", (event) => this.focusMark(event));
    this.root.addEventListener("click", (event) => this.click(event));
    this.root.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("keydown", (event) => event.key === "Escape" && this.letGo());
    this.memory.listen(() => {
      this.restore();
      this.update();
    });
  }

  // A finger has no hover: its first tap previews, and only a tap on what is previewed pins.
  noteTouch(event) {
    this.touch = event.pointerType === "touch";
    this.previewed = this.atom.over;
    this.previewedPlace = this.place.over;
  }

  enterMark(event) {
    const mark = event.target.closest?.(".mark");
    if (mark) this.point(mark);
  }

  leaveMark(event) {
    const mark = event.target.closest?.(".mark");
    if (!mark || event.pointerType === "touch" || mark.contains(event.relatedTarget)) return;
    this.unpoint();
  }

  focusMark(event) {
    const mark = event.target.closest?.(".mark");
    if (mark && !this.touch) this.point(mark);
  }

  point(mark) {
    this.atom.over = mark.atom;
    const selection = this.setBy(mark);
    if (selection && selection.gesture === "hover") this.chosen.over.set(selection.name, this.stateOf(mark, selection));
    this.update();
  }

  unpoint() {
    this.atom.over = null;
    this.chosen.over.clear();
    this.update();
  }

  setBy(mark) {
    const panel = this.data.panels[Number(mark.closest("[data-panel]").dataset.panel)];
    const selection = this.selections.get(panel.sets);
    return selection && selection.keys && this.stateOf(mark, selection) >= 0 ? selection : null;
  }

  stateOf(mark, selection) {
    const [key, label] = this.data.atoms[mark.atom];
    const index = selection.keys.indexOf(key);
    return index >= 0 ? index : selection.keys.indexOf(label);
  }

  click(event) {
    const viewed = event.target.closest("[data-view]");
    const mark = event.target.closest(".mark");
    if (viewed) this.showView(viewed.dataset.view);
    else if (mark) this.clickMark(mark, event.target.closest(".icon"));
    else if (this.touch && !event.target.closest(".picture")) this.forgetPreview();
  }

  clickMark(mark, icon) {
    if (this.touch && this.previewed !== mark.atom) this.point(mark);
    else if (icon) this.enlarge(icon.dataset.sprite, mark.title);
    else this.pin(mark);
  }

  pin(mark) {
    const selection = this.setBy(mark);
    const again = this.atom.pinned === mark.atom;
    this.atom.pinned = again ? null : mark.atom;
    if (selection && again) this.chosen.pinned.delete(selection.name);
    else if (selection) this.chosen.pinned.set(selection.name, this.stateOf(mark, selection));
    this.update();
  }

  forgetPreview() {
    this.place.over = null;
    this.unpoint();
  }

  letGo() {
    if (this.root.querySelector("dialog[open]")) return;
    for (const state of [this.place, this.atom]) Object.assign(state, { over: null, pinned: null });
    this.chosen.over.clear();
    this.chosen.pinned.clear();
    document.activeElement?.closest?.(".mark")?.closest("[data-panel]").focus();
    this.atom.over = null;
    this.update();
  }

  showView(view) {
    this.view = view;
    this.atom.pinned = null;
    this.update();
  }

  // Places on the photograph

  sensesPlaces() {
    return this.spatial.length > 0;
  }

  sensePlaces(node) {
    const placeOf = (event) => {
      const box = node.getBoundingClientRect();
      return [(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width];
    };
    node.addEventListener("pointermove", (event) => event.pointerType !== "touch" && this.over(placeOf(event)));
    node.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && this.over(null));
    node.addEventListener("click", (event) => this.clickPlace(placeOf(event)));
  }

  over(place) {
    const before = this.cells();
    this.place.over = place;
    if (this.cells() !== before) this.update();
  }

  cells() {
    return this.spatial.map((selection) => this.state(selection)).join();
  }

  clickPlace(place) {
    const finest = this.stage.spot();
    const same = (other) => other && cellAt(finest, other) === cellAt(finest, place);
    if (this.touch && !same(this.previewedPlace)) this.place.over = place;
    else this.place.pinned = !this.touch && same(this.place.pinned) ? null : place;
    this.update();
  }

  // Arrows pin as they go: what they chose must outlast the focus that Tab takes elsewhere.
  moveCell([down, right]) {
    const spot = this.stage.spot();
    const [rows, columns] = spot.grid;
    const index = this.state(spot);
    const row = Math.min(rows - 1, Math.max(0, Math.floor(index / columns) + down));
    const column = Math.min(columns - 1, Math.max(0, (index % columns) + right));
    this.place = { over: null, pinned: middleOf(spot, row * columns + column) };
    this.update();
  }

  // Keys

  key(event) {
    const mark = event.target.closest(".mark");
    const panel = event.target.closest("[data-panel]");
    if (event.target.closest("[data-stage]")) this.keyOnStage(event);
    else if (mark) this.keyOnMark(event, mark);
    else if (panel === event.target && event.key === "ArrowDown") this.step(event, panel, null, 0);
  }

  keyOnStage(event) {
    if (!this.sensesPlaces()) return;
    if (ARROWS[event.key]) this.moveCell(ARROWS[event.key]);
    else if (event.key === "Enter") this.clickPlace(middleOf(this.stage.spot(), this.state(this.stage.spot())));
    else return;
    event.preventDefault();
  }

  keyOnMark(event, mark) {
    if (STEPS[event.key]) this.step(event, mark.closest("[data-panel]"), mark, STEPS[event.key]);
    else if (event.key === "Enter") this.pin(mark);
    else if (event.key === " " && mark.querySelector(".icon")) this.enlarge(mark.querySelector(".icon").dataset.sprite, mark.title);
    else return;
    event.preventDefault();
  }

  step(event, section, mark, by) {
    const marks = [...section.querySelectorAll(".mark")];
    marks[mark ? marks.indexOf(mark) + by : 0]?.focus();
    event.preventDefault();
  }

  // An icon at twice its size, with what is known of it

  enlarge(sprite, detail) {
    const [, , label, details] = this.data.sprites[sprite];
    const dialog = this.root.querySelector("dialog");
    const picture = make("div", "icon large");
    this.dress(picture, sprite);
    picture.setAttribute("role", "img");
    picture.setAttribute("aria-label", label);
    const told = make("dl");
    for (const [term, text] of details) told.append(make("dt", "", term), make("dd", "", text));
    const close = make("button", "close", "Close");
    close.addEventListener("click", () => dialog.close());
    dialog.replaceChildren(picture, make("h3", "label", label), make("p", "caption", detail), told, close);
    dialog.onclick = (event) => event.target === dialog && dialog.close();
    dialog.showModal();
  }

  // What is pinned, as names and numbers that a page's address can hold

  pins() {
    const pins = {};
    if (this.place.pinned) pins.at = this.place.pinned.map((part) => part.toFixed(4)).join();
    if (this.atom.pinned !== null) pins.mark = this.data.atoms[this.atom.pinned][0];
    if (this.view !== this.firstView()) pins.view = this.view;
    for (const [name, index] of this.chosen.pinned) pins[`is.${name}`] = this.selections.get(name).keys[index];
    return pins;
  }

  restore() {
    const pins = this.memory.read();
    const place = (pins.at || "").split(",").map(Number);
    this.place.pinned = place.length === 2 && place.every((part) => part >= 0 && part <= 1) ? place : null;
    const atom = this.data.atoms.findIndex(([key]) => key === pins.mark);
    this.atom.pinned = atom < 0 ? null : atom;
    const known = pins.view === "photo" || this.stage?.views.some(({ number }) => String(number) === pins.view);
    this.view = known ? pins.view : this.firstView();
    this.chosen.pinned.clear();
    for (const { name, keys } of this.data.selections) {
      const index = keys ? keys.indexOf(pins[`is.${name}`]) : -1;
      if (index >= 0) this.chosen.pinned.set(name, index);
    }
  }
}

function sizeOf({ grid, keys }) {
  return grid ? grid[0] * grid[1] : keys.length;
}

function urlOf(dataUri) {
  const [head, body] = dataUri.split(",");
  return URL.createObjectURL(new Blob([bytesOf(body)], { type: head.slice(5, head.indexOf(";")) }));
}

function chooser({ name, keys }) {
  const [node, input] = [make("label", "control", name), make("select")];
  keys.forEach((key, i) => {
    const option = make("option", "", key);
    option.value = i;
    input.append(option);
  });
  node.append(input);
  return { node, input };
}

function slider({ name, keys }) {
  const [node, input, output] = [make("label", "control", name), make("input"), make("output")];
  Object.assign(input, { type: "range", min: 0, max: keys.length - 1, step: 1 });
  node.append(input, output);
  return { node, input, output };
}

// Draws as soon as the pictures can be drawn from.
async function mountBlocks(root, data, memory) {
  const photo = root.querySelector("[data-stage] img");
  if (photo) await photo.decode();
  const page = new Page(root, data, memory);
  page.start();
  root.classList.add("ready");
  return page;
}
