// Pictures and numbers: unpacking fields, colouring cells, cutting icons out of their sheets.
"use strict";

// The most opaque a cell gets, so that the photograph stays readable below it.
const MOST_INK = 0.88;
const WHOLE = [0, 0, 1, 1];
// Pixels that a map without a photograph is at least wide.
const LEAST_SHEET = 160;

function make(tag, className = "", text = "") {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) {
    node.textContent = text;
    node.dir = "auto";
  }
  return node;
}

// Text that is set anew is laid out anew, even where it stays the same.
function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// A line below a panel, and the clauses that are read when it is opened.
function noteOf(brief, clauses, open) {
  if (!clauses.length) return make("p", "left-out", brief);
  const note = make("details", "left-out");
  note.open = open;
  note.append(make("summary", "", brief), ...clauses.map((clause) => make("p", "", clause)));
  return note;
}

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

function formatNumber(value, signed = false) {
  if (value === null) return "–";
  const size = Math.abs(value);
  let text = size.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
  if (size > 0 && size < 0.01) text = size.toPrecision(1);
  if (size >= 1e5 || (size > 0 && size < 1e-4)) text = size.toExponential(1);
  const sign = value < 0 ? "−" : signed && value > 0 ? "+" : "";
  return sign + text;
}

function unpackField(packed) {
  const bytes = new DataView(bytesOf(packed.levels).buffer);
  const values = new Float32Array(packed.rows * packed.columns);
  for (let i = 0; i < values.length; i += 1) {
    values[i] = packed.low + packed.step * bytes.getUint16(2 * i, true);
  }
  return { ...packed, values };
}

// The colour of a field's positive values: its group's, its sign's, or that of presence.
// On an empty sheet magnitudes have the one neutral colour, which on a photograph would be lost.
function colourOf(field, palette, bare = false) {
  if (field.hue !== null) return palette.groups[field.hue % palette.groups.length];
  if (field.domain[0] < 0) return palette.supports;
  return bare ? palette.neutral : palette.presence;
}

// A field's colour at a value, and how much of it is laid on the photograph: nothing at zero.
function inkOf(field, palette, bare) {
  const [low] = field.domain;
  const [reach, start] = [sizeOfField(field), Math.max(low, 0)];
  const positive = colourOf(field, palette, bare);
  return (value) => {
    const weight = (sizeIn(field, value) - start) / (reach - start || 1);
    const colour = value < 0 ? palette.opposes : positive;
    return { colour, weight: Math.min(1, Math.max(0, weight)) };
  };
}

// How much a value weighs: where colours tell groups apart they tell no sign, and what is below zero
// has none.
function sizeIn({ hue }, value) {
  return hue === null ? Math.abs(value) : Math.max(0, value);
}

function sizeOfField(field) {
  return Math.max(...field.domain.map((edge) => sizeIn(field, edge))) || 1;
}

function weightAt(field, place) {
  return Math.min(1, sizeIn(field, valueAt(field, place)) / sizeOfField(field));
}

// Fields of one grid mixed cell by cell: the strongest gives most of the colour and the opacity.
function mixCells(fields, palette, bare) {
  const inks = fields.map((field) => inkOf(field, palette, bare));
  const most = bare ? 1 : MOST_INK;
  const pixels = new ImageData(fields[0].columns, fields[0].rows);
  for (let cell = 0; cell < fields[0].values.length; cell += 1) {
    const parts = inks.map((ink, i) => ink(fields[i].values[cell]));
    const strongest = Math.max(...parts.map((part) => part.weight));
    const total = parts.reduce((sum, part) => sum + part.weight ** 3, 0) || 1;
    for (let channel = 0; channel < 3; channel += 1) {
      const mixed = parts.reduce((sum, part) => sum + part.weight ** 3 * part.colour[channel], 0);
      pixels.data[4 * cell + channel] = mixed / total;
    }
    pixels.data[4 * cell + 3] = 255 * most * strongest;
  }
  const canvas = make("canvas", "cells");
  canvas.width = fields[0].columns;
  canvas.height = fields[0].rows;
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

// One canvas for each grid: fields that share grid and extent are mixed, others lie over them.
function layersOf(fields, palette, bare = false) {
  const grids = new Map();
  for (const field of fields) {
    const grid = `${field.rows} ${field.columns} ${field.extent}`;
    grids.set(grid, [...(grids.get(grid) || []), field]);
  }
  return [...grids.values()].map((group) => ({
    canvas: mixCells(group, palette, bare),
    extent: group[0].extent,
  }));
}

function placeAt(node, [top, left, bottom, right]) {
  node.style.top = `${100 * top}%`;
  node.style.left = `${100 * left}%`;
  node.style.height = `${100 * (bottom - top)}%`;
  node.style.width = `${100 * (right - left)}%`;
}

// The photograph drained of colour, at thumbnail size: the ground of every small map.
function greyThumbnail(photo, width) {
  const canvas = make("canvas");
  canvas.width = width;
  canvas.height = Math.max(1, Math.round((width * photo.naturalHeight) / photo.naturalWidth));
  const context = canvas.getContext("2d");
  context.drawImage(photo, 0, 0, canvas.width, canvas.height);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  for (let i = 0; i < pixels.data.length; i += 4) {
    const [red, green, blue] = pixels.data.subarray(i, i + 3);
    pixels.data.fill(60 + 0.7 * (0.3 * red + 0.59 * green + 0.11 * blue), i, i + 3);
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}

// A field on the thumbnail, as one canvas that also prints.
function drawMap(ground, field, palette) {
  const canvas = make("canvas", "map");
  canvas.width = ground.width;
  canvas.height = ground.height;
  const context = canvas.getContext("2d");
  context.drawImage(ground, 0, 0);
  context.imageSmoothingEnabled = false;
  for (const { canvas: cells, extent: [top, left, bottom, right] } of layersOf([field], palette)) {
    const [width, height] = [canvas.width * (right - left), canvas.height * (bottom - top)];
    context.drawImage(cells, canvas.width * left, canvas.height * top, width, height);
  }
  return canvas;
}

// The same without a photograph, on white.
function drawSheet(field, palette) {
  const [{ canvas: cells }] = layersOf([field], palette, true);
  const canvas = make("canvas", "map sheet");
  canvas.width = cells.width * Math.ceil(LEAST_SHEET / cells.width);
  canvas.height = Math.round((canvas.width * cells.height) / cells.width);
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingEnabled = false;
  context.drawImage(cells, 0, 0, canvas.width, canvas.height);
  return canvas;
}

// An icon shows its cell of the sheet through a window; sizes are relative, so it scales by style.
function dressIcon(node, sheet, cell) {
  const [column, row] = [cell % sheet.columns, Math.floor(cell / sheet.columns)];
  const [stepX, stepY] = [sheet.width + 2 * sheet.gutter, sheet.height + 2 * sheet.gutter];
  const [wide, high] = [sheet.columns * stepX, sheet.rows * stepY];
  const along = (start, whole, shown) => (whole > shown ? (100 * start) / (whole - shown) : 0);
  node.style.backgroundImage = `url(${sheet.url})`;
  node.style.backgroundSize = `${(100 * wide) / sheet.width}% ${(100 * high) / sheet.height}%`;
  node.style.backgroundPosition =
    `${along(column * stepX + sheet.gutter, wide, sheet.width)}% ` +
    `${along(row * stepY + sheet.gutter, high, sheet.height)}%`;
}
