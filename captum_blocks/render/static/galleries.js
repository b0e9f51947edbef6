// Photographs beside atoms: crops on one sheet, which open to the whole and to further ones.

// A crop as data is [cell of the sheet, words, number of the photograph, box], and what it is called
// where it is none of a photograph.
function cropNode(page, crop) {
  const node = make("button", "crop");
  Object.assign(node, { type: "button", tabIndex: -1, crop, title: crop[1] });
  node.setAttribute("aria-label", spoken(crop));
  node.dataset.cell = crop[0];
  dressIcon(node, page.data.crops, crop[0]);
  return node;
}

function spoken([, words, , , kind = "Photograph"]) {
  return `${kind}, ${words}`;
}

// The crops of an atom that are seen before the reader acts.
function cropsNode(page, name) {
  const { bands, shown } = page.data.galleries[name];
  const strip = make("div", "crops");
  const [[title, crops]] = bands;
  strip.setAttribute("role", "group");
  const [, , , , kind = "Photograph"] = crops[0] ?? [];
  strip.setAttribute("aria-label", `${kind}s, ${title}`);
  strip.append(...crops.slice(0, shown).map((crop) => cropNode(page, crop)));
  return strip;
}

// All of a photograph, with the part that the crop shows framed.
function wholeNode(page, crop) {
  const [, words, number, box] = crop;
  const figure = make("figure", "whole-photograph");
  const image = Object.assign(make("img"), { src: page.data.photographs[number], alt: spoken(crop) });
  const framed = make("div", "framed");
  // As large as the place allows: the longer side of all of them is the same.
  image.addEventListener("load", () => {
    framed.style.width = `${100 * Math.min(1, image.naturalWidth / image.naturalHeight)}%`;
  });
  framed.append(image);
  if (box.some((edge, i) => edge !== WHOLE[i])) {
    const part = framed.appendChild(make("span", "part"));
    placeAt(part, box);
  }
  figure.append(framed, make("figcaption", "", words));
  return figure;
}

// The bands of an atom's photographs; `show` is told which one the reader wants to see whole.
function bandsNode(page, { bands, about }, show) {
  const node = make("div", "bands");
  for (const [title, crops] of bands) {
    const row = make("div", "crops");
    row.append(...crops.map((crop) => Object.assign(cropNode(page, crop), { tabIndex: 0 })));
    node.append(make("h4", "", title), row);
  }
  node.append(make("p", "caption", about));
  node.addEventListener("click", (event) => {
    const chosen = event.target.closest(".crop");
    if (chosen) show(chosen.crop);
  });
  return node;
}

// One crop as a picture of its own.
function cropPicture(page, cell) {
  const { image, width, height, columns, gutter } = page.data.crops;
  const canvas = make("canvas");
  Object.assign(canvas, { width, height });
  const left = (cell % columns) * (width + 2 * gutter) + gutter;
  const top = Math.floor(cell / columns) * (height + 2 * gutter) + gutter;
  canvas.getContext("2d").drawImage(image, left, top, width, height, 0, 0, width, height);
  return canvas.toDataURL();
}
