"use strict";
// The same line finds the module beside this file and, bundled, in dist/ (see native/index.cjs).
const path = require("node:path");

exports.modulePath = path.join(__dirname, "build", "lwip.wasm");
