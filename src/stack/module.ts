import { readFileSync } from "node:fs";
import lwip from "lwip-wasm";

let compiled: WebAssembly.Module | null = null;

/** lwIP's module, compiled once for all guests. */
export function lwipModule(): WebAssembly.Module {
  compiled ??= new WebAssembly.Module(readFileSync(lwip.modulePath));
  return compiled;
}
