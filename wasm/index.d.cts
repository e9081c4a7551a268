/** Where the built WebAssembly module stands. */
export const modulePath: string;
