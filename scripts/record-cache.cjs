"use strict";
// Replaces dist/slipway.cjs in the tree where scripts/build starts the product once: does the same, but at
// the end writes the code cache, with every function that has run.
const { openSync, writeSync } = require("node:fs");

// Opened before the sandbox is entered.
const cache = openSync(`${__dirname}/bundle.cache.new`, "w");
const script = require("./entry.cjs");
process.on("exit", () => writeSync(cache, script.createCachedData()));
