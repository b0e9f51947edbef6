// Marks with bars that share a zero line and one scale, as rows or as tiles.

const MAP_WIDTH = 192;
// Longer panels are cut into lists, and a list is filled only when it comes near the window.
const MOST_IN_ONE = 120;
const IN_A_LIST = 48;
const MOST_TICKED = 3;
// How far a bound must lie from zero to be printed, in hundredths of a column's width.
const TICKS_OF_ONE = 22;
const TICKS_OF_MANY = 38;
const LEAST_PRESENCE = 0.2;
// A range that is less of its track, in hundredths, is no line.
const LEAST_WIDTH = 1;
// Values come rounded: by so much of the scale one may lie beyond its end.
const ROUNDED = 1e-3;
// Characters of a name that may not fit the width of its tile.
const LONG_NAME = 12;
const NEAR = "600px 0px";
// Crops of photographs side by side in a row; further ones stand below them.
const MOST_ACROSS = 4;

// What a mark needs of its panel: where zero lies, and how a value becomes a length.
class Scale {
  constructor({ domain: [low, high], signed }) {
    this.low = Math.min(low, 0);
    this.high = Math.max(high, 0);
    this.signed = signed;
    this.span = this.high - this.low || 1;
  }

  at(value) {
    return (100 * (Math.min(this.high, Math.max(this.low, value)) - this.low)) / this.span;
  }
}

class Bars {
  constructor(body, panel, page) {
    Object.assign(this, { body, panel, page, scale: new Scale(panel), numbers: [], lists: [], keys: {} });
    const drawn = [...new Set(panel.frames.flat())].map((number) => page.atomAt(number));
    const longest = Math.max(1, ...panel.frames.map((frame) => frame.length));
    this.hasIcons = drawn.some(([, , sprite]) => sprite !== null);
    this.hasMaps = panel.maps && page.photo !== null && drawn.some(([, , , field]) => field !== null);
    const beside = drawn.flatMap(([, , , , , , , gallery]) => (gallery ? [page.data.galleries[gallery].shown] : []));
    this.hasCrops = beside.length > 0;
    this.long = longest > MOST_IN_ONE;
    this.share = this.long ? IN_A_LIST : longest;
    this.ticked = panel.ticked ?? null;
    this.spanned = panel.spanned ?? "";
    this.inColumn = this.ticked !== null || this.spanned !== "";
    this.toggle = page.toggleSetBy(panel);
    this.place = make("div", "lists");
    body.classList.add(panel.arrangement, ...this.traits(drawn));
    body.style.setProperty("--columns", panel.columns.length);
    body.style.setProperty("--share", this.share);
    body.style.setProperty("--across", Math.min(MOST_ACROSS, Math.max(1, ...beside)));
    const rows = panel.arrangement === "rows";
    body.append(...(rows ? [...this.legend(), this.axis(), this.place] : [this.place, this.note()]));
    this.answers = panel.switched ? new Answers(this) : null;
    if (this.long) this.watch = new IntersectionObserver((seen) => this.notice(seen), { rootMargin: NEAR });
  }

  traits(drawn) {
    const ticked = this.inColumn;
    const switches = this.toggle !== null;
    const has = { "with-icons": this.hasIcons, "with-maps": this.hasMaps, "with-crops": this.hasCrops, "with-switches": switches, long: this.long, ticked, single: this.isSingle(), steady: this.isSteady(drawn) };
    return Object.keys(has).filter((trait) => has[trait]);
  }

  // Names of one or two lines that change places need room for two.
  isSteady(drawn) {
    return this.panel.follows.length > 0 && drawn.some(([, label]) => label.length > LONG_NAME);
  }

  // One bar a name: both fit a line of a narrow panel.
  isSingle() {
    const pictured = this.hasIcons || this.hasMaps || this.hasCrops;
    return this.panel.columns.length === 1 && !pictured && this.toggle === null;
  }

  get marks() {
    return this.lists.flatMap((list) => [...list.children]);
  }

  show(frame) {
    this.numbers = this.panel.frames[frame];
    this.answers?.turn(frame);
    const count = Math.ceil(this.numbers.length / this.share);
    while (this.lists.length > count) this.lists.pop().remove();
    while (this.lists.length < count) this.addList();
    for (const list of this.lists) if (list.near) this.fillList(list);
  }

  // What is switched off moves switches and answers.
  follow() {
    this.answers?.apply();
    for (const node of this.body.querySelectorAll(".switch")) {
      showSwitch(this.page, node);
      node.closest(".mark")?.classList.toggle("off", node.getAttribute("aria-checked") === "false");
    }
  }

