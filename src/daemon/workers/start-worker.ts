import { fstatSync, openSync, readSync } from "node:fs";
import path from "node:path";
import { Worker } from "node:worker_threads";
import type { DescriptorLedger } from "../../admission/descriptor-ledger.js";
import type { StartWorker } from "./plane.js";
import { WORKER_NAME } from "./worker-name.js";

/**
 * As scripts/entry.cjs, except that the program has been read already and `require` searches nothing: Node's own reads
 * the package.json of every directory above, which the sandbox forbids.
 */
const ENTRY = `
  const { Script } = process.getBuiltinModule("node:vm");
  const { workerData } = process.getBuiltinModule("node:worker_threads");
  const { directory, bundle, text, cache } = workerData;
  const load = (name) => {
    if (!name.startsWith("/")) return process.getBuiltinModule(name);
    const module = { exports: {} };
    process.dlopen(module, name);
    return module.exports;
  };
  const script = new Script(Buffer.from(text.buffer).latin1Slice(), {
    filename: bundle,
    cachedData: cache ?? undefined,
  });
  text.buffer.transfer(0);
  cache?.buffer.transfer(0);
  script.runInThisContext().call({}, {}, load, {}, bundle, directory);
`;

/**
 * Prepares to start threads that serve networks (`serveNetworks` of worker.ts). The program is opened now, so that all
 * threads run this version even after an upgrade.
 * @param ledger of the descriptors of all threads
 * @param onEnded called when one has ended: its part of the shared heap can be given back
 *
 * A thread that is started in the sandbox inherits its rules. The C library makes it by clone(2), with its flags for
 * threads; clone3(2), whose flags a filter cannot see, is answered ENOSYS.
 *
 * #syscalls daemon: clone(0=THREAD_FLAGS) getcwd epoll_create1 timer_create timer_settime
 */
export function workerStarter(ledger: DescriptorLedger, onEnded: () => void): StartWorker {
  const directory = path.dirname(process.argv[1] ?? "");
  const bundle = path.join(directory, "daemon.cjs");
  const program = openSync(bundle, "r");
  const cached = openIfAny(path.join(directory, "daemon.cache"));
  return (slot, { onMessage, onEnd }) => {
    const text = read(program);
    const cache = cached === null ? null : read(cached);
    const worker = new Worker(ENTRY, {
      eval: true,
      argv: [WORKER_NAME],
      name: WORKER_NAME,
      workerData: { directory, bundle, text, cache, ledger: ledger.words, slot },
      transferList: cache === null ? [text.buffer] : [text.buffer, cache.buffer],
    });
    let why: string | null = null;
    let isTold = false;
    worker.on("message", onMessage);
    worker.on("error", (error) => {
      why = error instanceof Error ? error.message : String(error);
    });
    worker.on("exit", (code) => {
      onEnd(isTold ? null : (why ?? `it ended with ${code}`));
      onEnded();
    });
    return {
      post: (message) => worker.postMessage(message),
      end: () => {
        isTold = true;
        void worker.terminate();
      },
    };
  };
}

function openIfAny(file: string): number | null {
  try {
    return openSync(file, "r");
  } catch {
    return null;
  }
}

function read(fd: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(fstatSync(fd).size);
  for (let at = 0; at < bytes.length; ) {
    const count = readSync(fd, bytes, at, bytes.length - at, at);
    if (count === 0) break;
    at += count;
  }
  return bytes;
}
