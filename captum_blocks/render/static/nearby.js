// Which panels are in the window or close to it. What the reader only points at is shown there at
// once; elsewhere when the reader comes there, or points at nothing new for a while, a panel at a time.

const CLOSE = "160px 0px";
const RESTED = 400;
const ONE_BY_ONE = 30;

class Nearby {
  constructor(page) {
    Object.assign(this, { page, far: new Set(), late: new Set() });
    const entries = new Map(page.panels.map((entry) => [entry.section, entry]));
    const watch = new IntersectionObserver(
      (seen) => seen.forEach(({ target, isIntersecting }) => this.notice(entries.get(target), isIntersecting)),
      { rootMargin: CLOSE },
    );
    for (const section of entries.keys()) watch.observe(section);
    page.closing.addEventListener("abort", () => {
      watch.disconnect();
      this.forget();
    });
  }

  notice(entry, isClose) {
    if (!isClose) this.far.add(entry);
    else if (this.far.delete(entry)) this.catchUp(entry);
  }

  // Those that show what is pointed at now; the others are late from here on.
  seen() {
    clearTimeout(this.waiting);
    for (const entry of this.far) this.late.add(entry);
    this.waiting = setTimeout(() => this.goOn(), RESTED);
    return this.page.panels.filter((entry) => !this.far.has(entry));
  }

  goOn() {
    const [entry] = this.late;
    if (!entry) return;
    this.catchUp(entry);
    this.waiting = setTimeout(() => this.goOn(), ONE_BY_ONE);
  }

  catchUp(entry) {
    if (this.late.delete(entry)) this.page.show([entry]);
  }

  catchUpAll() {
    for (const entry of this.late) this.catchUp(entry);
  }

  // All of them are shown anew.
  forget() {
    clearTimeout(this.waiting);
    this.late.clear();
  }
}