  addList() {
    const list = make("ul", "marks");
    Object.assign(list, { first: this.share * this.lists.length, near: !this.long });
    this.lists.push(list);
    this.place.append(list);
    this.watch?.observe(list);
  }

  notice(seen) {
    for (const { target, isIntersecting } of seen) {
      target.near = isIntersecting;
      if (isIntersecting) this.fillList(target);
    }
  }

  fillAll() {
    this.lists.forEach((list) => this.fillList(list));
  }

  fillList(list) {
    const numbers = this.numbers.slice(list.first, list.first + this.share);
    while (list.children.length > numbers.length) list.lastChild.remove();
    while (list.children.length < numbers.length) list.append(make("li", "mark"));
    numbers.forEach((number, i) => this.fill(list.children[i], number));
    this.lightList(list);
  }

  // The node stays, so that focus and pointer stay on it, and is filled anew; of an atom that it
  // has drawn already, only the bars.
  fill(node, number) {
    if (node.number === number) return;
    const [atom, values, , ticks = [], spans = []] = this.page.data.marks[number];
    const [, label, sprite, field, hue, role, lent, gallery] = this.page.data.atoms[atom];
    identify(node, number, this.page);
    if (node.drawn === atom) {
      const { children } = node.lastChild;
      values.forEach((value, i) => children[i].lastChild.replaceWith(this.track(value, ticks[i], spans[i])));
      return;
    }
    node.drawn = atom;
    const lead = make("div", "lead");
    if (this.toggle) lead.append(this.switchOf(node.dataset.key, label));
    // Of tiles, what is no atom is a line of its own below them: no icon is missing there.
    const pictured = this.panel.arrangement !== "tiles" || role === "atom";
    if (this.hasIcons && pictured) lead.append(this.icon(sprite, lent, label));
    if (this.hasCrops && pictured) lead.append(gallery ? cropsNode(this.page, gallery) : make("span", "no-crops"));
    if (this.hasMaps) lead.append(field === null ? make("span", "no-map") : this.map(field));
    lead.append(nameNode(this.page, label, hue));
    node.replaceChildren(lead, this.bars(values, role, ticks, spans));
  }

  // Where none was drawn, the nearest that was, which says so.
  icon(sprite, lent, label) {
    if (sprite !== null) return iconNode(this.page, sprite, label);
    if (!lent) return make("span", "no-icon");
    const icon = iconNode(this.page, lent[0], label);
    icon.classList.add("lent");
    icon.title = lent[1];
    icon.append(make("span", "", "nearest drawn"));
    return icon;
  }

  switchOf(key, label) {
    const { name } = this.toggle;
    const there = this.page.switchable.get(name)?.has(key);
    return there ? switchNode(this.page, name, key, label) : make("span", "no-switch");
  }

  // Marks of this key are lit and the others step back; a panel without one stays as it is.
  light(keys) {
    this.keys = keys;
    const known = keys.lit !== null && this.numbers.some((number) => this.page.atomAt(number)[0] === keys.lit);
    this.place.classList.toggle("has-lit", known);
    for (const list of this.lists) if (list.near) this.lightList(list);
  }

  lightList(list) {
    for (const mark of list.children) lightMark(mark, this.keys);
  }

  // Groups that are silent at the place pointed at step back.
  fade(place) {
    if (!this.hasMaps || this.long) return;
    for (const mark of this.marks) {
      const [, , , field, hue] = this.page.data.atoms[mark.atom];
      const told = place && field !== null && hue !== null;
      const presence = told ? LEAST_PRESENCE + (1 - LEAST_PRESENCE) * weightAt(this.page.field(field), place) : 1;
      mark.style.setProperty("--presence", told ? presence : "");
      mark.classList.toggle("faint", presence < 0.5);
    }
  }

  rephotograph() {
    if (this.hasMaps) for (const mark of this.marks) Object.assign(mark, { number: null, drawn: null });
  }

