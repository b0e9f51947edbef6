// One answer rather than another: who of the two leads, what each group did for one and against the
// other, and what the network answers without a group. All numbers are in the page.

const LONGEST_NAME = 60;
// In log-odds: as large as what is said below the rows.
const LEAST_CHANGE = 0.25;

class Versus {
  constructor(body, panel, page) {
    Object.assign(this, { body, panel, page, names: panel.classes, contest: null });
    this.choices = panel.choices ?? panel.classes.map((_, i) => i);
    this.columns = new Map(this.choices.map((index, column) => [index, column]));
    this.contests = panel.contests.map((packed) => unpackContest(packed, panel));
    this.line = make("p", "contest");
    this.verdict = make("p", "verdict");
    this.verdict.setAttribute("aria-live", "polite");
    this.refused = make("p", "refused");
    this.refused.setAttribute("role", "alert");
    this.inputs = [0, 1].map((side) => this.chooser(side));
    this.shares = [0, 1].map(() => make("b", "share"));
    // Labels and values do not compete: one is there beside the other.
    const between = ["labels", "values"].includes(panel.head) ? " beside " : " rather than ";
    this.line.append(this.inputs[0], " ", this.shares[0], make("span", "rather", between));
    this.line.append(this.inputs[1], " ", this.shares[1]);
    body.closest("[data-panel]")?.classList.add("versus");
    body.addEventListener("click", (event) => this.write(event.target.closest(".rename")));
    const place = make("div", "panel-body");
    body.append(this.line, this.verdict, this.refused, this.options(), place);
    const rows = { ...panel, columns: [""], domain: [0, 1], signed: true, arrangement: "rows", maps: true };
    this.bars = new Bars(place, rows, page);
  }

  // Choosing

  // What was refused is over once the reader does something else.
  forgive() {
    write(this.refused, "");
  }

