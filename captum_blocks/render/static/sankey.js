// Flows between two columns of marks: width is magnitude on one scale, colour is sign.

// Pixels that all flows together are wide, the least a mark takes, and the space between marks.
const FULL = 220;
const LEAST_SLOT = 52;
const BETWEEN = 6;
// Bands thinner than this, in pixels, are drawn as a line, or are hard to point at.
const HAIR = 1;
const SLIM = 7;
const SVG = "http://www.w3.org/2000/svg";

class Flows {
  constructor(body, panel, page) {
    Object.assign(this, { panel, page, band: null, unit: panel.whole > 0 ? FULL / panel.whole : 0 });
    this.steady = page.pointedAtFor(panel).length > 0;
    this.sides = ["left", "right"].map((side) => ({ list: make("ul", `marks ${side}`), nodes: [], numbers: null }));
    this.drawing = draw("svg", { preserveAspectRatio: "none" });
    this.drawing.setAttribute("aria-hidden", "true");
    this.listen();
    this.place = make("div", "flows");
    const [left, right] = panel.titles;
    this.place.append(labelled(left), make("span"), labelled(right), this.sides[0].list, this.drawing, this.sides[1].list);
    this.note = make("p", "left-out");
    body.append(this.legend(), this.place, this.note);
  }

  // What pointing changes is as high as its fullest frame, so that nothing below moves.
  measure(frame) {
    const shown = this.steady ? this.panel.frames : [frame];
    this.height = Math.max(...shown.flatMap(({ sides }) => sides.map((numbers, side) => this.needed(numbers, side))));
    for (const { list } of this.sides) list.style.height = `${this.height}px`;
    this.drawing.setAttribute("viewBox", `0 0 100 ${this.height}`);
    this.drawing.setAttribute("height", this.height);
  }

  slot(number, side) {
    return Math.max(LEAST_SLOT, this.unit * this.panel.thickness[side][this.page.atomAt(number)[0]]);
  }

  needed(numbers, side) {
    return numbers.reduce((sum, number) => sum + this.slot(number, side) + BETWEEN, 0);
  }

  // The nodes stay, so that focus and pointer stay on them, and are filled anew.
  fillSide(side, numbers) {
    const { list, nodes } = this.sides[side];
    while (nodes.length > numbers.length) nodes.pop().remove();
    while (nodes.length < numbers.length) nodes.push(list.appendChild(make("li", "mark")));
    nodes.forEach((node, i) => this.fill(node, numbers[i]));
    this.spread(side, numbers);
  }

  // The shorter column takes as much room as the other.
  spread(side, numbers) {
    const space = BETWEEN + (this.height - this.needed(numbers, side)) / numbers.length;
    let top = space / 2;
    this.sides[side].nodes.forEach((node, i) => {
      const slot = this.slot(numbers[i], side);
      node.middle = top + slot / 2;
      node.style.top = `${top}px`;
      node.style.height = `${slot}px`;
      top += slot + space;
    });
  }

  fill(node, number) {
    if (node.number === number) return;
    const [, label, sprite, , hue, role] = this.page.atomAt(number);
    identify(node, number, this.page);
    node.classList.toggle("hued", hue !== null);
    const words = make("span", "words");
    const stem = make("span", `stem ${role === "remainder" ? "patterned" : ""}`);
    Object.assign(node, { sum: make("span", "sum"), fill: make("span", "fill plain") });
    stem.append(node.fill);
    words.append(nameNode(this.page, label, hue), node.sum);
    node.replaceChildren(words, ...(sprite === null ? [] : [iconNode(this.page, sprite, label)]), stem);
  }

  legend() {
    const legend = make("p", "sign-legend scale");
    const ruler = make("span", "ruler");
    ruler.style.height = `${this.unit * this.panel.step}px`;
    const scale = make("span", "scale-words", `= ${formatNumber(this.panel.step)} ${this.panel.unit}`.trim());
    legend.append(make("span", "swatch supports"), make("span", "", "supports"));
    legend.append(make("span", "swatch opposes"), make("span", "", "opposes"), ruler, scale);
    return legend;
  }

  show(frame) {
    const { sides, bands } = this.panel.frames[frame];
    this.flows = bands;
    this.measure(this.panel.frames[frame]);
    this.least = this.panel.least * bands.reduce((sum, flow) => sum + Math.abs(flow[2]), 0);
    sides.forEach((numbers, side) => this.fillSide(side, numbers));
    this.sides.forEach(({ nodes }, side) => nodes.forEach((node, i) => this.stand(node, side, i)));
    this.bands = this.flows.map((flow, i) => this.ribbon(flow, i));
    this.drawing.replaceChildren(...this.bands);
    this.tellSums(null);
    this.tellThin();
  }

