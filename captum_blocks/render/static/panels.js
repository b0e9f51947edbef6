// The kinds of panels. Each fills its section once and then shows one frame after another.

// Fields on a photograph of the chapter's own.
class PhotoOverlay {
  constructor(body, panel, page) {
    Object.assign(this, { panel, page });
    this.bare = panel.bare || !page.photo;
    this.picture = new Picture(this.bare ? this.sheet() : this.ground(), page);
    this.spot = page.placed(panel.sets.concat(panel.highlights));
    this.legend = new Legend(make("div", "legend"), page, this.bare);
    body.append(this.picture.node, this.legend.node);
  }

  ground() {
    const node = make("div", "picture");
    const photo = node.appendChild(this.page.photo.cloneNode());
    Object.assign(photo, { alt: this.page.photographs.name, draggable: false });
    return node;
  }

  // An empty sheet of the grid's shape, which stands for the part of the photograph below the grid.
  sheet() {
    const node = make("div", "picture blank");
    const { rows, columns } = this.page.field(this.panel.frames.flat()[0]);
    node.style.aspectRatio = `${columns} / ${rows}`;
    node.setAttribute("role", "img");
    node.setAttribute("aria-label", this.panel.title);
    return node;
  }

  rephotograph() {
    this.picture.rephotograph();
  }

  show(frame) {
    const fields = this.panel.frames[frame].map((name) => this.page.field(name));
    if (this.bare && fields.length) this.picture.node.extent = fields[0].extent;
    this.picture.show(fields);
    this.legend.show(fields);
    const [named] = this.legend.node.querySelectorAll(".field-label");
    if (named?.textContent === this.panel.title) named.remove();
  }

  follow() {
    this.picture.outline(this.spot);
  }
}

// A line in the chapter that calls its view onto the page's one large photograph. Paper has only
// the first view there, so the others are drawn where they are spoken of.
class StageView {
  constructor(body, panel, page) {
    Object.assign(this, { body, panel, page, number: body.parentElement.dataset.panel });
    const button = make("button", "call", "Show on the photograph");
    button.type = "button";
    button.dataset.view = this.number;
    body.append(button);
    body.parentElement.classList.add("stage-view");
  }

  show(frame) {
    this.frame = frame;
  }

  fillAll() {
    if (this.number === this.page.firstView()) return;
    this.overlay ??= new PhotoOverlay(this.body, this.panel, this.page);
    this.overlay.show(this.frame);
    this.overlay.follow();
  }
}

const PANEL_KINDS = {
  bars: (...given) => new Bars(...given),
  versus: (...given) => new Versus(...given),
  cells: (...given) => new Mosaic(...given),
  matrix: (...given) => new Matrix(...given),
  multiples: (...given) => new Multiples(...given),
  histogram: (...given) => new Histogram(...given),
  sankey: (...given) => new Flows(...given),
  overlay: (body, panel, page) => new (panel.stage && page.photo ? StageView : PhotoOverlay)(body, panel, page),
};
