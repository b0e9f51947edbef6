// What a page remembers: what is pinned, as names and numbers that an address can hold, and what the
// reader had before it was printed.

class Remembered extends Pools {
  // A name that is empty or the usual one lets go of what was written.
  rename(key, typed) {
    const name = typed.replace(/\s+/g, " ").trim().slice(0, LONGEST_NAME);
    const atom = this.atomOf(key);
    if (!name || name === this.usual[atom]) this.named.delete(key);
    else this.named.set(key, name);
    this.drawNames();
  }

  drawNames() {
    this.forgive();
    this.relabel();
    if (this.stage) this.stage.shown = null;
    for (const entry of this.panels) {
      entry.frame = null;
      for (const mark of entry.section.querySelectorAll(".mark")) Object.assign(mark, { number: null, drawn: null });
    }
    this.update();
  }

  pins() {
    const pins = {};
    if (this.place.pinned) pins.at = this.place.pinned.map((part) => part.toFixed(4)).join();
    if (this.atom.pinned !== null) pins.mark = this.keyOf(this.atom.pinned);
    if (this.viewPinned && this.view !== this.firstView()) pins.view = this.view;
    for (const [name, index] of this.chosen.pinned) pins[`is.${name}`] = this.selections.get(name).keys[index];
    for (const [name, off] of this.off) {
      const { keys } = this.selections.get(name);
      if (off.size) pins[`off.${name}`] = [...off].map((key) => keys.indexOf(key)).join();
    }
    for (const [panel, number] of this.comparing()) {
      if (this.pairs.has(panel)) pins[`pair.${number}`] = this.pairs.get(panel).join();
    }
    for (const [key, name] of this.named) pins[`name.${key}`] = name;
    return pins;
  }

  // What is shown, pinned or not: the state of each selection, and the mark pointed at.
  selected() {
    const selected = Object.fromEntries(this.data.selections.map((each) => [each.name, this.keyOfState(each)]));
    return this.pointed() === null ? selected : { ...selected, mark: this.keyOf(this.pointed()) };
  }

  // Panels that compare two answers, by number.
  comparing() {
    return this.data.panels.map((panel, number) => [panel, number]).filter(([panel]) => panel.pair);
  }

  keyOfState(selection) {
    if (selection.gesture === "toggle") return [...(this.off.get(selection.name) ?? [])];
    const index = this.state(selection);
    if (!selection.grid) return selection.keys[index];
    return `${Math.floor(index / selection.grid[1])},${index % selection.grid[1]}`;
  }

  recallNames(pins) {
    const before = JSON.stringify([...this.named]);
    this.named.clear();
    for (const [pin, name] of Object.entries(pins)) {
      const key = pin.startsWith("name.") ? pin.slice(5) : null;
      if (key !== null && this.atomOf(key) !== null && name.trim()) this.named.set(key, name.trim().slice(0, LONGEST_NAME));
    }
    if (JSON.stringify([...this.named]) !== before) this.drawNames();
  }

  recall() {
    const pins = this.memory.read();
    const place = (pins.at || "").split(",").map(Number);
    this.place.pinned = place.length === 2 && place.every((part) => part >= 0 && part <= 1) ? place : null;
    this.atom.pinned = this.atomOf(pins.mark);
    this.viewPinned = pins.view === "photo" || Boolean(this.stage?.has(pins.view));
    this.view = this.viewPinned ? pins.view : this.firstView();
    this.chosen.pinned.clear();
    for (const { name, keys } of this.data.selections) {
      const index = keys ? keys.indexOf(pins[`is.${name}`]) : -1;
      if (index >= 0) this.chosen.pinned.set(name, index);
    }
    for (const [name, there] of this.switchable) {
      const { keys } = this.selections.get(name);
      const off = (pins[`off.${name}`] ?? "").split(",").map((place) => keys[place]);
      this.off.set(name, new Set(off.filter((key) => there.has(key))));
    }
    this.recallNames(pins);
    this.pairs.clear();
    for (const [panel, number] of this.comparing()) {
      const pair = (pins[`pair.${number}`] ?? "").split(",").map(Number);
      const known = (index) => (panel.choices ? panel.choices.includes(index) : index in panel.classes);
      if (pair.length === 2 && pair[0] !== pair[1] && pair.every(known)) this.pairs.set(panel, pair);
    }
    // The place is one of the photograph that was pinned with it.
    const { pinned } = this.place;
    this.turnPhotograph();
    this.place.pinned = pinned;
    this.update();
  }

  // Paper shows the default state, and every mark.
  prepareForPaper() {
    const { place, atom, chosen, off, pairs } = this;
    this.left = { place, atom, pinned: [...chosen.pinned], off: [...off], pairs: [...pairs] };
    this.letGo();
    for (const { view } of this.panels) view.fillAll?.();
    this.folded = [...this.root.querySelectorAll("details.left-out:not([open])")];
    for (const each of this.folded) each.open = true;
  }

  // The reader finds everything as it was left.
  leavePaper() {
    for (const each of this.folded ?? []) each.open = false;
    if (!this.left) return;
    const { place, atom, pinned, off, pairs } = this.left;
    Object.assign(this, { place, atom, off: new Map(off), pairs: new Map(pairs), left: null });
    this.chosen.pinned = new Map(pinned);
    this.update();
  }
}
