"use strict";
// Stands in the bundle for a module that a library loads but never calls on our behalf.
module.exports = {};
