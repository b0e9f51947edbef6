// Starts the page while its icons are drawn: they come from the server that the page came from.

async function* linesOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (text + value).split("\n");
    text = lines.pop();
    yield* lines;
  }
}

async function follow(arriving) {
  try {
    for await (const line of linesOf(await fetch("pictures"))) {
      const { ended, signs, picture, ...told } = JSON.parse(line);
      if (ended !== undefined) return arriving.end(ended, signs);
      await arriving.take(told, bytesOf(picture));
    }
    arriving.end("what draws them has stopped");
  } catch {
    arriving.end("what draws them is gone");
  }
}

const asked = (message) => fetch("reader", { method: "POST", body: JSON.stringify(message) }).catch(() => {});
mountBlocks(
  document.querySelector(".blocks"),
  JSON.parse(document.getElementById("blocks-data").textContent),
  new AddressMemory(),
  new AbortController().signal,
).then((page) => follow(new Arriving(page, asked)));
