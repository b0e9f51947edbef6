// What the reader does, turned into changes of the page's state.

const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const STEPS = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };
// A chapter is being read when it reaches into this strip of the window.
const READING_STRIP = "-38% 0px -60% 0px";

// What the reader writes in, and the button that lets it.
const WRITTEN = ".rename, .renamed, .rival";

class Gestures {
  constructor(page) {
    Object.assign(this, { page, root: page.root, touch: false, previewed: null, previewedPlace: null });
    Object.assign(this, { over: null, turned: false, spot: [] });
  }

  listen() {
    const { root } = this;
    root.addEventListener("pointerdown", (event) => this.noteTouch(event), true);
    root.addEventListener("pointerover", (event) => this.enter(event));
    root.addEventListener("pointerout", (event) => this.leave(event));
    root.addEventListener("focusin", (event) => this.focus(event));
    root.addEventListener("pointermove", (event) => this.turned && this.move(event));
    root.addEventListener("focusout", (event) => this.blur(event));
    root.addEventListener("click", (event) => this.click(event));
    root.addEventListener("keydown", (event) => this.key(event));
    const { closing: signal } = this.page;
    document.addEventListener("keydown", (event) => event.key === "Escape" && this.letGo(), { signal });
    if (this.page.spatial.length) root.querySelectorAll(".picture").forEach((node) => this.sensePlaces(node));
    addEventListener("beforeprint", () => this.page.prepareForPaper(), { signal });
    addEventListener("afterprint", () => this.page.leavePaper(), { signal });
    this.followReading();
  }

  // The photograph shows the view of the chapter that is read, until the reader chooses another.
  followReading() {
    const watch = new IntersectionObserver((entries) => entries.forEach((entry) => this.read(entry)), {
      rootMargin: READING_STRIP,
    });
    this.reading = undefined;
    for (const chapter of this.root.querySelectorAll(".chapter")) watch.observe(chapter);
  }

  read({ isIntersecting, target }) {
    if (!isIntersecting || target === this.reading) return;
    this.noteChapter(target);
    const first = this.reading === undefined;
    this.reading = target;
    // A finger leaves its preview behind; the next chapter is about something else.
    if (this.touch && !first) this.page.pointAtNothing();
    const own = target.querySelector(".call[data-view]");
    if (!first && own && own.dataset.view !== this.page.view) this.page.showView(own.dataset.view, false);
  }

