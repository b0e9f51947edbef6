// The page's state: who is pointed at, what is pinned, which panels follow, what lies on the photo.
// It knows kinds of panels and kinds of selections, never the name of an interface.

const MOST_WANTED = 6;

class Page extends Remembered {
  constructor(root, data, images, memory, closing) {
    super(data);
    Object.assign(this, { root, memory, closing });
    this.selections = new Map(data.selections.map((selection) => [selection.name, selection]));
    this.spatial = data.selections.filter((selection) => selection.grid);
    this.pictured = this.selections.get(data.pictured) ?? null;
    this.photographs = new Photographs(this, images);
    this.place = { over: null, pinned: null };
    this.atom = { over: null, pinned: null };
    this.chosen = { over: new Map(), pinned: new Map() };
    this.asked = new Set();
    this.hasBlanks = Object.values(data.sprites).some(([sheet]) => sheet === null);
    // Of each selection of switches the atoms that are off, and those that have a switch.
    this.off = new Map();
    this.switchable = new Map();
    this.pairs = new Map();
    const tables = ({ switched, contests }) => [...(switched ?? []), ...(contests ?? []).map(({ table }) => table)];
    for (const { selection, keys } of data.panels.flatMap(tables).filter(Boolean)) {
      this.switchable.set(selection, new Set([...(this.switchable.get(selection) ?? []), ...keys]));
    }
    // The panel that has words for what is pointed at, where that is no mark.
    this.teller = null;
    this.view = this.firstView();
    this.viewPinned = false;
  }

  start() {
    const aside = this.root.querySelector(".stage");
    this.stage = aside && new Stage(aside, this);
    this.controls = new Controls(this);
    this.panels = [...this.root.querySelectorAll("[data-panel]")].map((section) => this.build(section));
    this.homes = new Map(this.spatial.map((selection) => [selection, selection.extent]));
    this.photographs.show(0);
    this.gestures = new Gestures(this);
    this.gestures.listen();
    this.nearby = new Nearby(this);
    this.memory.listen(() => this.recall());
    this.recall();
  }

  build(section) {
    const panel = this.data.panels[Number(section.dataset.panel)];
    const body = section.querySelector(".panel-body");
    this.controls.add(body, panel);
    section.append(copyButtons(panel, this));
    const subject = this.pointedAtFor(panel).length ? make("p", "subject") : null;
    if (subject) section.querySelector(".panel-head > :first-child").after(subject);
    return { section, panel, subject, view: PANEL_KINDS[panel.kind](body, panel, this), frame: null };
  }

  // The selections of atoms pointed at or clicked elsewhere that a panel is about.
  pointedAtFor({ follows }) {
    const followed = follows.map((name) => this.selections.get(name));
    return followed.filter(({ grid, gesture }) => !grid && ["hover", "click"].includes(gesture));
  }

  viewOf(section) {
    return this.panels.find((entry) => entry.section === section).view;
  }

  // State

  get photo() {
    return this.photographs.image;
  }

  state(selection) {
    if (!selection.grid) return this.chosen.over.get(selection.name) ?? this.settled(selection);
    const previewed = selection.gesture === "hover" ? this.place.over : null;
    return this.cellOf(selection, previewed || this.place.pinned);
  }

  // The state without what is only pointed at.
  settled(selection) {
    if (selection.grid) return this.cellOf(selection, this.place.pinned);
    const index = this.chosen.pinned.get(selection.name) ?? selection.default;
    return ["hover", "click"].includes(selection.gesture) ? this.stillShown(selection, index) : index;
  }

  // What was pinned may go when a click above it changes the panel: then the first mark stands in.
  stillShown(selection, index) {
    const { name, keys } = selection;
    // Two panels may each set what the other follows: while one is asked, the other stays.
    if (this.asked.has(name)) return index;
    this.asked.add(name);
    const changing = ({ sets, follows }) => sets.includes(name) && follows.length && !follows.includes(name);
    const shown = this.data.panels.filter(changing).flatMap((panel) => this.shownIn(panel));
    this.asked.delete(name);
    if (!shown.length || shown.includes(keys[index])) return index;
    return shown.map((key) => keys.indexOf(key)).find((place) => place >= 0) ?? index;
  }

