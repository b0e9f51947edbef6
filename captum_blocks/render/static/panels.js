// The kinds of panels. Each fills its section once and then shows one frame after another.

const MAP_WIDTH = 192;

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
    Object.assign(this, { panel, page, scale: new Scale(panel.domain), marks: [] });
    const drawn = panel.frames.flat().map((number) => page.data.atoms[page.data.marks[number][0]]);
    this.hasIcons = drawn.some(([, , sprite]) => sprite !== null);
    this.hasMaps = panel.maps && page.photo !== null && drawn.some(([, , , field]) => field !== null);
    this.list = make("ul", "marks");
    body.classList.add(panel.arrangement, ...this.traits());
    body.style.setProperty("--columns", panel.columns.length);
    body.append(...(panel.arrangement === "rows" ? [this.axis(), this.list] : [this.list, this.note()]));
  }

  traits() {
    return [this.hasIcons ? "with-icons" : "", this.hasMaps ? "with-maps" : ""].filter(Boolean);
  }

  show(frame) {
    const numbers = this.panel.frames[frame];
    while (this.marks.length > numbers.length) this.marks.pop().remove();
    numbers.forEach((number, i) => this.fill(i, number));
  }

  // Nodes are kept and refilled: a frame of thousands of marks changes without being rebuilt.
  fill(i, number) {
    if (this.marks[i]?.number === number) return;
    const made = this.mark(number);
    made.number = number;
    if (this.marks[i]) this.marks[i].replaceWith(made);
    else this.list.append(made);
    this.marks[i] = made;
  }

  mark(number) {
    const { data } = this.page;
    const [atom, values, detail] = data.marks[number];
    const [key, label, sprite, field, hue, role] = data.atoms[atom];
    const node = make("li", `mark ${role}`);
    Object.assign(node, { tabIndex: -1, atom, detail, label });
    // Beside a photograph the readout tells the detail; elsewhere the browser's own hint does.
    node.title = this.page.stage ? label : detail || label;
    node.dataset.key = key;
    const lead = make("div", "lead");
    if (this.hasIcons) lead.append(sprite === null ? make("span", "no-icon") : this.icon(sprite, label));
    if (this.hasMaps) lead.append(field === null ? make("span", "no-map") : this.map(field));
    lead.append(this.name(label, hue));
    node.append(lead, this.bars(values, role));
    return node;
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

  // Groups that are silent at the place pointed at step back.
  fade(place) {
    for (const mark of this.marks) {
      const [, , , field, hue] = this.page.data.atoms[mark.atom];
      const told = place && field !== null && hue !== null;
      mark.style.opacity = told ? 0.3 + 0.7 * weightAt(this.page.field(field), place) : "";
    }
  }
}

// Layer and channel names are set as code and may break behind their separators.
function labelNode(label) {
  const node = make("span", /^\S+ : \S+$/.test(label) ? "label code" : "label");
  node.dir = "auto";
  label.split(/(?<=[._/:])/).forEach((part, i) => node.append(...(i ? [make("wbr"), part] : [part])));
  return node;
}

// Fields on a photograph of the chapter's own.
class PhotoOverlay {
  constructor(body, panel, page) {
    Object.assign(this, { panel, page });
    this.picture = new Picture(this.ground(), page);
    this.spot = page.selections.get(panel.sets || panel.highlights) || null;
    body.append(this.picture.node);
  }

  // The photograph again, or an empty sheet of the field's shape where the page has none.
  ground() {
    const node = make("div", "picture");
    if (this.page.photo) node.append(this.page.photo.cloneNode());
    else {
      const { rows, columns } = this.page.field(this.panel.frames[0][0]);
      node.classList.add("blank");
      node.style.aspectRatio = `${columns} / ${rows}`;
    }
    return node;
  }

  show(frame) {
    this.picture.show(this.panel.frames[frame].map((name) => this.page.field(name)));
  }

  follow() {
    this.picture.outline(this.spot?.grid ? this.spot : null);
  }
}

// A line in the chapter that calls its view onto the page's one large photograph.
class StageView {
  constructor(body, panel, page) {
    const button = make("button", "call", "Show on the photograph");
    button.type = "button";
    button.dataset.view = body.parentElement.dataset.panel;
    body.append(button);
    body.parentElement.classList.add("stage-view");
  }

  show() {}
}

const PANEL_KINDS = {
  bars: (...given) => new Bars(...given),
  overlay: (body, panel, page) => new (panel.stage && page.photo ? StageView : PhotoOverlay)(body, panel, page),
};
