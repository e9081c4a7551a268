/** The part of the WebAssembly JavaScript interface in use; TypeScript has it only with the DOM. */
declare namespace WebAssembly {
  class Module {
    constructor(bytes: Uint8Array<ArrayBuffer>);
  }
  class Instance {
    constructor(
      module: Module,
      imports: Record<string, Record<string, (...args: number[]) => number>>,
    );
    readonly exports: Record<string, unknown>;
  }
  interface Memory {
    readonly buffer: ArrayBuffer;
  }
}