  // The keys and names of the marks that a panel shows now.
  shownIn(panel) {
    const frame = panel.frames[this.frameOf(panel)];
    const numbers = (frame.sides?.flat() ?? frame).filter(Number.isInteger);
    return numbers.flatMap((number) => this.atomAt(number).slice(0, 2));
  }

  isOff(name, key) {
    return this.off.get(name)?.has(key) ?? false;
  }

  // The selection of switches that a panel's rows have; none where nothing answers to them.
  toggleSetBy(panel) {
    const name = panel.sets.find((each) => this.switchable.has(each));
    return name === undefined ? null : this.selections.get(name);
  }

  forgive() {
    for (const { view } of this.panels) view.forgive?.();
  }

  // The two answers that a panel compares.
  pairOf(panel) {
    return this.pairs.get(panel) ?? panel.pair;
  }

  choosePair(panel, pair) {
    this.forgive();
    this.pairs.set(panel, pair);
    this.update();
  }

  cellOf(selection, place) {
    return place ? cellAt(selection, place) : selection.default;
  }

  // The cell that is looked at, whether that changes the selection or not.
  looked(selection) {
    return this.cellOf(selection, this.place.over || this.place.pinned);
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
    return this.fieldOf(this.pointed());
  }

  fieldOf(atom) {
    const name = atom === null ? null : this.data.atoms[atom][3];
    return name === null ? null : this.field(name);
  }

  // The view that lies on the photograph: none where a pinned mark's own map does.
  viewShown() {
    return this.fieldOf(this.atom.pinned) ? null : this.view;
  }

  firstView() {
    const first = this.data.panels.findIndex((panel) => panel.kind === "overlay" && panel.stage);
    return first < 0 ? "photo" : String(first);
  }

  viewPanel() {
    return this.view === "photo" ? null : this.data.panels[Number(this.view)];
  }

  // The spatial selection that the view is about; without one, the finest of the page.
  spot() {
    const panel = this.viewPanel();
    const own = panel && this.placed(panel.sets.concat(panel.highlights));
    if (own) return own;
    if (panel && this.spatial.length) return this.gridOf(panel);
    return this.finest();
  }

  finest() {
    return this.spatial.reduce((best, next) => (best && sizeOf(best) >= sizeOf(next) ? best : next), null);
  }

  // A view that is about no selection has the cells of its own grid, none of which is chosen.
  gridOf(panel) {
    const { rows, columns, extent } = this.field(panel.frames[this.frameOf(panel)][0]);
    return { grid: [rows, columns], extent, gesture: "hover", default: null };
  }

  // The first of these selections that is one of places.
  placed(names) {
    return names.map((name) => this.selections.get(name)).find((selection) => selection?.grid) ?? null;
  }

  // Every cell that is looked at, to tell whether a move of the pointer changed anything.
  cells() {
    return this.spatial.map((selection) => this.looked(selection)).join();
  }

  // What a copy of a panel shows: for a view of the photograph, the photograph.
  copied(section) {
    return section.classList.contains("stage-view") ? this.stage.aside : section;
  }

  // Changes

  pointAtPlace(place, teller = null) {
    const before = this.cells();
    const heard = this.teller;
    this.place.over = place;
    this.teller = teller;
    if (this.cells() !== before || !place || teller !== heard) this.preview();
  }

  hear(teller) {
    this.teller = teller;
    this.stage?.update();
  }

  pinPlace(place) {
    this.place = { over: this.place.over, pinned: place };
    this.update();
  }

  // Arrows pin as they go: what they chose must outlast the focus that Tab takes elsewhere.
  moveCell([down, right], spot) {
    const [rows, columns] = spot.grid;
    const index = this.state(spot) ?? cellAt(spot, this.settledPlace());
    const row = Math.min(rows - 1, Math.max(0, Math.floor(index / columns) + down));
    const column = Math.min(columns - 1, Math.max(0, (index % columns) + right));
    this.place = { over: null, pinned: middleOf(spot, row * columns + column) };
    this.update();
  }

  // Where the finest selection of places is.
  settledPlace() {
    const finest = this.finest();
    return middleOf(finest, this.state(finest));
  }

  // Told of icons that the reader waits for, where there are some.
  wants() {}

