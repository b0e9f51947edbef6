// The same page inside a notebook: data and memory are the widget's own state.

// A pointer that sweeps over the photograph tells Python where it came to rest.
const REST = 80;

class ModelMemory {
  constructor(model, signal) {
    Object.assign(this, { model, told: "" });
    signal.addEventListener("abort", () => clearTimeout(this.waiting));
  }

  read() {
    return this.model.get("pins");
  }

  write(pins, selection) {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.tell(pins, selection), REST);
  }

  tell(pins, selection) {
    const words = JSON.stringify([pins, selection]);
    if (words === this.told) return;
    this.told = words;
    this.model.set("pins", pins);
    this.model.set("selection", selection);
    this.model.save_changes();
  }

  // Only what Python pinned is news: what the page told comes back as an echo.
  listen(changed) {
    this.model.on("change:pins", () => {
      const [pins] = JSON.parse(this.told || "[{}]");
      if (JSON.stringify(this.read()) !== JSON.stringify(pins)) changed();
    });
  }
}

// How many places of the notebook show a widget: when the last is gone, nobody waits for icons.
const views = new WeakMap();

async function render({ model, el }) {
  const frame = make("div", "blocks-frame embedded");
  const style = make("style");
  style.textContent = model.get("_style");
  frame.innerHTML = model.get("_article");
  // Behind a shadow root neither the notebook's style nor the page's reaches the other.
  el.attachShadow({ mode: "open" }).append(style, frame);
  el.dataset.blocksWidget = model.get("token");
  // JupyterLab leaves the keys to what is marked so: its own would walk the cells.
  el.dataset.lmSuppressShortcuts = "true";
  const closing = new AbortController();
  const memory = new ModelMemory(model, closing.signal);
  // What came before there was a page to show it waits.
  const waiting = [];
  let take = (...message) => waiting.push(message);
  const hear = (told, buffers) => take(told, buffers);
  model.on("msg:custom", hear);
  const data = JSON.parse(model.get("_data"));
  const page = await mountBlocks(frame.querySelector(".blocks"), data, memory, closing.signal);
  const arriving = new Arriving(page, (message) => model.send(message));
  take = ({ arrived, ended, signs }, [bytes] = []) => (arrived ? arriving.take(arrived, bytes) : arriving.end(ended, signs));
  waiting.forEach((message) => take(...message));
  // What came before this view is told again.
  if (arriving.left) model.send({ here: true });
  views.set(model, (views.get(model) ?? 0) + 1);
  return () => {
    closing.abort();
    model.off("msg:custom", hear);
    views.set(model, views.get(model) - 1);
    if (!views.get(model) && arriving.left) model.send({ closed: true });
  };
}

export default { render };
