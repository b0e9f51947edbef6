// What is pinned is kept in the address of the page.

// Browsers refuse an address that changes many times a second.
const QUIET_TIME = 150;

class AddressMemory {
  read() {
    return Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  }

  write(pins) {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.store(new URLSearchParams(pins).toString()), QUIET_TIME);
  }

  store(hash) {
    if (hash === location.hash.slice(1)) return;
    try {
      history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
    } catch {
      // A page in a sandboxed frame has no address to write to; it works without a memory.
    }
  }

  listen(changed) {
    addEventListener("hashchange", changed);
  }
}