  // The table of contents says which chapter is read.
  noteChapter(chapter) {
    const own = chapter.querySelector("h2")?.id;
    for (const link of this.root.querySelectorAll(".contents a")) {
      if (link.dataset.chapter === own) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }

  // The address holds what is pinned: a link to a chapter only scrolls.
  goTo(link, event) {
    event.preventDefault();
    const heading = this.root.querySelector(`[id="${link.dataset.chapter}"]`);
    heading.closest(".chapter").scrollIntoView({ block: "start" });
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
  }

  // A finger has no hover: its first tap previews, and only a tap on what is previewed pins.
  noteTouch(event) {
    this.touch = event.pointerType === "touch";
    this.previewed = this.page.atom.over;
    this.previewedPlace = this.page.place.over;
  }

  enter(event) {
    if (event.pointerType === "touch" || this.isStill(event)) return;
    const mark = event.target.closest?.(".mark") ?? null;
    if (mark && (mark !== this.over || this.page.atom.over === null)) this.pointAt(mark, event);
    else if (!mark && this.over && !this.over.isConnected) this.pointAt(null, event);
  }

  leave(event) {
    const mark = event.target.closest?.(".mark");
    if (!mark || event.pointerType === "touch" || mark.contains(event.relatedTarget)) return;
    if (!this.isStill(event) && !this.isMark(event.relatedTarget)) this.pointAt(null, event);
  }

  pointAt(mark, { screenX, screenY }) {
    Object.assign(this, { over: mark, turned: false, spot: [screenX, screenY] });
    if (mark) this.page.pointAtMark(mark);
    else this.page.pointAtNothing();
  }

  // A panel has changed below the pointer. What the browser says of that is no move of the reader.
  noteTurn() {
    this.turned = this.over !== null;
  }

  isStill({ screenX, screenY }) {
    return this.turned && screenX === this.spot[0] && screenY === this.spot[1];
  }

  move(event) {
    if (this.isStill(event)) return;
    this.turned = false;
    const mark = event.target.closest?.(".mark") ?? null;
    if (mark !== this.over) this.pointAt(mark, event);
  }

  focus(event) {
    const mark = event.target.closest?.(".mark");
    if (mark && !this.touch && !this.page.moving) this.page.pointAtMark(mark);
  }

  blur(event) {
    if (!event.target.matches(".mark") || this.page.moving || this.isMark(event.relatedTarget)) return;
    this.page.pointAtNothing();
  }

  // From one mark to the next there is no moment of none, in which marks would change places.
  isMark(node) {
    return Boolean(node && this.root.contains(node) && node.closest(".mark"));
  }

  // A picture of a part of the photograph says which; one of cells also says whose, and tells them.
  sensePlaces(node) {
    const placeOf = (event) => {
      const [top, left, bottom, right] = node.extent ?? WHOLE;
      const box = node.getBoundingClientRect();
      const [down, along] = [(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width];
      return [top + down * (bottom - top), left + along * (right - left)];
    };
    const mouse = (event) => event.pointerType !== "touch";
    node.classList.add("senses");
    node.addEventListener("pointermove", (event) => mouse(event) && this.page.pointAtPlace(placeOf(event), node.teller));
    node.addEventListener("pointerleave", (event) => mouse(event) && this.page.pointAtPlace(null));
    node.addEventListener("click", (event) => this.clickPlace(placeOf(event), node));
  }

  click(event) {
    this.page.nearby.catchUpAll(); // a panel may be copied from afar
    const viewed = event.target.closest("[data-view]");
    const mark = event.target.closest(".mark");
    const copy = event.target.closest(".copy");
    const turned = event.target.closest(".switch");
    const linked = event.target.closest(".contents a");
    if (linked) return void this.goTo(linked, event);
    if (event.target.closest(WRITTEN)) return;
    if (turned) this.page.turnSwitch(turned.dataset.selection, turned.dataset.atomKey);
    else if (copy?.matches(".of-numbers")) copyNumbers(this.page, copy.closest("[data-panel]"), copy);
    else if (copy) copyPanel(this.page, this.page.copied(copy.closest("[data-panel]")), copy);
    else if (viewed) this.page.showView(viewed.dataset.view, true);
    else if (event.target.closest(".smoother")) this.page.stage.smooth();
    else if (mark) this.clickMark(mark, event.target.closest(".icon, .crop"));
    else if (this.touch && !event.target.closest(".picture, .band")) this.forgetPreview();
  }

  clickMark(mark, picture) {
    if (this.touch && this.previewed !== mark.atom) this.page.pointAtMark(mark);
    else if (picture) enlarge(this.page, mark, picture.crop);
    else this.page.pinMark(mark);
  }

  clickPlace(place, { spot = this.page.spot(), teller }) {
    const same = (other) => other && cellAt(spot, other) === cellAt(spot, place);
    if (this.touch && !same(this.previewedPlace)) this.page.pointAtPlace(place, teller);
    else this.page.pinPlace(same(this.page.place.pinned) ? null : place);
  }

  forgetPreview() {
    this.page.place.over = null;
    this.page.teller = null;
    this.page.pointAtNothing();
  }

  letGo() {
    if (this.root.querySelector("dialog[open]")) return;
    this.root.querySelector(":is(.mark, .bin):focus")?.closest("[data-panel]").focus({ preventScroll: true });
    this.page.letGo();
  }

  key(event) {
    if (event.target.closest(`.switch, ${WRITTEN}`)) return; // these have keys of their own
    const mark = event.target.closest(".mark");
    const panel = event.target.closest("[data-panel]");
    let done = false;
    const picture = event.target.closest("[data-stage], .mosaic");
    const bin = event.target.closest(".bin");
    if (picture) done = this.keyOnPicture(event.key, picture);
    else if (mark) done = this.keyOnMark(event.key, mark);
    else if (bin) done = STEPS[event.key] && this.step(panel, bin, STEPS[event.key]);
    else if (panel === event.target && event.key === "ArrowDown") done = this.step(panel, null, 0);
    if (done) event.preventDefault();
  }

  keyOnPicture(key, picture) {
    if (!this.page.spatial.length) return false;
    const { spot = this.page.spot(), teller = null } = picture;
    this.page.teller = teller;
    if (ARROWS[key]) this.page.moveCell(ARROWS[key], spot);
    else if (key === "Enter" && this.page.state(spot) !== null) this.clickPlace(middleOf(spot, this.page.state(spot)), picture);
    else if (key === " " && teller) teller.enlarge();
    else return false;
    return true;
  }

  keyOnMark(key, mark) {
    if (STEPS[key]) return this.stepFrom(mark, key);
    if (key === "Enter") this.page.pinMark(mark);
    else if (key === " " && mark.querySelector(".icon, .crop")) enlarge(this.page, mark);
    else return false;
    return true;
  }

  // A panel of rows and columns knows the neighbour; elsewhere it is the next in reading order.
  stepFrom(mark, key) {
    const section = mark.closest("[data-panel]");
    const neighbour = this.page.viewOf(section).next?.(mark, key);
    neighbour?.focus();
    return neighbour ? true : this.step(section, mark, STEPS[key]);
  }

  step(section, mark, by) {
    const marks = [...section.querySelectorAll(".mark, .bin")];
    const next = marks[mark ? marks.indexOf(mark) + by : 0];
    next?.focus();
    return Boolean(next);
  }
}
