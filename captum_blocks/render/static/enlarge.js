// The picture of a mark at twice its size, with the words that belong to it and with its photographs.

const NO_PROOF = "No sign of forgery is no proof: a network can be made to pass this measure.";

function enlarge(page, mark, crop = null) {
  const [, , own, , , , lent, gallery = null] = page.data.atoms[mark.atom];
  const sprite = own ?? lent?.[0] ?? null;
  const held = gallery === null ? null : page.data.galleries[gallery];
  const dialog = page.root.querySelector("dialog");
  const shown = make("div", "shown");
  const ofIcon = signLines(page, sprite);
  // What is said of the icon does not stand beside another picture.
  const show = (chosen) => {
    shown.replaceChildren(chosen ? wholeNode(page, chosen) : largeIcon(page, sprite));
    ofIcon.forEach((line) => (line.hidden = Boolean(chosen)));
  };
  const [, , label, details] = page.data.sprites[sprite] ?? [null, null, held.label, []];
  const told = make("dl");
  told.dataset.of = sprite;
  fillDetails(told, details);
  ofIcon.push(told);
  show(crop ?? (sprite === null ? held.bands[0][1][0] : null));
  const close = make("button", "close", "Close");
  close.addEventListener("click", () => dialog.close());
  const bands = held ? [bandsNode(page, held, show)] : [];
  dialog.classList.toggle("with-photographs", held !== null);
  const side = make("div", "told-of");
  side.append(make("h3", "", label), make("p", "caption", mark.detail), ...ofIcon.slice(0, -1), ...bands, told, close);
  dialog.replaceChildren(shown, side);
  dialog.onclick = (event) => event.target === dialog && dialog.close();
  dialog.showModal();
}

// How far the picture is to be believed, and what that says; nothing where no icon is shown.
function signLines(page, sprite) {
  const sign = sprite === null ? null : page.signOf(sprite);
  if (!sign) return [];
  const line = make("p", "sign-told");
  line.dataset.sign = sign[0];
  line.append(make("b", "", sign[1]), `: ${sign[2]}.`);
  return sign[0] === "clear" ? [line, make("p", "caption", NO_PROOF)] : [line];
}

function fillDetails(list, details) {
  list.replaceChildren(...details.flatMap(([term, text]) => [make("dt", "", term), make("dd", "", text)]));
}

function largeIcon(page, sprite) {
  const picture = make("div", "icon large");
  dressAs(picture, page, sprite);
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", page.data.sprites[sprite][2]);
  return picture;
}
