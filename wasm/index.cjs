"use strict";
const { readFileSync } = require("node:fs");
const path = require("node:path");

let compiled;

exports.instantiate = (transmit) => {
  // The same line finds the module beside this file and, bundled, in dist/ (see native/index.cjs).
  compiled ??= new WebAssembly.Module(readFileSync(path.join(__dirname, "build", "lwip.wasm")));
  return new WebAssembly.Instance(compiled, { env: { transmit } }).exports;
};
