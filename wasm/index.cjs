"use strict";
const { readFileSync } = require("node:fs");
const path = require("node:path");

/** All that the module may have (build.sh), so that the memory never grows again, and never moves. */
const BYTES = 256 * 1024 * 1024;
const PAGE = 64 * 1024;

let compiled;

exports.instantiate = (transmit) => {
  // The same line finds the module beside this file and, bundled, in dist/ (see native/index.cjs).
  compiled ??= new WebAssembly.Module(readFileSync(path.join(__dirname, "build", "lwip.wasm")));
  const { exports: stack } = new WebAssembly.Instance(compiled, { env: { transmit } });
  // A memory that has its size from the start V8 takes for memory in use, and begins to collect
  // garbage: up to 4 ms.
  stack.memory.grow((BYTES - stack.memory.buffer.byteLength) / PAGE);
  return stack;
};
