// Small photographs side by side, each under one mark's field.

const MULTIPLE_WIDTH = 320;

class Multiples {
  constructor(body, panel, page) {
    Object.assign(this, { panel, page, list: make("ul", "marks multiples") });
    const values = panel.frames.flat().flatMap((number) => page.data.marks[number][1]);
    this.signed = values.some((value) => value < 0);
    this.legend = new Legend(make("div", "legend"), page, !page.photo);
    body.append(this.list, this.legend.node);
  }

  // The nodes stay, so that focus and pointer stay on them, and are filled anew.
  show(frame) {
    const numbers = this.panel.frames[frame];
    while (this.list.children.length > numbers.length) this.list.lastChild.remove();
    while (this.list.children.length < numbers.length) this.list.append(make("li", "mark"));
    numbers.forEach((number, i) => this.fill(this.list.children[i], number));
    this.tellScale(numbers.map((number) => this.page.field(this.page.atomAt(number)[3])));
  }

  fill(node, number) {
    if (node.number === number) return;
    const [atom, values] = this.page.data.marks[number];
    const [, label, , field, hue] = this.page.data.atoms[atom];
    identify(node, number, this.page);
    const words = make("div", "words");
    words.append(nameNode(this.page, label, hue), this.value(values));
    node.replaceChildren(this.map(field), words);
  }

  value(values) {
    const known = values.map((value) => formatNumber(value, this.signed)).join(", ");
    return make("span", "sum", `${known} ${known && this.panel.unit}`.trim());
  }

  map(name) {
    const field = this.page.field(name);
    const { photographs, data } = this.page;
    const canvas = this.page.photo
      ? drawMap(photographs.ground(MULTIPLE_WIDTH), field, data.palette)
      : drawSheet(field, data.palette);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${field.label}${this.page.photo ? " on the photograph" : ""}`);
    return canvas;
  }

  // One scale where all share it; else each has its own, which its mark tells.
  tellScale(fields) {
    const scales = new Set(fields.map(({ domain, unit }) => `${domain} ${unit}`));
    const grey = fields.every((field) => field.hue === null);
    if (scales.size === 1 && grey) this.legend.node.replaceChildren(this.legend.scale(fields[0]));
    else if (scales.size === 1) this.legend.node.replaceChildren(this.legend.scale(fields[0], true), ...this.legend.uncoloured(fields));
    else this.legend.node.replaceChildren(...(fields.length ? [make("span", "unit", "each map has its own scale")] : []));
  }

  rephotograph() {
    for (const node of this.list.children) node.number = null;
  }

  light(keys) {
    const marks = [...this.list.children];
    this.list.classList.toggle("has-lit", marks.some((mark) => mark.dataset.key === keys.lit));
    for (const mark of marks) lightMark(mark, keys);
  }
}