  pointAtMark(mark) {
    this.atom.over = mark.atom;
    const [, , own, , , , lent] = this.data.atoms[mark.atom];
    this.wants(own ?? lent?.[0] ?? null);
    this.overMark = { node: mark, atom: mark.atom, detail: mark.detail, label: mark.label };
    // What is clicked waits for the click; pointing previews all else, lists included.
    for (const selection of this.setBy(mark)) {
      if (selection.gesture !== "click") this.chosen.over.set(selection.name, this.stateOf(mark, selection));
    }
    this.preview();
  }

  // What is told of the mark pointed at: as it reads now, where it still stands there.
  overWords() {
    const { node, atom, detail, label } = this.overMark;
    return node.atom === atom ? node.detail || node.label : detail || label;
  }

  pointAtNothing() {
    this.atom.over = null;
    this.chosen.over.clear();
    this.preview();
  }

  pinMark(mark) {
    const selections = this.setBy(mark);
    const again = this.isPinned(mark, selections);
    this.atom.pinned = again ? null : mark.atom;
    for (const selection of selections) {
      if (again) this.chosen.pinned.delete(selection.name);
      else this.chosen.pinned.set(selection.name, this.stateOf(mark, selection));
    }
    this.update();
  }

  // Of selections that several panels set, the mark of their state is pinned in all of them.
  isPinned(mark, selections) {
    if (!selections.length) return this.keyOf(this.atom.pinned) === this.keyOf(mark.atom);
    return selections.every((each) => this.chosen.pinned.get(each.name) === this.stateOf(mark, each));
  }

  turnSwitch(name, key) {
    this.forgive();
    const off = new Set(this.off.get(name));
    if (!off.delete(key)) off.add(key);
    this.off.set(name, off);
    this.update();
  }

  choose(name, index) {
    this.forgive();
    this.chosen.pinned.set(name, index);
    this.update();
  }

  // A view that the reader asks for takes the place of a pinned mark's own map.
  showView(view, pinned, asked = pinned) {
    Object.assign(this, { view, viewPinned: pinned });
    if (asked) this.atom.pinned = null;
    this.update();
  }

  letGo() {
    this.forgive();
    this.place = { over: null, pinned: null };
    this.atom = { over: null, pinned: null };
    this.chosen.over.clear();
    this.chosen.pinned.clear();
    this.off.clear();
    this.pairs.clear();
    this.update();
  }

  // The selections that pointing at this mark changes: those of which the mark is a state.
  setBy(mark) {
    const panel = this.data.panels[Number(mark.closest("[data-panel]").dataset.panel)];
    const selections = panel.sets.map((name) => this.selections.get(name));
    const states = selections.filter(({ keys, gesture }) => keys && gesture !== "toggle");
    return states.filter((selection) => this.stateOf(mark, selection) >= 0);
  }

  stateOf(mark, selection) {
    const [key, label] = this.data.atoms[mark.atom];
    const index = selection.keys.indexOf(key);
    return index >= 0 ? index : selection.keys.indexOf(label);
  }

  // Drawing

  // An icon has come: wherever it is shown, and nothing else.
  redress(sprite) {
    for (const node of this.root.querySelectorAll(`[data-sprite="${CSS.escape(sprite)}"]`)) this.dress(node, sprite);
    for (const { view } of this.panels) view.arrive?.(sprite);
    const details = this.root.querySelector(`dialog dl[data-of="${CSS.escape(sprite)}"]`);
    if (details) fillDetails(details, this.data.sprites[sprite][3]);
  }

  // Icons were judged: they are marked wherever they are shown.
  sign(signs) {
    Object.assign(this.data.signs, signs);
    for (const node of this.root.querySelectorAll(".icon[data-sprite]")) {
      this.signIcon(node, this.signOf(node.dataset.sprite));
    }
  }

  // What a panel shows anew is waited for, the first of it most.
  wantShown(panel) {
    if (!this.hasBlanks) return;
    const frame = panel.frames?.[this.frameOf(panel)] ?? [];
    const numbers = (frame.sides?.flat() ?? frame).filter(Number.isInteger);
    const blank = numbers.map((number) => this.atomAt(number)[2]).filter((sprite) => this.isBlank(sprite));
    [...new Set(blank)].slice(0, MOST_WANTED).reverse().forEach((sprite) => this.wants(sprite));
  }

