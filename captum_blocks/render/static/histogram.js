// How many numbers lie in each bin: bars over the printed edges, a row of them for each column; a line
// marks the number of the photograph that is looked at.

// Edges nearer to each other, in hundredths of the width, are not both printed.
const TICKS_APART = 16;
const MARKED = "this photograph";

class Histogram {
  constructor(body, panel, page) {
    Object.assign(this, { panel, page, bin: null });
    const { edges } = panel;
    this.span = edges[edges.length - 1] - edges[0] || 1;
    this.most = Math.max(1, ...panel.frames.flat(2));
    this.place = make("div", "histogram");
    this.rows = panel.columns.map((title) => this.row(title));
    this.here = hereLine(page);
    this.place.append(this.axis());
    body.append(this.place, make("p", "scale-note", this.scale()), this.here);
    this.listen();
  }

  row(title) {
    const list = make("ul", "bins");
    if (title) this.place.append(make("p", "title", title));
    this.place.append(list);
    const { edges } = this.panel;
    list.append(...edges.slice(1).map((edge, i) => this.bar(edges[i], edge)));
    if (this.panel.marked) list.append(make("li", "marked"));
    return list;
  }

  binsOf(list) {
    return [...list.children].filter((item) => item.matches(".bin"));
  }

  bar(low, high) {
    const [bin, fill] = [make("li", "bin"), make("span", "fill plain")];
    bin.tabIndex = -1;
    bin.style.left = `${this.at(low)}%`;
    bin.style.width = `${this.at(high) - this.at(low)}%`;
    bin.append(fill, make("span", "unseen"));
    return bin;
  }

  at(value) {
    return (100 * (value - this.panel.edges[0])) / this.span;
  }

  // The outer edges, zero where it lies well within, and as many between as can be read.
  axis() {
    const axis = make("div", "ticks");
    const { edges } = this.panel;
    const shown = [edges[0], edges[edges.length - 1]];
    for (const edge of [0, ...edges]) {
      const inside = this.at(edge) > 0 && this.at(edge) < 100;
      if (inside && shown.every((other) => Math.abs(this.at(other) - this.at(edge)) > TICKS_APART)) shown.push(edge);
    }
    for (const value of shown) {
      const place = this.at(value);
      const tick = make("span", `tick ${place === 0 ? "first" : place === 100 ? "last" : ""}`, formatNumber(value));
      tick.style.left = `${place}%`;
      axis.append(tick);
    }
    return axis;
  }

  scale() {
    return `${this.panel.unit ? `along: ${this.panel.unit}; ` : ""}the full height is ${this.count(this.most)}`;
  }

  count(number) {
    return `${number} ${this.panel.counted}`.trim();
  }

  show(frame) {
    this.rows.forEach((list, column) => {
      const counts = this.panel.frames[frame][column];
      this.binsOf(list).forEach((bin, i) => this.fill(bin, counts[i], i, column));
      if (this.panel.marked) this.mark(list.lastElementChild, this.panel.marked[frame][column]);
    });
    this.tellHere();
  }

  // The number stands on the side of its line where there is more room.
  mark(item, value) {
    item.hidden = value === null;
    item.style.left = `${value === null ? 0 : this.at(value)}%`;
    item.classList.toggle("leftward", value !== null && this.at(value) > 50);
    item.textContent = `${MARKED}: ${formatNumber(value)}`;
  }

  fill(bin, count, index, column) {
    const [fill, unseen] = bin.children;
    const { edges, unit, columns } = this.panel;
    fill.style.height = `${(100 * count) / this.most}%`;
    fill.hidden = count === 0;
    const where = `${formatNumber(edges[index])} to ${formatNumber(edges[index + 1])} ${unit}`.trim();
    bin.detail = `${columns[column] && `${columns[column]}, `}${where}: ${this.count(count)}`;
    unseen.textContent = bin.detail;
  }

  listen() {
    const binOf = (event) => event.target.closest(".bin");
    this.place.addEventListener("pointerover", (event) => this.pointAt(binOf(event)));
    this.place.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && this.pointAt(null));
    this.place.addEventListener("focusin", (event) => this.pointAt(binOf(event)));
    this.place.addEventListener("focusout", () => this.pointAt(null));
  }

  pointAt(bin) {
    this.bin = bin;
    this.page.hear(bin && this);
    this.follow();
    this.tellHere();
  }

  tellHere() {
    write(this.here, this.tell());
  }

  follow() {
    for (const list of this.rows) {
      for (const bin of this.binsOf(list)) bin.classList.toggle("pointed", bin === this.bin);
    }
  }

  // What the readout says while a bar is pointed at.
  tell() {
    return this.bin ? this.bin.detail : "";
  }
}