  chooser(side) {
    const input = make("input", "rival");
    Object.assign(input, { type: "text", autocomplete: "off", spellcheck: false });
    input.setAttribute("list", this.listName);
    input.setAttribute("aria-label", side ? "rather than which answer" : "which answer");
    input.addEventListener("focus", () => input.select());
    input.addEventListener("change", () => this.choose(side, input.value));
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      input.value = this.names[this.pair[side]];
      write(this.refused, "");
    });
    return input;
  }

  get listName() {
    this.list ??= `classes-${this.page.data.panels.indexOf(this.panel)}`;
    return this.list;
  }

  options() {
    const list = make("datalist");
    list.id = this.listName;
    list.append(...this.choices.map((index) => Object.assign(make("option"), { value: this.names[index] })));
    return list;
  }

  get pair() {
    return this.page.pairOf(this.panel);
  }

  choose(side, typed) {
    const pair = [...this.pair];
    const found = typed.trim() ? this.find(typed) : pair[side];
    if (found === pair[side]) write(this.refused, "");
    else if (found === null) write(this.refused, `There is no class “${shortened(typed)}”${this.near(typed)}.`);
    else if (found === pair[1 - side]) write(this.refused, `“${this.names[found]}” is the other answer already.`);
    else {
      write(this.refused, "");
      pair[side] = found;
      this.page.choosePair(this.panel, pair);
      return;
    }
    this.inputs[side].value = this.names[pair[side]];
  }

  find(typed) {
    const wanted = typed.trim().toLowerCase();
    const found = this.choices.find((index) => this.names[index].toLowerCase() === wanted);
    // Whoever knows the index of a class may write it.
    const numbered = /^\d+$/.test(wanted) && this.choices.includes(Number(wanted)) ? Number(wanted) : null;
    return found ?? numbered;
  }

  near(typed) {
    const wanted = typed.trim().toLowerCase().slice(0, 80);
    const scored = this.choices.map((index) => [likeness(wanted, this.names[index].toLowerCase()), this.names[index]]);
    const best = scored.filter(([score]) => score > 0.3).sort(([a], [b]) => b - a);
    return best.length ? `; near are ${listed(best.slice(0, 3).map(([, name]) => `“${name}”`))}` : "";
  }

  // Names that the reader writes over

  write(button) {
    if (!button) return;
    const mark = button.closest(".mark");
    const name = mark.querySelector(".name");
    const input = make("input", "renamed");
    Object.assign(input, { type: "text", value: mark.label, maxLength: LONGEST_NAME });
    input.setAttribute("aria-label", `Name of ${mark.label}`);
    const key = mark.dataset.key;
    let open = true;
    const done = (keep) => {
      if (!open) return; // to be taken away blurs it
      open = false;
      input.remove();
      name.hidden = button.hidden = false;
      if (keep) this.page.rename(key, input.value);
      const row = this.bars.marks.find((each) => each.dataset.key === key);
      (row?.querySelector(".rename") ?? button).focus();
    };
    input.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key !== "Enter" && event.key !== "Escape") return;
      // The button that has the focus next would take the key for itself.
      event.preventDefault();
      done(event.key === "Enter");
    });
    input.addEventListener("blur", () => done(true));
    input.addEventListener("click", (event) => event.stopPropagation());
    name.hidden = button.hidden = true;
    name.before(input);
    input.focus();
    input.select();
  }

  pencils() {
    for (const mark of this.bars.marks) {
      if (!mark.classList.contains("atom") || mark.querySelector(".rename")) continue;
      const button = make("button", "rename", "✎");
      button.type = "button";
      button.title = "Write another name";
      button.setAttribute("aria-label", `Rename ${mark.label}`);
      mark.querySelector(".lead").append(button);
    }
  }

  // The rows for a spreadsheet: effects on the two answers, and both without each atom alone.
  table() {
    const { contest, pair, panel, page } = this;
    const names = pair.map((index) => this.names[index]);
    const columns = pair.map((index) => this.columns.get(index));
    const chance = panel.head === "values" ? panel.unit : "probability";
    const heads = names.map((name) => inUnit(name, panel.unit));
    const alone = names.map((name) => `${inUnit(name, chance)}, without it`);
    const rows = panel.frames[this.frame].map((number, i) => {
      const [one, other] = columns.map((column) => single(contest.effects[i][column]));
      const removed = contest.removed[i];
      const chances = pair.map((index) => (removed ? single(chanceOf(removed, index, panel.head)) : null));
      return [page.atomAt(number)[1], one, other, single(one - other), ...chances];
    });
    return [["name", ...heads, `difference (${panel.unit})`, ...alone], ...rows];
  }

  // Drawing

  show(frame) {
    this.contest = this.contests[frame];
    this.frame = frame;
    this.bars.show(frame);
  }

  follow() {
    this.apply();
    this.bars.follow();
  }

  light(keys) {
    this.bars.light(keys);
  }

  fade(place) {
    this.bars.fade(place);
  }

  fillAll() {
    this.bars.fillAll();
  }

  rephotograph() {
    this.bars.rephotograph();
  }

  apply() {
    const { contest, pair, bars } = this;
    const columns = pair.map((index) => this.columns.get(index));
    const rows = contest.effects.map((row) => columns.map((column) => row[column]));
    const differences = rows.map(([one, other]) => one - other);
    const most = Math.max(1e-9, ...differences.map(Math.abs));
    bars.scale = new Scale({ domain: [-most, most], signed: true });
    bars.marks.forEach((mark, i) => {
      redraw(mark.lastChild.firstChild, differences[i], most, () => bars.track(differences[i]));
      mark.detail = this.detail(mark.label, rows[i], differences[i], i);
    });
    this.pencils();
    this.heads();
    this.inputs.forEach((input, side) => {
      if (input !== input.getRootNode().activeElement) input.value = this.names[pair[side]];
    });
    const scores = this.without(this.off()) ?? contest.scores;
    this.shares.forEach((share, side) => write(share, this.text(scores, pair[side])));
    write(this.verdict, this.words());
    this.page.entitle?.(this);
  }

  heads() {
    const title = this.bars.body.querySelector(".axis .title");
    const [first, second] = this.pair.map((index) => this.names[index]);
    if (title) write(title, `← ${second} · ${first} →`);
    this.bars.body.querySelector(".ticks")?.replaceWith(this.bars.ticks());
    const range = this.bars.range();
    this.bars.body.querySelectorAll(".axis .full").forEach((node) => write(node, range));
  }

  detail(label, [one, other], difference, row) {
    const [first, second] = this.pair.map((index) => `“${this.names[index]}”`);
    const { unit } = this.panel;
    const effect = `${label}: ${formatNumber(one, true)} ${unit} to ${first}, ${formatNumber(other, true)} to ${second}`;
    const alone = this.contest.removed[row];
    const told = alone ? `; without it ${this.both(alone)}` : "";
    return `${effect}, a difference of ${formatNumber(difference, true)}${told}`;
  }

  // Sentences

  off() {
    const { table } = this.contest;
    if (!table) return [];
    return table.keys.map((key, i) => i).filter((i) => this.page.isOff(table.selection, table.keys[i]));
  }

  // The scores of all classes without some atoms, as far as they are known.
  without(off) {
    const { table, tabled, removed, scores } = this.contest;
    if (!off.length) return scores;
    const row = table.keys.reduce((sum, key, i) => sum + (off.includes(i) ? 0 : 2 ** i), 0);
    const [known, rest] = table.rowOf(row);
    if (off.length === 1 && removed.length) {
      const atom = this.atomRow(table.keys[off[0]]);
      if (atom >= 0) return removed[atom];
    }
    const found = Object.assign(new Array(scores.length).fill(null), { rest });
    tabled.forEach((index, i) => (found[index] = known[i]));
    return found;
  }

  atomRow(key) {
    return this.panel.frames[this.frame].findIndex((number) => this.page.atomAt(number)[0] === key);
  }

  text(scores, index) {
    const share = chanceOf(scores, index, this.panel.head);
    if (share === null) return "?";
    return this.panel.head === "values" ? formatNumber(share) : formatPercent(share);
  }

  both(scores) {
    return this.pair.map((index) => `“${this.names[index]}” ${this.text(scores, index)}`).join(", ");
  }

  words() {
    const off = this.off();
    if (off.length) return this.withoutWords(off);
    const row = this.told();
    if (row === null || !this.contest.removed.length) return "";
    const removed = this.contest.removed[row];
    const layer = `${this.removedWords(row)} activity at ${this.panel.where}: ${this.both(removed)}${this.winner(removed)}.`;
    const edited = this.contest.edited[row];
    if (!edited) return layer;
    const size = this.contest.regions[row] ? ` (${this.contest.regions[row]})` : "";
    const picture = `With the part of the picture where it fires blurred${size}: ${this.both(edited)}${this.winner(edited)}.`;
    return `${layer} ${picture}${this.disagree(removed, edited)}`;
  }

  // Whose activity is taken away, and of the one that nobody pointed at why it is told.
  removedWords(row) {
    const name = this.nameOf(row);
    const leads = row !== this.pointedRow() && this.leadOf(row) > 0 && this.contest.removed.length > 1;
    if (!leads) return `Without ${name}’s`;
    const [first, second] = this.pair.map((index) => `“${this.names[index]}”`);
    return `The group that speaks most for ${first} and against ${second} is ${name}. Without its`;
  }

  nameOf(row) {
    return this.page.atomAt(this.panel.frames[this.frame][row])[1];
  }

  // The group pointed at or pinned; at first the one that does most for the one and against the other.
  told() {
    const pointed = this.pointedRow();
    if (pointed >= 0 && pointed < this.contest.removed.length) return pointed;
    const sizes = this.contest.removed.map((_, row) => this.leadOf(row));
    return sizes.length ? sizes.indexOf(Math.max(...sizes)) : null;
  }

  pointedRow() {
    const key = this.page.keyOf(this.page.pointed());
    return key === null ? -1 : this.atomRow(key);
  }

  // What a group did for the one answer and against the other.
  leadOf(row) {
    const [one, other] = this.pair.map((index) => this.contest.effects[row][this.columns.get(index)]);
    return one - other;
  }

  withoutWords(off) {
    const scores = this.without(off);
    const names = listed(off.map((i) => this.page.nameOf(this.contest.table.keys[i], this.contest.table.names[i])));
    const place = `zero in ${off.length > 1 ? "their" : "its"} place, the rest of the layer stays`;
    const unknown = this.pair.filter((index) => scores[index] === null);
    const gap = unknown.length ? ` Of joint removals only the ${this.contest.tabled.length} likeliest answers are in this page.` : "";
    return `Without ${names} (${place}): ${this.both(scores)}${this.winner(scores)}.${gap}`;
  }

  // Who is first, where it is not the first of the two. Of some answers only the likeliest are known
  // one by one: what all others come to says whether one of them may be ahead.
  winner(scores) {
    if (this.panel.head !== "classes") return "";
    const known = scores.map((score, i) => [score, i]).filter(([score]) => score !== null);
    const [, best] = known.reduce((one, other) => (other[0] > one[0] ? other : one));
    if (scores.rest > scores[best]) return "; none of the likeliest answers is surely first";
    if (best === this.pair[0]) return "";
    return this.pair.includes(best)
      ? `; “${this.names[best]}” is first`
      : `; “${this.names[best]}” is first with ${this.text(scores, best)}`;
  }

  disagree(removed, edited) {
    const now = this.contest.scores;
    if (!["classes", "labels"].includes(this.panel.head)) return "";
    const changes = (index) => [removed, edited].map((scores) => leadOf(scores, index, this.panel.head) - leadOf(now, index, this.panel.head));
    const unlike = ([one, other]) => one * other < 0 && Math.min(Math.abs(one), Math.abs(other)) >= LEAST_CHANGE;
    const apart = this.pair.some((index) => unlike(changes(index)));
    return apart ? " The two disagree: removing what the layer says is not removing what is in the picture." : "";
  }
}

