// What a mark is, wherever it stands: its key, its icon, its name. Bars and flows are hung on it.

// A node becomes the mark of this number: gestures and lights know it by what is set here.
function identify(node, number, page) {
  const [atom, , detail] = page.data.marks[number];
  const [key, label, , , , role, lent] = page.data.atoms[atom];
  node.className = `mark ${role}`;
  // What is told of an atom begins with its name.
  const usual = page.usual[atom];
  const named = label !== usual && detail.startsWith(usual) ? label + detail.slice(usual.length) : detail;
  const told = lent ? `${named}; ${lent[1]}` : named;
  Object.assign(node, { tabIndex: -1, number, atom, detail: told, label });
  node.dataset.key = key;
  // Beside a photograph the readout tells the detail; elsewhere the browser's own hint does.
  node.title = page.stage ? label : told || label;
}

// Marks of one key are lit, pinned, or the state of a selection, in every panel alike.
function lightMark(node, { lit, pinned, chosen }, joined = false) {
  const { key } = node.dataset;
  node.classList.toggle("lit", joined || key === lit);
  node.classList.toggle("pinned", key === pinned);
  node.classList.toggle("chosen", key === chosen);
  if (key === chosen) node.setAttribute("aria-current", "true");
  else node.removeAttribute("aria-current");
}

// Tells the number pointed at where the eye is; aloud only where no readout does it.
function hereLine(page) {
  const line = make("p", "here");
  if (!page.stage) line.setAttribute("aria-live", "polite");
  return line;
}

function iconNode(page, sprite, label) {
  const node = make("button", "icon");
  Object.assign(node, { type: "button", tabIndex: -1 });
  node.setAttribute("aria-label", `Enlarge ${label}`);
  dressAs(node, page, sprite);
  return node;
}

// The copy of a panel finds the picture of an icon by the name it carries.
function dressAs(node, page, sprite) {
  node.dataset.sprite = sprite;
  page.dress(node, sprite);
}

function nameNode(page, label, hue) {
  const name = make("span", "name");
  if (hue !== null) {
    const swatch = make("span", "swatch");
    swatch.style.background = `rgb(${page.groupColour(hue)})`;
    name.append(swatch);
  }
  name.append(labelNode(label));
  return name;
}

// Layer and channel names are set as code and may break behind their separators.
function labelNode(label) {
  if (!/^\S+ : \S+$/.test(label)) return make("span", "label", label);
  const node = make("span", "label code");
  label.split(/(?<=[._/:])/).forEach((part, i) => node.append(...(i ? [make("wbr"), part] : [part])));
  return node;
}
