// Marks in rows and columns of numbers: a table, printed or as cells whose area is the magnitude.

// Names of more columns than this stand upright, so that the cells below them stay together.
const MOST_LEVEL = 6;

class Matrix {
  constructor(body, panel, page) {
    Object.assign(this, { panel, page, coloured: panel.style === "colours" });
    this.reach = Math.max(...panel.domain.map(Math.abs)) || 1;
    this.hasIcons = panel.frames.flat().some((number) => page.atomAt(number)[2] !== null);
    const table = make("table", `matrix ${panel.style}`);
    table.setAttribute("aria-label", panel.title);
    table.classList.toggle("upright", this.coloured && panel.columns.length > MOST_LEVEL);
    this.rows = make("tbody");
    table.append(this.head(), this.rows);
    const wide = make("div", "wide");
    Object.assign(wide, { tabIndex: 0 });
    wide.setAttribute("role", "group");
    wide.setAttribute("aria-label", `${panel.title}: table`);
    wide.append(table);
    body.append(wide);
    if (this.coloured) body.append(this.legend(), (this.here = hereLine(page)));
    else if (panel.unit) body.append(make("p", "scale-note", `in ${panel.unit}`));
  }

  head() {
    const [head, row] = [make("thead"), make("tr")];
    this.titles = this.panel.columns.map((title) => {
      const cell = headed("col", "column");
      cell.append(make("span", "title", title));
      return cell;
    });
    row.append(make("td"), ...this.titles);
    head.append(row);
    return head;
  }

  legend() {
    const legend = make("p", "sign-legend scale");
    const words = `= ${formatNumber(this.reach)} ${this.panel.unit}`.trim();
    if (this.panel.signed) {
      for (const sign of ["supports", "opposes"]) legend.append(this.patch(sign, 0.5), make("span", "", sign));
    }
    legend.append(this.patch("plain", 1), make("span", "scale-words", words));
    return legend;
  }

  // A share of the cell's area.
  patch(kind, share) {
    const [cell, patch] = [make("span", "tile"), make("span", `patch ${kind}`)];
    patch.style.width = patch.style.height = `${100 * Math.sqrt(Math.min(1, share))}%`;
    cell.append(patch);
    return cell;
  }

  // The nodes stay, so that focus and pointer stay on them, and are filled anew.
  show(frame) {
    const numbers = this.panel.frames[frame];
    while (this.rows.children.length > numbers.length) this.rows.lastChild.remove();
    while (this.rows.children.length < numbers.length) this.rows.append(this.row());
    numbers.forEach((number, i) => this.fill(this.rows.children[i], number));
  }

  row() {
    const row = make("tr", this.coloured ? "" : "mark");
    const kind = this.coloured ? "mark" : "";
    row.append(headed("row", kind), ...this.panel.columns.map(() => make("td", kind)));
    return row;
  }

  fill(row, number) {
    if (row.filled === number) return;
    row.filled = number;
    const [atom, values] = this.page.data.marks[number];
    const [, label, sprite, , hue, role] = this.page.data.atoms[atom];
    const [head, ...cells] = row.children;
    const lead = make("div", "lead");
    if (this.hasIcons) lead.append(sprite === null ? make("span", "no-icon") : iconNode(this.page, sprite, label));
    lead.append(nameNode(this.page, label, hue));
    head.replaceChildren(lead);
    if (this.coloured) [head, ...cells].forEach((cell) => identify(cell, number, this.page));
    else identify(row, number, this.page);
    row.classList.toggle("total", role === "total");
    row.classList.toggle("remainder", role === "remainder");
    values.forEach((value, i) => this.fillCell(cells[i], value, i));
  }

  fillCell(cell, value, column) {
    const text = formatNumber(value, this.panel.signed);
    if (!this.coloured) {
      cell.replaceChildren(make("span", "number", text));
      return;
    }
    const name = this.panel.columns[column];
    cell.detail = `${cell.label}${name && `, ${name}`}: ${text} ${this.panel.unit}`.trim();
    cell.title = this.page.stage ? "" : cell.detail;
    const kind = !this.panel.signed ? "plain" : value < 0 ? "opposes" : "supports";
    const shown = value === null ? make("span", "tile nothing") : this.patch(kind, Math.abs(value) / this.reach);
    cell.replaceChildren(shown, make("span", "unseen", text));
  }

  light(keys) {
    const marks = [...this.rows.querySelectorAll(".mark")];
    this.rows.classList.toggle("has-lit", marks.some((mark) => mark.dataset.key === keys.lit));
    for (const mark of marks) lightMark(mark, keys);
    if (this.coloured) this.tellCell();
  }

  // The cell pointed at, in words below the table, and the head of its column.
  tellCell() {
    const { atom, overMark } = this.page;
    const cell = atom.over !== null && this.rows.contains(overMark.node) ? overMark.node : null;
    write(this.here, cell ? cell.detail || cell.label : "");
    this.titles.forEach((title, i) => title.classList.toggle("lit", cell?.cellIndex === i + 1));
  }

  // Arrows move in both directions where every cell is a mark.
  next(mark, key) {
    if (!this.coloured) return undefined;
    const [down, right] = ARROWS[key];
    const rows = [...this.rows.children];
    return rows[rows.indexOf(mark.parentElement) + down]?.cells[mark.cellIndex + right] ?? mark;
  }
}

function headed(scope, className) {
  const cell = make("th", className);
  cell.scope = scope;
  return cell;
}
