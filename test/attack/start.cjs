"use strict";
// Replaces dist/slipway.cjs in a copy of the product (see README.md): does the same, but on SIGUSR2 every
// thread attacks, and the results go to stderr as one line of JSON.
const { writeSync } = require("node:fs");
const attack = require("./build/attack.node");
const native = require("./build/tuntap2.node");

const { lockDown } = native;
native.lockDown = (...options) => {
  attack.prepare(Number(process.env.ATTACK_VICTIM));
  return lockDown(...options);
};
process.on("SIGUSR2", () => {
  writeSync(2, `attacks: ${JSON.stringify(attack.run())}\n`);
});

// On SIGXFSZ the main thread tries what ends the process, if the filter is correct.
process.on("SIGXFSZ", () => {
  writeSync(2, `survived: ${attack.tryLethal(Number(process.env.ATTACK_LETHAL))}\n`);
});

// SIGWINCH overwrites the stack's memory, so that its next frame traps.
const { registerMemory } = native;
let largest = new ArrayBuffer(0);
native.registerMemory = (buffer) => {
  if (buffer.byteLength > largest.byteLength) largest = buffer;
  return registerMemory(buffer);
};
process.on("SIGWINCH", () => new Uint8Array(largest, 0, 1 << 17).fill(0xff));
require("./entry.cjs");
