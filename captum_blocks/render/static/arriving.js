// Icons that are drawn while the page is read: each takes the blank place that waits for it.

class Arriving {
  // tell: hands a message to what draws.
  constructor(page, tell) {
    Object.assign(this, { page, tell, note: page.root.querySelector(".undrawn"), asked: new Set() });
    this.count();
    if (this.left) this.announce(`${this.left} pictures are being drawn`);
    // What the reader points at is drawn first.
    page.wants = (sprite) => this.want(sprite);
  }

  want(sprite) {
    if (this.asked.has(sprite) || !this.page.isBlank(sprite)) return;
    this.asked.add(sprite);
    this.tell({ wanted: sprite });
  }

  async take({ name, words, width, height }, bytes) {
    if (!this.page.isBlank(name)) return;
    const image = new Image();
    image.src = URL.createObjectURL(new Blob([bytes], { type: "image/webp" }));
    // Decoded before it is shown: no cell is empty for a moment.
    await image.decode();
    const { sheets, sprites } = this.page.data;
    sheets.push({ image, url: image.src, width, height, columns: 1, rows: 1, gutter: 0 });
    sprites[name] = [sheets.length - 1, 0, ...words];
    this.asked.clear();
    this.page.redress(name);
    this.count();
  }

  count() {
    const every = Object.keys(this.page.data.sprites);
    this.left = every.filter((name) => this.page.isBlank(name)).length;
    if (!this.note) return;
    // It keeps its room: nothing moves.
    this.note.classList.toggle("done", this.left === 0);
    write(this.note, `${every.length - this.left} of ${every.length} pictures are drawn`);
  }

  // signs: what icons are worth, judged when all of them were there.
  end(words, signs = {}) {
    this.page.sign(signs);
    if (this.note && this.left && words) write(this.note, `${this.note.textContent}: ${words}`);
    this.announce(this.left ? this.note?.textContent ?? words : "All pictures are drawn");
  }

  announce(words) {
    write(this.page.root.querySelector(".announcer"), words);
  }
}
