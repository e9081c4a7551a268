"use strict";
// Stands for dist/slipway.cjs in the tree where scripts/build starts the product once: as it, but at
// the end it writes the code cache, with every function that has run.
const { openSync, writeSync } = require("node:fs");

// Opened before the sandbox closes.
const cache = openSync(`${__dirname}/bundle.cache.new`, "w");
const script = require("./entry.cjs");
process.on("exit", () => writeSync(cache, script.createCachedData()));
