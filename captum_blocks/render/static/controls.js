// Selections that are chosen from a list or slid, and the icon at twice its size.

class Controls {
  constructor(page) {
    Object.assign(this, { page, made: new Map() });
  }

  // One control a selection, above the first panel that follows it.
  add(body, panel) {
    for (const name of panel.follows) {
      const selection = this.page.selections.get(name);
      const make = { choose: chooser, slider }[selection.gesture];
      if (!make || this.made.has(name)) continue;
      const control = make(selection);
      control.input.addEventListener("input", () => this.page.choose(name, Number(control.input.value)));
      this.made.set(name, control);
      body.before(control.node);
    }
  }

  update() {
    for (const [name, { input, output }] of this.made) {
      const selection = this.page.selections.get(name);
      input.value = this.page.state(selection);
      if (output) output.textContent = selection.keys[this.page.state(selection)];
    }
    for (const button of this.page.root.querySelectorAll("button[data-view]")) {
      button.setAttribute("aria-pressed", String(button.dataset.view === this.page.view));
    }
  }
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

function enlarge(page, mark) {
  const [, , sprite] = page.data.atoms[mark.atom];
  const [, , label, details] = page.data.sprites[sprite];
  const dialog = page.root.querySelector("dialog");
  const picture = make("div", "icon large");
  page.dress(picture, sprite);
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", label);
  const told = make("dl");
  for (const [term, text] of details) told.append(make("dt", "", term), make("dd", "", text));
  const close = make("button", "close", "Close");
  close.addEventListener("click", () => dialog.close());
  dialog.replaceChildren(picture, make("h3", "", label), make("p", "caption", mark.detail), told, close);
  dialog.onclick = (event) => event.target === dialog && dialog.close();
  dialog.showModal();
}
