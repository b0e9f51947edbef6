// Starts the saved page: data from its inert element, memory in the address.

const addressMemory = {
  read: () => Object.fromEntries(new URLSearchParams(location.hash.slice(1))),
  write(pins) {
    const hash = new URLSearchParams(pins).toString();
    const address = hash ? `#${hash}` : location.pathname + location.search;
    if (hash !== location.hash.slice(1)) history.replaceState(null, "", address);
  },
  listen: (changed) => addEventListener("hashchange", changed),
};

mountBlocks(
  document.querySelector(".blocks"),
  JSON.parse(document.getElementById("blocks-data").textContent),
  addressMemory,
);