// A class's score against all others, in log-odds; of other heads the score itself.
function leadOf(scores, index, head) {
  const share = chanceOf(scores, index, head);
  return head === "values" ? share : Math.log(Math.max(share, 1e-12) / Math.max(1 - share, 1e-12));
}

// A probability of one class; null where its score is not known.
function chanceOf(scores, index, head) {
  if (scores[index] === null) return null;
  if (head === "labels") return 1 / (1 + Math.exp(-scores[index]));
  if (head !== "classes") return scores[index];
  const rest = scores.rest ?? -Infinity;
  const known = scores.filter((score) => score !== null);
  const most = known.reduce((one, other) => Math.max(one, other), rest);
  const all = known.reduce((sum, score) => sum + Math.exp(score - most), Math.exp(rest - most));
  return Math.exp(scores[index] - most) / all;
}

// How many pairs of letters two words share, from 0 to 1 (Dice's coefficient).
function likeness(one, other) {
  const pairs = (word) => new Set(Array.from({ length: Math.max(0, word.length - 1) }, (_, i) => word.slice(i, i + 2)));
  const [mine, theirs] = [pairs(one), pairs(other)];
  const shared = [...mine].filter((pair) => theirs.has(pair)).length;
  return (2 * shared) / (mine.size + theirs.size || 1);
}

function shortened(text) {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

function unpackRows({ rows, numbers }) {
  const bytes = new DataView(bytesOf(numbers).buffer);
  const width = rows ? bytes.byteLength / 4 / rows : 0;
  return Array.from({ length: rows }, (_, row) => Array.from({ length: width }, (_, i) => bytes.getFloat32(4 * (row * width + i), true)));
}

function unpackContest(packed, panel) {
  return {
    effects: unpackRows(packed.effects),
    scores: unpackRows(packed.scores)[0],
    removed: unpackRows(packed.removed),
    edited: unpackRows(packed.edited),
    regions: packed.regions,
    table: packed.table && unpackTable(packed.table),
    tabled: packed.tabled ?? panel.classes.map((_, i) => i),
  };
}
