// Starts the saved page: data from its inert element, memory in the address.

mountBlocks(
  document.querySelector(".blocks"),
  JSON.parse(document.getElementById("blocks-data").textContent),
  new AddressMemory(),
  new AbortController().signal,
);
