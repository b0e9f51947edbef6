// The photographs of a page: one of them is shown, and a row of thumbnails says which.

// Width over height: a room for tall photographs would be empty below wide ones.
const LOWEST_SHAPE = 1.15;

class Photographs {
  constructor(page, images) {
    Object.assign(this, { page, images, index: 0, grounds: new Map(), buttons: [] });
    this.described = page.data.photos;
    this.row = page.root.querySelector(".photographs");
    if (this.row) this.fillRow();
  }

  get image() {
    return this.images[this.index] ?? null;
  }

  get name() {
    return this.described[this.index].name;
  }

  get seen() {
    return this.described[this.index]?.seen ?? WHOLE;
  }

  // The shown photograph drained of colour.
  ground(width) {
    const key = `${this.index} ${width}`;
    if (!this.grounds.has(key)) this.grounds.set(key, greyThumbnail(this.image, width));
    return this.grounds.get(key);
  }

  // The grids of a page are given on the first photograph. On another one they lie on the same part
  // of what the network saw of it.
  extentOn(extent) {
    if (this.index === 0) return extent;
    const { seen } = this.described[0];
    return [...this.moved(extent.slice(0, 2), seen), ...this.moved(extent.slice(2), seen)];
  }

  // A place of a photograph of which this part was seen, on the shown one.
  moved([y, x], [top, left, bottom, right]) {
    const [high, wide] = [this.seen[2] - this.seen[0], this.seen[3] - this.seen[1]];
    return [
      this.seen[0] + (high * (y - top)) / (bottom - top),
      this.seen[1] + (wide * (x - left)) / (right - left),
    ];
  }

  fillRow() {
    const { pictured } = this.page;
    this.buttons = this.described.map(({ name }, index) => {
      const button = make("button", "thumbnail");
      Object.assign(button, { type: "button", title: name });
      button.setAttribute("role", "radio");
      button.setAttribute("aria-label", name);
      const image = this.images[index].cloneNode();
      Object.assign(image, { alt: "", draggable: false });
      button.append(image);
      button.addEventListener("click", () => this.page.choose(pictured.name, index));
      return button;
    });
    this.row.setAttribute("aria-label", pictured.title || "Photograph");
    this.row.append(...this.buttons);
    this.row.addEventListener("keydown", (event) => this.key(event));
    // As high as the highest photograph, within bounds, so that nothing below moves.
    const shapes = this.images.map(({ naturalWidth, naturalHeight }) => naturalWidth / naturalHeight);
    const holder = this.row.parentElement.querySelector(".holder");
    holder.classList.add("several");
    holder.style.aspectRatio = Math.max(LOWEST_SHAPE, Math.min(...shapes));
  }

  // As in every group of radio buttons: arrows move on and choose, and go around.
  key(event) {
    const count = this.buttons.length;
    const places = { Home: 0, End: count - 1 };
    const place = STEPS[event.key] ? (this.index + STEPS[event.key] + count) % count : places[event.key];
    if (place === undefined) return;
    event.preventDefault();
    this.page.choose(this.page.pictured.name, place);
    this.buttons[place].focus();
  }

  show(index) {
    this.index = index;
    this.buttons.forEach((button, i) => {
      button.setAttribute("aria-checked", String(i === index));
      button.tabIndex = i === index ? 0 : -1;
    });
  }
}
