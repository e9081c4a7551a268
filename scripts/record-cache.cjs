"use strict";
// Replaces dist/slipway.cjs in the tree where scripts/build starts the product once: does the same, but at
// the end writes the program's code cache, with every function that has run.
const { openSync, writeSync } = require("node:fs");
const script = require("./entry.cjs");

// The program has only begun: it enters the sandbox later.
const cache = openSync(`${__dirname}/${script.program}.cache.new`, "w");
process.on("exit", () => writeSync(cache, script.createCachedData()));
