/**
 * Replays inputs of the fuzzer against the WASM module that we ship. stack.c, the fuzzer itself, is
 * compiled to a module that shares its memory and calls its exports.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import lwip, { type LwipExports } from "lwip-wasm";
import * as abi from "../../src/stack/abi.ts";

/** The outcome of one input. */
export interface Replayed {
  readonly framesIn: number;
  readonly framesOut: number;
  /** Blocks of memory still in use when everything has ended. */
  readonly blocksInUse: number;
  readonly flows: number;
}

/** Sees every frame, from its Ethernet header on; valid during the call only. */
export type OnFrame = (frame: Uint8Array, fromGuest: boolean) => void;

interface Driver {
  start(offload: number): void;
  run(data: number, size: number): void;
  input_at(): number;
  transmit(pieces: number, count: number): number;
  /** The line of the expectation that failed, 0: none. */
  failed_at(): number;
}

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
/** What @types/node does not declare of it. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: object };
};
let compiled: object | undefined;

function compile(): object {
  execFileSync(here("build-driver.sh"));
  return new WebAssembly.Module(readFileSync(here("build/driver.wasm")));
}

/** The stored inputs, by name. */
export function corpus(directory = here("corpus/stack")): Map<string, Uint8Array> {
  const names = readdirSync(directory).sort();
  return new Map(names.map((name) => [name, readFileSync(`${directory}/${name}`)]));
}

/**
 * @param offload whether the TAP has a virtio header
 * @throws when the stack traps, or the driver detects an error
 */
export function replay(input: Uint8Array, offload: boolean, onFrame: OnFrame): Replayed {
  compiled ??= compile();
  const counts = { framesIn: 0, framesOut: 0 };
  const header = offload ? abi.VNET_HEADER_SIZE : 0;
  const stack: LwipExports = lwip.instantiate((pieces, count) => {
    counts.framesOut += 1;
    onFrame(gather(stack, pieces, count).subarray(header), false);
    return driver.transmit(pieces, count);
  });
  const watched = {
    ...stack,
    input: (length: number) => {
      counts.framesIn += 1;
      const start = stack.buffer();
      const end = start + Math.max(length, abi.VNET_HEADER_SIZE);
      onFrame(
        new Uint8Array(stack.memory.buffer).subarray(start + abi.VNET_HEADER_SIZE, end),
        true,
      );
      return stack.input(length);
    },
  };
  const { exports } = new WebAssembly.Instance(compiled, {
    env: { memory: stack.memory },
    stack: watched,
  });
  const driver = exports as unknown as Driver;
  driver.start(offload ? 1 : 0);
  new Uint8Array(stack.memory.buffer).set(input, driver.input_at());
  try {
    driver.run(driver.input_at(), input.length);
  } catch (error) {
    const line = driver.failed_at();
    throw line === 0 ? error : new Error(`what stack.c expects in line ${line} is not so`);
  }
  const statistics = new Uint32Array(stack.memory.buffer, stack.stats(), abi.STAT_COUNT);
  return {
    ...counts,
    blocksInUse: statistics[abi.STAT_BLOCKS_IN_USE],
    flows: statistics[abi.STAT_FLOWS],
  };
}

function gather(stack: LwipExports, pieces: number, count: number): Uint8Array {
  const bytes = new Uint8Array(stack.memory.buffer);
  const vector = new Uint32Array(stack.memory.buffer, pieces, 2 * count);
  const parts = Array.from({ length: count }, (_, i) =>
    bytes.subarray(vector[2 * i], vector[2 * i] + vector[2 * i + 1]),
  );
  return Buffer.concat(parts);
}
