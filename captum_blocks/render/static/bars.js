// Marks with bars that share a zero line and one scale, as rows or as tiles.

const MAP_WIDTH = 192;
// Longer panels fill a mark only when it comes near the window.
const MOST_FILLED = 120;
const NEAR = "600px 0px";

// What a mark needs of its panel: where zero lies, and how a value becomes a length.
class Scale {
  constructor([low, high]) {
    this.low = Math.min(low, 0);
    this.high = Math.max(high, 0);
    this.signed = this.low < 0;
    this.span = this.high - this.low || 1;
  }

  at(value) {
    return (100 * (Math.min(this.high, Math.max(this.low, value)) - this.low)) / this.span;
  }
}

class Bars {
  constructor(body, panel, page) {
    Object.assign(this, { panel, page, scale: new Scale(panel.domain), marks: [], numbers: [], lit: new Set() });
    const drawn = [...new Set(panel.frames.flat())].map((number) => page.atomAt(number));
    this.hasIcons = drawn.some(([, , sprite]) => sprite !== null);
    this.hasMaps = panel.maps && page.photo !== null && drawn.some(([, , , field]) => field !== null);
    this.long = Math.max(0, ...panel.frames.map((frame) => frame.length)) > MOST_FILLED;
    this.list = make("ul", "marks");
    body.classList.add(panel.arrangement, ...this.traits());
    body.style.setProperty("--columns", panel.columns.length);
    body.append(...(panel.arrangement === "rows" ? [this.axis(), this.list] : [this.list, this.note()]));
    if (this.long) this.watch = new IntersectionObserver((seen) => this.notice(seen), { rootMargin: NEAR });
  }

  traits() {
    const has = { "with-icons": this.hasIcons, "with-maps": this.hasMaps, long: this.long };
    return Object.keys(has).filter((trait) => has[trait]);
  }

  show(frame) {
    this.numbers = this.panel.frames[frame];
    while (this.marks.length > this.numbers.length) this.marks.pop().remove();
    while (this.marks.length < this.numbers.length) this.add();
    for (const mark of this.marks) if (mark.near) this.fill(mark);
  }

  add() {
    const mark = make("li", "mark");
    Object.assign(mark, { tabIndex: -1, view: this, index: this.marks.length, near: !this.long });
    this.marks.push(mark);
    this.list.append(mark);
    this.watch?.observe(mark);
  }

  notice(seen) {
    for (const { target, isIntersecting } of seen) {
      target.near = isIntersecting;
      if (isIntersecting) this.fill(target);
    }
  }

  fillAll() {
    this.marks.forEach((mark) => this.fill(mark));
  }

  // The node stays, so that focus and pointer stay on it, and is filled anew.
  fill(node) {
    const number = this.numbers[node.index];
    if (node.number === number || number === undefined) return;
    const [atom, values, detail] = this.page.data.marks[number];
    const [key, label, sprite, field, hue, role] = this.page.data.atoms[atom];
    if (node.shownRole) node.classList.remove(node.shownRole);
    node.classList.add(role);
    Object.assign(node, { number, atom, detail, label, shownRole: role });
    node.dataset.key = key;
    // Beside a photograph the readout tells the detail; elsewhere the browser's own hint does.
    node.title = this.page.stage ? label : detail || label;
    const lead = make("div", "lead");
    if (this.hasIcons) lead.append(sprite === null ? make("span", "no-icon") : this.icon(sprite, label));
    if (this.hasMaps) lead.append(field === null ? make("span", "no-map") : this.map(field));
    lead.append(this.name(label, hue));
    node.replaceChildren(lead, this.bars(values, role));
  }

  // Marks of this key are lit and the others step back; a panel without one stays as it is.
  light(key, pinned) {
    const keys = key === null && pinned === null ? [] : this.numbers.map((number) => this.page.atomAt(number)[0]);
    const lit = new Set(this.marks.filter((mark) => key !== null && keys[mark.index] === key));
    for (const mark of this.lit) if (!lit.has(mark)) mark.classList.remove("lit");
    for (const mark of lit) mark.classList.add("lit");
    this.lit = lit;
    this.list.classList.toggle("has-lit", lit.size > 0);
    this.list.querySelectorAll(".pinned").forEach((mark) => mark.classList.remove("pinned"));
    if (pinned !== null) this.marks.forEach((mark) => keys[mark.index] === pinned && mark.classList.add("pinned"));
  }