  update() {
    this.nearby?.forget();
    this.redraw(this.panels);
  }

  // What is only pointed at waits in panels that nobody sees.
  preview() {
    this.redraw(this.nearby.seen());
  }

  redraw(panels) {
    this.turnPhotograph();
    this.show(panels);
    this.stage?.update();
    this.controls.update();
    this.memory.write(this.pins(), this.selected());
  }

  show(panels) {
    const focused = this.focused();
    for (const entry of panels) this.updatePanel(entry);
    for (const entry of panels) this.light(entry);
    this.refocus(focused);
  }

  updatePanel(entry) {
    const frame = this.frameOf(entry.panel);
    if (frame !== entry.frame) {
      if (entry.frame !== null && entry.panel.kind !== "overlay") this.wantShown(entry.panel);
      entry.view.show(frame);
      if (entry.panel.told) this.tell(entry.section.querySelector(".of-frame"), entry.panel.told[frame]);
      if (entry.subject) write(entry.subject, this.subjectOf(entry.panel));
      this.gestures?.noteTurn(entry.section);
    }
    entry.frame = frame;
    entry.view.follow?.();
  }

  // What holds in one state alone, as open as it was in the last.
  tell(place, [brief, clauses]) {
    const open = place.querySelector("details")?.open ?? false;
    place.replaceChildren(...(brief ? [noteOf(brief, clauses, open)] : []));
  }

  subjectOf(panel) {
    return this.pointedAtFor(panel).map((each) => this.controls.labelOf(each, this.state(each))).join(", ");
  }

  // Another photograph below everything that lies on one; the chosen cell stays the same.
  turnPhotograph() {
    const index = this.pictured ? this.state(this.pictured) : 0;
    if (index === this.photographs.index) return;
    const { seen } = this.photographs;
    this.photographs.show(index);
    const moved = (place) => place && this.photographs.moved(place, seen);
    this.place = { over: moved(this.place.over), pinned: moved(this.place.pinned) };
    for (const [selection, extent] of this.homes) selection.extent = this.photographs.extentOn(extent);
    this.stage.rephotograph();
    for (const entry of this.panels) {
      entry.view.rephotograph?.();
      entry.frame = null;
    }
  }

  focused() {
    const mark = this.root.getRootNode().activeElement?.closest(".mark");
    return mark ? { mark, key: mark.dataset.key, section: mark.closest("[data-panel]") } : null;
  }

  // Focus goes where the mark went that had it; where the mark is gone, its panel has it.
  refocus(focused) {
    if (!focused || (focused.mark.isConnected && focused.mark.dataset.key === focused.key)) return;
    const marks = [...focused.section.querySelectorAll(".mark")];
    const again = marks.find((mark) => mark.dataset.key === focused.key);
    this.moving = true;
    (again ?? focused.section).focus({ preventScroll: true });
    this.moving = false;
  }

  // A mark pointed at lights every mark of its key, and dims the others of those panels. The state
  // of a selection is only marked.
  light({ panel, view }) {
    const key = this.keyOf(this.pointed());
    view.light?.({ lit: key, pinned: this.keyOf(this.atom.pinned), chosen: this.highlighted(panel) });
    view.fade?.(key === null ? this.place.over : null);
  }

  highlighted(panel) {
    const selection = this.selections.get(panel.highlights);
    return selection?.keys ? selection.keys[this.state(selection)] : null;
  }
}

function sizeOf({ grid, keys }) {
  return grid ? grid[0] * grid[1] : keys.length;
}

function sheetsOf({ sheets, crops }) {
  return crops ? [...sheets, crops] : sheets;
}

// Draws as soon as the photographs and the icons can be drawn from.
async function mountBlocks(root, data, memory, closing) {
  const first = root.querySelector("[data-stage] img");
  const opened = data.photos.map(({ src }) => openPicture(src ?? first.src));
  const [images] = await Promise.all([Promise.all(opened), ...sheetsOf(data).map(openSheet)]);
  const page = new Page(root, data, images, memory, closing);
  page.start();
  root.classList.add("ready");
  root.querySelector(".still")?.remove();
  return page;
}
