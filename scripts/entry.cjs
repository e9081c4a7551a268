"use strict";
// dist/slipway.cjs, which the launcher starts: runs a program beside it, with V8's code cache: daemon.cjs for
// `slipway daemon run`, pasta.cjs for pasta, passt and pesto, bundle.cjs for everything else.
//
// Without the cache, parsing and compiling the bundle takes 10 ms of a start of 43, with it 4 (of 32).
// V8 rejects a cache of another version or other flags by itself, and compiles as if there were none.
const { readFileSync } = require("node:fs");
const { Script } = require("node:vm");

// First the name by which the launcher was called.
const [name, ...words] = process.argv.slice(2, 5);
const isPasta = name === "pasta" || name === "passt" || name === "pesto";
const isDaemon = name === "slipway" && words.join(" ") === "daemon run";
const program = isPasta ? "pasta" : isDaemon ? "daemon" : "bundle";
const bundle = `${__dirname}/${program}.cjs`;

function cacheIfAny() {
  try {
    return readFileSync(`${__dirname}/${program}.cache`);
  } catch {
    return undefined;
  }
}

/** Releases its memory at once: V8 may keep it for minutes, 1.3 MB for both. */
function free(buffer) {
  buffer?.buffer.transfer(0);
}

// A function as Node wraps modules, made by scripts/build. esbuild writes ASCII: Latin-1 is fastest.
const text = readFileSync(bundle);
const cachedData = cacheIfAny();
const script = new Script(text.latin1Slice(), { filename: bundle, cachedData });
free(text);
free(cachedData);
// For scripts/record-cache.cjs.
module.exports = Object.assign(script, { program });
script.runInThisContext().call({}, {}, require, {}, bundle, __dirname);