  isThin(flow) {
    return flow[2] !== 0 && Math.abs(flow[2]) < this.least;
  }

  // Bands that are too many and too thin wait until one of their ends is pointed at.
  tellThin() {
    const count = this.flows.filter((flow) => this.isThin(flow)).length;
    const least = `${Math.round(100 * this.panel.least)} % of all`;
    const words = `${count} ${count === 1 ? "band" : "bands"} below ${least} not drawn: point at an end to see its own`;
    write(this.note, count ? words : "");
  }

  // The stem of a mark is as long as its flows are wide, in the middle of its slot.
  stand(node, side, index) {
    const own = this.flows.filter((flow) => flow[side] === index);
    const length = this.unit * own.reduce((sum, flow) => sum + Math.abs(flow[2]), 0);
    node.start = node.middle - length / 2;
    node.fill.style.height = `${length}px`;
  }

  ribbon([source, target, value, start, end, detail], index) {
    const band = draw("g", { class: `band ${value < 0 ? "opposes" : "supports"}` });
    const width = this.unit * Math.abs(value);
    const from = this.sides[0].nodes[source];
    const to = this.sides[1].nodes[target];
    const [left, right] = [from.start + this.unit * start, to.start + this.unit * end];
    band.classList.toggle("rest", [from, to].some((node) => node.classList.contains("remainder")));
    band.classList.toggle("thin", this.isThin(this.flows[index]));
    band.dataset.band = index;
    const line = `M0,${left + width / 2}${curve(0, left + width / 2, 100, right + width / 2)}`;
    const outline = `M0,${left}${curve(0, left, 100, right)}V${right + width}${curve(100, right + width, 0, left + width)}Z`;
    band.append(draw("path", width < HAIR ? { d: line, class: "hair" } : { d: outline }));
    if (width < SLIM) band.append(draw("path", { d: line, class: "reach" }));
    // Beside a photograph the readout tells the detail; elsewhere the browser's own hint does.
    if (!this.page.stage) band.append(draw("title", {}, detail));
    return band;
  }

  // A mark pointed at isolates its bands; the marks at their other ends tell what they got of it.
  light(keys) {
    const lit = this.sides.map(({ nodes }) => nodes.map((node) => node.dataset.key === keys.lit));
    const known = lit.flat().includes(true);
    const own = ([source, target]) => lit[0][source] || lit[1][target];
    this.place.classList.toggle("has-lit", known);
    this.bands.forEach((band, i) => band.classList.toggle("lit", known && own(this.flows[i])));
    this.sides.forEach(({ nodes }, side) =>
      nodes.forEach((node, i) => {
        const joined = this.flows.some((flow) => flow[side] === i && flow[2] !== 0 && own(flow));
        lightMark(node, keys, known && joined);
      }),
    );
    this.tellSums(known ? own : null);
  }

  // What flows through each mark: of one pointed at, and else with what the mark is in all.
  tellSums(counts) {
    this.sides.forEach(({ nodes }, side) =>
      nodes.forEach((node, i) => {
        const own = this.flows.filter((flow) => flow[side] === i && (!counts || counts(flow)));
        const told = formatNumber(own.length ? own.reduce((sum, flow) => sum + flow[2], 0) : null, true);
        const [, whole] = this.page.data.marks[node.number][1];
        write(node.sum, counts || whole === undefined ? told : `${told} of ${formatNumber(whole, true)}`);
      }),
    );
  }

  listen() {
    const bandOf = (event) => event.target.closest("[data-band]");
    this.drawing.addEventListener("pointerover", (event) => this.pointAt(bandOf(event)));
    this.drawing.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && this.pointAt(null));
    this.drawing.addEventListener("click", (event) => this.pointAt(bandOf(event)));
  }

  pointAt(band) {
    this.band = band && Number(band.dataset.band);
    this.page.hear(band && this);
    this.follow();
  }

  // A band steps forward for as long as nothing else is told.
  follow() {
    if (this.page.teller !== this) this.band = null;
    this.bands.forEach((band, i) => band.classList.toggle("pointed", i === this.band));
    this.drawing.classList.toggle("has-pointed", this.band !== null);
  }

  // What the readout says while a band is pointed at.
  tell() {
    return this.band === null ? "" : this.flows[this.band][5];
  }
}

function draw(tag, attributes, text = "") {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.textContent = text;
  return node;
}

// Level at both ends, so that bands leave and arrive at right angles to the stems.
function curve(fromX, fromY, toX, toY) {
  const middle = (fromX + toX) / 2;
  return `C${middle},${fromY} ${middle},${toY} ${toX},${toY}`;
}

function labelled(title) {
  const node = make("span", "side-title");
  node.append(labelNode(title));
  return node;
}
