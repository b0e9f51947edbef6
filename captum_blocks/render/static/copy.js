// A panel as a picture for slides and papers: its own markup, drawn once more into a canvas.

const SHARPNESS = 2;
const MARGIN = 14;
const COPIED_FOR = 1500;

function copyButton() {
  const button = make("button", "copy", "Copy as PNG");
  button.type = "button";
  return button;
}

async function copyPanel(page, section, button) {
  const canvas = await drawPanel(page, section);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  try {
    await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
    button.textContent = "Copied";
  } catch {
    saveBlob(blob, `${section.getAttribute("aria-label").slice(0, 60)}.png`);
    button.textContent = "Saved";
  }
  setTimeout(() => (button.textContent = "Copy as PNG"), COPIED_FOR);
}

// Some browsers keep the clipboard from pages on disk: the picture is then saved instead.
function saveBlob(blob, name) {
  const link = make("a");
  Object.assign(link, { href: URL.createObjectURL(blob), download: name });
  link.click();
  URL.revokeObjectURL(link.href);
}

async function drawPanel(page, section) {
  // A drawing is not enlarged with a wide window, and these sizes are told without it.
  const { offsetWidth: width, offsetHeight: height } = section;
  const box = { width, height: height - (section.querySelector(".views")?.offsetHeight ?? 0) };
  const picture = new Image();
  picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(asDrawing(page, section, box))}`;
  await picture.decode();
  const canvas = make("canvas");
  canvas.width = SHARPNESS * Math.ceil(box.width + 2 * MARGIN);
  canvas.height = SHARPNESS * Math.ceil(box.height + 2 * MARGIN);
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.scale(SHARPNESS, SHARPNESS);
  context.drawImage(picture, MARGIN, MARGIN);
  return canvas;
}

// The drawing is as wide as the page, so that the style sheet takes the same branches.
function asDrawing(page, section, { width, height }) {
  const [frame, around] = [make("div", "blocks-frame"), make("div", "blocks ready copied")];
  frame.style.width = `${page.root.clientWidth}px`;
  around.style.width = `${width}px`;
  around.append(stilled(page, section));
  frame.append(around);
  // Characters that XML has no way to write are left out.
  const markup = new XMLSerializer().serializeToString(frame).replace(/[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g, "");
  const sheet = page.root.getRootNode().querySelector("style").textContent;
  const style = `<style>${sheet.replace("(prefers-color-scheme: dark)", "(width: 0)").replace(/&/g, "&amp;").replace(/</g, "&lt;")}</style>`;
  const size = `width="${Math.max(page.root.clientWidth, width)}" height="${Math.ceil(height)}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size}><foreignObject ${size}>${style}${markup}</foreignObject></svg>`;
}

// A copy of the panel whose canvases and icons have become pictures of their own.
function stilled(page, section) {
  const copy = section.cloneNode(true);
  copy.querySelectorAll(".copies, .call").forEach((button) => button.remove());
  const canvases = section.querySelectorAll("canvas");
  copy.querySelectorAll("canvas").forEach((canvas, i) => canvas.replaceWith(asImage(canvas, canvases[i])));
  const inputs = section.querySelectorAll(".control :is(input, select)");
  copy.querySelectorAll(".control :is(input, select)").forEach((input, i) => settle(input, inputs[i]));
  copy.querySelectorAll(".icon").forEach((icon) => {
    icon.style.backgroundImage = `url(${page.iconPicture(icon.dataset.sprite)})`;
    icon.style.backgroundSize = "100% 100%";
  });
  copy.querySelectorAll(".crop").forEach((crop) => {
    crop.style.backgroundImage = `url(${cropPicture(page, Number(crop.dataset.cell))})`;
    crop.style.backgroundSize = "100% 100%";
  });
  return copy;
}

// Markup holds what a control was made with; the copy shows what it was set to.
function settle(copy, { value }) {
  if (copy.tagName === "SELECT") copy.options[value].setAttribute("selected", "");
  else copy.setAttribute("value", value);
}

function asImage(copy, canvas) {
  const image = make("img", copy.className);
  image.src = canvas.toDataURL();
  image.style.cssText = copy.style.cssText;
  return image;
}
