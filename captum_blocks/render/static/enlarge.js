// The icon of a mark at twice its size, with the words that belong to it.

function enlarge(page, mark) {
  const [, , own, , , , lent] = page.data.atoms[mark.atom];
  const sprite = own ?? lent[0];
  const [, , label, details] = page.data.sprites[sprite];
  const dialog = page.root.querySelector("dialog");
  const picture = make("div", "icon large");
  page.dress(picture, sprite);
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", label);
  const told = make("dl");
  for (const [term, text] of details) told.append(make("dt", "", term), make("dd", "", text));
  const close = make("button", "close", "Close");
  close.addEventListener("click", () => dialog.close());
  dialog.replaceChildren(picture, make("h3", "", label), make("p", "caption", mark.detail), told, close);
  dialog.onclick = (event) => event.target === dialog && dialog.close();
  dialog.showModal();
}
