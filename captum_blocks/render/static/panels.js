// The kinds of panels. Each fills its section once and then shows one frame after another.

// Fields on a photograph of the chapter's own.
class PhotoOverlay {
  constructor(body, panel, page) {
    Object.assign(this, { panel, page });
    this.picture = new Picture(this.ground(), page);
    this.spot = page.selections.get(panel.sets || panel.highlights) || null;
    this.legend = new Legend(make("div", "legend"), page);
    body.append(this.picture.node, this.legend.node);
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
    const fields = this.panel.frames[frame].map((name) => this.page.field(name));
    this.picture.show(fields);
    this.legend.show(fields);
  }

  follow() {
    this.picture.outline(this.spot?.grid ? this.spot : null);
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
  cells: (...given) => new Mosaic(...given),
  sankey: (...given) => new Flows(...given),
  overlay: (body, panel, page) => new (panel.stage && page.photo ? StageView : PhotoOverlay)(body, panel, page),
};
