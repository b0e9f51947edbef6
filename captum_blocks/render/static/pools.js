// What many marks share and name: atoms, icons and fields, unpacked when they are first drawn.

const GHOST = "rgb(128 128 128 / 13%)";
const BLANK_SIZE = { width: 8, height: 8 };

class Pools {
  constructor(data) {
    Object.assign(this, { data, unpacked: new Map(), atoms: new Map(), named: new Map() });
    this.usual = data.atoms.map(([, label]) => label);
    data.atoms.forEach(([key, , , field], atom) => {
      const known = this.atoms.get(key);
      if (known === undefined || (data.atoms[known][3] === null && field !== null)) this.atoms.set(key, atom);
    });
  }

  // The atom of a mark, as [key, label, sprite, field, hue, role].
  atomAt(number) {
    return this.data.atoms[this.data.marks[number][0]];
  }

  keyOf(atom) {
    return atom === null ? null : this.data.atoms[atom][0];
  }

  // The atom of that key, one that has a map where there is one.
  atomOf(key) {
    return this.atoms.get(key) ?? null;
  }

  // An atom's name: what the reader wrote, else what it came with.
  nameOf(key, usual) {
    return this.named.get(key) ?? usual;
  }

  // Everywhere at once: atoms are pooled.
  relabel() {
    this.data.atoms.forEach((atom, i) => {
      atom[1] = this.nameOf(atom[0], this.usual[i]);
      this.relabelField(atom[3], this.usual[i], atom[1]);
    });
  }

  // Maps are called after their atoms: "group 3 at bn2".
  relabelField(name, usual, label) {
    const field = name === null ? undefined : this.data.fields[name];
    if (field === undefined) return;
    field.usual ??= field.label;
    if (!field.usual.startsWith(usual)) return;
    field.label = label + field.usual.slice(usual.length);
    if (this.unpacked.has(name)) this.unpacked.get(name).label = field.label;
  }

  field(name) {
    if (!this.unpacked.has(name)) this.unpacked.set(name, unpackField(this.data.fields[name]));
    return this.unpacked.get(name);
  }

  // Whether an icon is still being drawn.
  isBlank(sprite) {
    return this.data.sprites[sprite]?.[0] === null;
  }

  dress(node, sprite) {
    const [sheet, cell] = this.data.sprites[sprite];
    node.classList.toggle("blank", sheet === null);
    if (sheet === null) node.style.background = "";
    else dressIcon(node, this.data.sheets[sheet], cell);
    this.signIcon(node, this.signOf(sprite));
  }

  // How far an icon is to be believed, as [level, its name, the words behind it].
  signOf(sprite) {
    return this.data.signs[sprite] ?? null;
  }

  // The mark is drawn by style, so that a copy of the icon has it, too.
  signIcon(node, sign) {
    if (!sign) return;
    const [level, name, words] = sign;
    node.dataset.sign = level;
    node.title = `${name}: ${words}`;
  }

  // One icon cut out of its sheet, into a box (left, top, width, height) of a drawing.
  drawIcon(context, sprite, box) {
    const [number, cell] = this.data.sprites[sprite];
    if (number === null) return this.drawBlank(context, box);
    const { image, width, height, columns, gutter } = this.data.sheets[number];
    const left = (cell % columns) * (width + 2 * gutter) + gutter;
    const top = Math.floor(cell / columns) * (height + 2 * gutter) + gutter;
    context.drawImage(image, left, top, width, height, ...box);
  }

  // Where there is no picture, its size is still told, quietly.
  drawBlank(context, box) {
    context.fillStyle = GHOST;
    context.fillRect(...box);
  }

  // The same as a picture of its own.
  iconPicture(sprite) {
    const { width, height } = this.data.sheets[this.data.sprites[sprite][0]] ?? BLANK_SIZE;
    const canvas = make("canvas");
    Object.assign(canvas, { width, height });
    this.drawIcon(canvas.getContext("2d"), sprite, [0, 0, width, height]);
    return canvas.toDataURL();
  }

  groupColour(hue) {
    return this.data.palette.groups[hue % this.data.palette.groups.length];
  }
}

function urlOf(dataUri) {
  const [head, body] = dataUri.split(",");
  return URL.createObjectURL(new Blob([bytesOf(body)], { type: head.slice(5, head.indexOf(";")) }));
}

// Pictures are handed over as blobs, which many icons can share.
async function openPicture(src) {
  const image = new Image();
  image.src = urlOf(src);
  await image.decode();
  return image;
}

async function openSheet(sheet) {
  sheet.image = await openPicture(sheet.src);
  sheet.url = sheet.image.src;
}
