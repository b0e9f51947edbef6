// Selections that are chosen from a list or slid, and what is said aloud when a state changes.

class Controls {
  constructor(page) {
    Object.assign(this, { page, made: new Map(), announcer: page.root.querySelector(".announcer"), said: null });
    this.own = this.ownView(page.root.querySelector(".views"));
  }

  // Where a pinned mark's own map lies on the photograph, no view does: a button says whose it is,
  // and lets go of it.
  ownView(views) {
    const button = make("button", "own-view");
    Object.assign(button, { type: "button", hidden: true });
    button.setAttribute("aria-pressed", "true");
    button.addEventListener("click", () => this.page.showView(this.page.view, this.page.viewPinned, true));
    views?.append(button);
    return button;
  }

  // One control a selection, above the first panel that follows it. Photographs have their own.
  add(body, panel) {
    for (const name of panel.follows) {
      const selection = this.page.selections.get(name);
      const make = { choose: chooser, slider }[selection.gesture];
      if (!make || this.made.has(name) || selection === this.page.pictured) continue;
      const control = make(selection.title || name, this.labels(selection));
      control.input.addEventListener("input", () => this.page.choose(name, Number(control.input.value)));
      this.made.set(name, control);
      body.before(control.node);
    }
  }

  labels(selection) {
    return selection.keys.map((key, index) => this.labelOf(selection, index));
  }

  // A state in words: its own label, else that of the atom it is.
  labelOf({ keys, labels }, index) {
    if (labels.length) return labels[index];
    const atom = this.page.atomOf(keys[index]);
    return atom === null ? keys[index] : this.page.data.atoms[atom][1];
  }

  update() {
    for (const [name, control] of this.made) {
      const selection = this.page.selections.get(name);
      control.show(this.page.state(selection), this.labelOf(selection, this.page.state(selection)));
    }
    for (const button of this.page.root.querySelectorAll("button[data-view]")) {
      button.setAttribute("aria-pressed", String(button.dataset.view === this.page.viewShown()));
    }
    const pinned = this.page.fieldOf(this.page.atom.pinned);
    this.own.hidden = !pinned;
    write(this.own, pinned?.label ?? "");
    this.announce();
  }

  // Places are told by the readout of the photograph; the states of all else are told here.
  announce() {
    const told = this.page.data.selections.filter(({ grid, gesture }) => !grid && gesture !== "toggle");
    const states = told.map((selection) => this.page.settled(selection));
    const news = told.filter((selection, i) => this.said && this.said[i] !== states[i]);
    this.said = states;
    if (!news.length) return;
    const words = news.map((selection) => `${selection.title || selection.atom}: ${this.labelOf(selection, this.page.settled(selection))}`);
    this.announcer.textContent = [...new Set(words)].join("; ");
  }
}

function chooser(title, labels) {
  const [node, input, output] = controlled(title, make("select"));
  labels.forEach((label, i) => {
    const option = make("option", "", label);
    option.value = i;
    input.append(option);
  });
  const show = (index, label) => {
    input.value = index;
    write(output, label);
  };
  return { node, input, show };
}

function slider(title, labels) {
  const [node, input, output] = controlled(title, make("input"));
  Object.assign(input, { type: "range", min: 0, max: labels.length - 1, step: 1 });
  const show = (index, label) => {
    input.value = index;
    input.setAttribute("aria-valuetext", label);
    write(output, label);
  };
  return { node, input, show };
}

// The output tells the state: beside a slider, and on paper, where a list cannot be opened.
function controlled(title, input) {
  const [node, output] = [make("label", `control ${input.tagName.toLowerCase()}`), make("output")];
  output.setAttribute("aria-live", "off");
  input.setAttribute("aria-label", title);
  node.append(make("span", "control-title", title), input, output);
  return [node, input, output];
}
