"use strict";
// The same line finds the addon beside this file and beside the bundle, dist/slipway.cjs.
const path = require("node:path");

module.exports = require(path.join(__dirname, "build", "tuntap2.node"));