  map(field) {
    const canvas = drawMap(this.page.photographs.ground(MAP_WIDTH), this.page.field(field), this.page.data.palette);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${this.page.field(field).label} on the photograph`);
    return canvas;
  }

  bars(values, role, ticks, spans) {
    const bars = make("div", `bars ${role === "remainder" ? "patterned" : ""}`);
    values.forEach((value, i) => {
      const cell = make("div", "bar");
      cell.append(make("span", "column", this.panel.columns[i]), this.track(value, ticks[i], spans[i]));
      bars.append(cell);
    });
    return bars;
  }

  track(value, tick = null, span = null) {
    const track = make("div", "track");
    const shown = this.answers ? this.answers.text(value) : formatNumber(value, this.scale.signed);
    const text = make("span", "value", shown);
    // Beside ticks and lines, numbers stand in a column: at the end of a bar one would lie below a
    // tick, or beside it as if it were the tick's.
    text.style.left = `${this.inColumn ? 100 : this.scale.at(Math.max(value ?? 0, 0))}%`;
    if (value !== null) track.append(this.fillOf(value));
    track.append(this.zero(), text);
    if (span !== null) track.append(this.whisker(span));
    if (tick !== null) track.append(this.second(tick));
    return track;
  }

  // The second number: a line across the track, told aloud behind the value.
  second(tick) {
    const line = make("span", "second");
    line.style.left = `${this.scale.at(tick)}%`;
    line.append(make("span", "unseen", `tick ${formatNumber(tick, this.scale.signed)}`));
    return line;
  }

  // What the value is by other methods: a thin line along the bar, told aloud behind it.
  whisker([low, high]) {
    const line = make("span", "whisker");
    line.style.left = `${this.scale.at(low)}%`;
    const width = this.scale.at(high) - this.scale.at(low);
    line.style.width = `${width}%`;
    // Where all methods say the same, ends would look like a tick.
    line.classList.toggle("none", width < LEAST_WIDTH);
    const [least, most] = [low, high].map((end) => formatNumber(end, this.scale.signed));
    line.append(make("span", "unseen", `from ${least} to ${most}`));
    return line;
  }

  fillOf(value) {
    const fill = make("span", `fill ${!this.scale.signed ? "plain" : value < 0 ? "opposes" : "supports"}`);
    const [from, to] = [this.scale.at(Math.min(value, 0)), this.scale.at(Math.max(value, 0))];
    fill.style.left = `${from}%`;
    fill.style.width = `${to - from}%`;
    const slack = ROUNDED * this.scale.span;
    fill.classList.toggle("clipped", value < this.scale.low - slack || value > this.scale.high + slack);
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
    const lead = make("div", "lead");
    const unit = this.panel.columns.includes(this.panel.unit) ? "" : this.panel.unit;
    const crowded = this.panel.columns.length > (this.hasCrops ? 1 : MOST_TICKED);
    const roomy = this.apart(this.scale.low) && !crowded;
    lead.append(make("span", "brief", roomy ? unit : this.range()), make("span", "full", this.range()));
    axis.append(lead, columns);
    axis.classList.toggle("crowded", crowded);
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
    const least = this.panel.columns.length > 1 ? TICKS_OF_MANY : TICKS_OF_ONE;
    return value === 0 || Math.abs(this.scale.at(value) - this.scale.at(0)) > least;
  }

  note() {
    if (!this.ticked && !this.spanned) return make("p", "scale-note", this.range());
    const note = make("div", "scale-note with-legend");
    note.append(make("p", "", this.range()), ...this.legend());
    return note;
  }

  // What ticks and thin lines are, in words, each behind a sample; nothing where there are no words.
  legend() {
    const told = [[this.ticked, "ticked", "second"], [this.spanned, "spanned", "whisker"]];
    return told.filter(([words]) => words).map(([words, what, drawn]) => {
      const [legend, sample] = [make("p", `tick-legend ${this.isToldAbove(what) ? "again" : ""}`), make("span", "track sample")];
      sample.append(make("span", `fill ${this.scale.signed ? "supports" : "plain"}`), make("span", drawn));
      legend.append(sample, make("span", "words", words));
      return legend;
    });
  }

  // Whether a panel above in this chapter has said the same.
  isToldAbove(what) {
    const chapter = this.body.closest(".chapter");
    const sections = [...(chapter?.querySelectorAll("[data-panel]") ?? [])];
    const above = sections.slice(0, sections.indexOf(this.body.closest("[data-panel]")));
    return above.some(({ dataset }) => this.page.data.panels[Number(dataset.panel)][what] === this[what]);
  }

  range() {
    const { low, high, signed } = this.scale;
    // Tiles have no heads over their columns.
    const { columns, arrangement } = this.panel;
    if (arrangement === "tiles" && columns.length > 1) {
      const order = columns.map((title) => `“${title}”`).join(", then ");
      return `bars, from above: ${order}; from ${formatNumber(low, signed)} to ${formatNumber(high, signed)} ${this.panel.unit}`.trim();
    }
    return `bars from ${formatNumber(low, signed)} to ${formatNumber(high, signed)} ${this.panel.unit}`.trim();
  }
}
