import { UserError } from "../../base/errors.js";
import type { Call, CallName, CallParams, CallResult, FromWorker, ToWorker } from "./messages.js";

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** The main thread's messages to one other thread, and the calls that wait for its answers. */
export class WorkerCalls {
  readonly #link: { post(message: ToWorker): void };
  readonly #waiting = new Map<number, Waiting>();
  #lastCall = 0;
  /** Whether a message was sent since the last call of settle. */
  #isUnsettled = false;
  #settled: Promise<void> = Promise.resolve();
  /** Why the thread no longer answers; null while it does. */
  #end: Error | null = null;

  constructor(link: { post(message: ToWorker): void }) {
    this.#link = link;
  }

  /** Sends a message that has no answer. */
  post(message: ToWorker): void {
    if (this.#end !== null) return;
    this.#isUnsettled = true;
    this.#link.post(message);
  }

  /** @throws UserError when the user can do something about it; Error otherwise, also when the thread ends */
  call<C extends CallName>(call: Call & { readonly name: C; readonly params: CallParams<C> }) {
    return new Promise<CallResult<C>>((resolve, reject) => {
      if (this.#end !== null) {
        reject(this.#end);
        return;
      }
      this.#lastCall += 1;
      const number = this.#lastCall;
      // The thread runs the same program, so its answer has the call's type.
      this.#waiting.set(number, { resolve: (result) => resolve(result as CallResult<C>), reject });
      this.post({ kind: "call", number, call });
    });
  }

  /** Resolves when all messages so far have taken effect, or the thread has ended. */
  settled(): Promise<void> {
    if (this.#isUnsettled) {
      this.#settled = this.call({ name: "settle", params: null }).then(
        () => undefined,
        () => undefined,
      );
      this.#isUnsettled = false;
    }
    return this.#settled;
  }

  onAnswer(answer: Extract<FromWorker, { readonly kind: "result" | "failure" }>): void {
    const waiting = this.#waiting.get(answer.number);
    this.#waiting.delete(answer.number);
    if (answer.kind === "result") waiting?.resolve(answer.result);
    else waiting?.reject(new (answer.isUsers ? UserError : Error)(answer.message));
  }

  /** The thread has ended: rejects the calls that wait, and all later ones. */
  abandon(reason: Error): void {
    this.#end = reason;
    for (const { reject } of this.#waiting.values()) reject(reason);
    this.#waiting.clear();
  }
}