  // Groups that are silent at the place pointed at step back.
  fade(place) {
    if (!this.hasMaps || this.long) return;
    for (const mark of this.marks) {
      const [, , , field, hue] = this.page.data.atoms[mark.atom];
      const told = place && field !== null && hue !== null;
      mark.style.opacity = told ? 0.3 + 0.7 * weightAt(this.page.field(field), place) : "";
    }
  }

  icon(sprite, label) {
    const node = make("button", "icon");
    Object.assign(node, { type: "button", tabIndex: -1 });
    node.setAttribute("aria-label", `Enlarge ${label}`);
    this.page.dress(node, sprite);
    return node;
  }

  map(field) {
    const canvas = drawMap(this.page.ground(MAP_WIDTH), this.page.field(field), this.page.data.palette);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${this.page.field(field).label} on the photograph`);
    return canvas;
  }

  name(label, hue) {
    const name = make("span", "name");
    if (hue !== null) {
      const swatch = make("span", "swatch");
      swatch.style.background = `rgb(${this.page.groupColour(hue)})`;
      name.append(swatch);
    }
    name.append(labelNode(label));
    return name;
  }

  bars(values, role) {
    const bars = make("div", `bars ${role === "remainder" ? "patterned" : ""}`);
    values.forEach((value, i) => {
      const cell = make("div", "bar");
      cell.append(make("span", "column", this.panel.columns[i]), this.track(value));
      bars.append(cell);
    });
    return bars;
  }

  track(value) {
    const track = make("div", "track");
    const text = make("span", "value", formatNumber(value, this.scale.signed));
    text.style.left = `${this.scale.at(Math.max(value ?? 0, 0))}%`;
    if (value !== null) track.append(this.fillOf(value));
    track.append(this.zero(), text);
    return track;
  }

  fillOf(value) {
    const fill = make("span", `fill ${!this.scale.signed ? "plain" : value < 0 ? "opposes" : "supports"}`);
    const [from, to] = [this.scale.at(Math.min(value, 0)), this.scale.at(Math.max(value, 0))];
    fill.style.left = `${from}%`;
    fill.style.width = `${to - from}%`;
    fill.classList.toggle("clipped", value < this.scale.low || value > this.scale.high);
    return fill;
  }

  zero() {
    const zero = make("span", "zero");
    zero.style.left = `${this.scale.at(0)}%`;
    return zero;
  }

  axis() {
    const axis = make("div", "axis");
    const columns = make("div", "bars");
    for (const title of this.panel.columns) {
      const cell = make("div", "bar");
      cell.append(make("span", "title", title), this.ticks());
      columns.append(cell);
    }
    axis.append(make("div", "lead", this.apart(this.scale.low) ? this.panel.unit : this.range()), columns);
    return axis;
  }

  ticks() {
    const ticks = make("span", "ticks");
    for (const value of new Set([this.scale.low, 0, this.scale.high])) {
      if (!this.apart(value)) continue;
      const place = this.scale.at(value);
      const tick = make("span", `tick ${place < 5 ? "first" : place > 95 ? "last" : ""}`, formatNumber(value, this.scale.signed));
      tick.style.left = `${place}%`;
      ticks.append(tick);
    }
    return ticks;
  }

  // A bound too near to zero would be printed over it: then the axis tells the range in words.
  apart(value) {
    return value === 0 || Math.abs(this.scale.at(value) - this.scale.at(0)) > 22;
  }

  note() {
    return make("p", "scale-note", this.range());
  }

  range() {
    const { low, high, signed } = this.scale;
    return `bars from ${formatNumber(low, signed)} to ${formatNumber(high, signed)} ${this.panel.unit}`.trim();
  }
}

// Layer and channel names are set as code and may break behind their separators.
function labelNode(label) {
  const node = make("span", /^\S+ : \S+$/.test(label) ? "label code" : "label");
  node.dir = "auto";
  label.split(/(?<=[._/:])/).forEach((part, i) => node.append(...(i ? [make("wbr"), part] : [part])));
  return node;
}
