/** WASM returned an impossible value: its instance must not be used any more. */
export class StackFault extends Error {}
