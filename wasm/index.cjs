"use strict";
const { readFileSync } = require("node:fs");
const path = require("node:path");

/** The most that the module may have (build.sh): the memory never grows again, and so never moves. */
const BYTES = 256 * 1024 * 1024;
const PAGE = 64 * 1024;

let compiled;

exports.instantiate = (transmit) => {
  // The same line finds the module beside this file and, bundled, in dist/ (see native/index.cjs).
  compiled ??= new WebAssembly.Module(readFileSync(path.join(__dirname, "build", "lwip.wasm")));
  const { exports: stack } = new WebAssembly.Instance(compiled, { env: { transmit } });
  // Grown here and not given as the initial size: V8 counts an initial size as memory in use and
  // begins to collect garbage, for up to 4 ms.
  stack.memory.grow((BYTES - stack.memory.buffer.byteLength) / PAGE);
  return stack;
};
