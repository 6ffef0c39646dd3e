// The npm package memif, as tests/interop/node.rs has it: node.mjs echo|ask client|server SOCKET COUNT
import { writeSync } from "node:fs";
import { Memif } from "memif";

const [what, role, socketName, countText] = process.argv.slice(2);
const count = Number(countText);
const memif = new Memif({ role, socketName, dataroom: 2048, ringCapacity: 256 });

let again = 0n;

function die(text) {
  console.error(text);
  process.exit(1);
}

function end() {
  const c = memif.counters;
  writeSync(
    1,
    `received ${c.nRxPackets} in ${c.nRxFragments}, sent ${c.nTxPackets} in ${c.nTxFragments}, dropped ${c.nTxDropped - again}\n`,
  );
  memif.destroy();
  // At once: the package frees libuv's handles that it has not closed, and the loop goes on using them.
  process.reallyExit(0);
}

// One in ten is a chain of several buffers.
function packet(n) {
  const length = n % 10 === 9 ? 9000 - (n % 1000) : 1 + ((n * 37) % 2048);
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) {
    bytes[i] = (n * 7 + i * 13) & 255;
  }
  return bytes;
}

setTimeout(() => die("it takes too long"), 100_000).unref();

if (what === "echo") {
  memif.on("data", (bytes) => memif.write(bytes));
  memif.on("memif:down", end);
} else {
  let sent = 0;
  let got = 0;
  // The package loses what is more than 64 buffers at a time. It drops what finds no room, as on
  // a server whose client has not offered its buffers yet: that is sent again.
  const more = () => {
    while (sent < count && sent - got < 8) {
      const before = memif.counters.nTxDropped;
      memif.write(packet(sent));
      if (memif.counters.nTxDropped !== before) {
        again++;
        setTimeout(more, 1);
        return;
      }
      sent++;
    }
  };
  memif.on("memif:up", more);
  memif.on("data", (bytes) => {
    if (Buffer.compare(bytes, packet(got)) !== 0) {
      die(`packet ${got}: ${bytes.length} bytes came back, not the ${packet(got).length} that were sent`);
    }
    got++;
    if (got === count) {
      setImmediate(end); // it counts a packet after handing it out
    } else {
      more();
    }
  });
}
