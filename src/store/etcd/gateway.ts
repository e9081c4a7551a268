import { setTimeout as delay } from "node:timers/promises";
import type { GenericSchema } from "valibot";
import { monotonicMs } from "../../base/clock.js";
import { quoted } from "../../base/printable.js";
import { jittered } from "../backoff.js";
import { CALL_LIMIT, StoreError } from "../store.js";
import { parseAnswer, schemas } from "./answers.js";
import type { Endpoint, Endpoints } from "./endpoints.js";
import {
  isFinal,
  isNotCarriedOut,
  isPassing,
  Refusal,
  refusalOf,
  storeErrorOf,
  unusable,
  wantsToken,
} from "./failure.js";
import { Fault, type Reply, type StreamEvents, type Transport } from "./transport.js";

/** Whose keys they are. */
export interface Account {
  /** null: the store asks nobody. */
  readonly user: { readonly name: string; readonly password: string } | null;
  /** Of all keys; for messages. */
  readonly prefix: string;
}

/** One call of etcd's API. */
export interface Call<T> {
  readonly path: string;
  readonly body: string;
  readonly schema: GenericSchema<unknown, T>;
  /** Whether carrying it out twice is no different from once: it is then asked of several endpoints, if need be. */
  readonly isRepeatable: boolean;
}

/** How long an endpoint may take before the next one is asked as well, in ms. */
const PATIENCE = 1_500;

/** Until a cluster without a leader is asked again, in ms. */
const PAUSE = 300;

/** The first version whose JSON gateway is below /v3/, with watches in fragments. */
const LEAST_VERSION = [3, 4] as const;

/** Calls of etcd's JSON gateway: by whichever endpoint answers, with the token that it asks for. */
export class Gateway {
  /** Called when an endpoint has kept silent, where another answered or nobody did. */
  onSilent: (endpoint: Endpoint) => void = () => undefined;
  readonly #transport: Transport;
  readonly #endpoints: Endpoints;
  readonly #account: Account;
  /** Endpoints that have said that they are an etcd. */
  readonly #greeted = new Set<Endpoint>();
  /** Of authentication; empty: the store asks for none; null: to be asked for. */
  #token: string | null;
  readonly #authentications = new Map<Endpoint, Promise<string>>();

  constructor(transport: Transport, endpoints: Endpoints, account: Account) {
    this.#transport = transport;
    this.#endpoints = endpoints;
    this.#account = account;
    this.#token = account.user === null ? "" : null;
  }

  /** @throws StoreError */
  async call<T>(call: Call<T>): Promise<T> {
    try {
      return await this.ask(call);
    } catch (error) {
      throw this.storeError(error);
    }
  }

  /**
   * Like `call`, for those who know more of what may go wrong.
   * @throws Refusal, Fault, StoreError
   */
  async ask<T>({ path, body, schema, isRepeatable }: Call<T>): Promise<T> {
    const deadline = monotonicMs() + CALL_LIMIT;
    for (let tries = 1; ; tries++) {
      const endpoint = this.#endpoints.current;
      try {
        const from = isRepeatable
          ? await this.#askAll(path, body, deadline)
          : { endpoint, text: await this.#askOne(endpoint, path, body, deadline) };
        const answer = parseAnswer(schema, from.text);
        if (answer === null) throw unusable(from.endpoint, `answers ${path} without sense`);
        return answer;
      } catch (error) {
        if (!isRepeatable) this.#blame(endpoint, error);
        if (!this.#mayTryAgain(error, isRepeatable, tries)) throw error;
        const isNextAtOnce = error instanceof Fault;
        if (isNextAtOnce) continue;
        if (deadline - monotonicMs() < 2 * PAUSE) throw error;
        await delay(jittered(PAUSE));
      }
    }
  }

  /**
   * Opens a stream at the endpoint in use.
   * @returns the endpoint, and what ends the stream
   * @throws Refusal, Fault, StoreError
   */
  async open(
    path: string,
    body: string,
    events: StreamEvents,
  ): Promise<{ readonly endpoint: Endpoint; readonly end: () => void }> {
    const deadline = monotonicMs() + CALL_LIMIT;
    const endpoint = this.#endpoints.current;
    try {
      await this.#greet(endpoint, deadline);
      const token = await this.#tokenFrom(endpoint, deadline);
      const request = { path, body, token };
      const end = this.#transport.stream(endpoint, request, left(deadline), {
        onLine: events.onLine,
        onEnd: (why) => {
          this.blame(endpoint, why);
          events.onEnd(why);
        },
      });
      return { endpoint, end };
    } catch (error) {
      this.#blame(endpoint, error);
      throw error;
    }
  }

  /** Has another endpoint used when that has failed. */
  blame(endpoint: Endpoint, why: Fault | Reply): void {
    if (why instanceof Fault) this.#blame(endpoint, why);
    else this.forgetToken(refusalOf(endpoint, why));
  }

  /** A token that is no longer good is asked for anew. */
  forgetToken(error: unknown): void {
    if (wantsToken(error) && this.#account.user !== null) this.#token = null;
  }

  storeError(error: unknown): StoreError {
    return storeErrorOf(error, this.#account.user?.name ?? null, this.#account.prefix);
  }

  close(): void {
    this.#transport.close();
  }

  /**
   * Asks one endpoint after the other, the next when one fails or is silent for PATIENCE; the first answer counts. A
   * single endpoint is asked again by another connection: the first may lead nowhere any more.
   */
  #askAll(
    path: string,
    body: string,
    deadline: number,
  ): Promise<{ readonly endpoint: Endpoint; readonly text: string }> {
    const { inOrder } = this.#endpoints;
    const order = inOrder.length > 1 ? inOrder : [inOrder[0], inOrder[0]];
    return new Promise((resolve, reject) => {
      const silent = new Set<Endpoint>();
      let begun = 0;
      let failed = 0;
      let isOver = false;
      const begin = (): void => {
        if (isOver || begun === order.length) return;
        const endpoint = order[begun];
        begun += 1;
        const impatience = setTimeout(() => {
          silent.add(endpoint);
          begin();
        }, PATIENCE);
        const answered = (text: string): void => {
          clearTimeout(impatience);
          if (isOver) return;
          isOver = true;
          silent.delete(endpoint);
          for (const each of silent) this.#blameSilence(each);
          resolve({ endpoint, text });
        };
        const refused = (error: unknown): void => {
          clearTimeout(impatience);
          failed += 1;
          if (isOver) return;
          this.#blame(endpoint, error);
          isOver = isFinal(error) || failed === order.length;
          if (isOver) reject(error);
          else begin();
        };
        this.#askOne(endpoint, path, body, deadline).then(answered, refused);
      };
      begin();
    });
  }

  async #askOne(endpoint: Endpoint, path: string, body: string, deadline: number): Promise<string> {
    await this.#greet(endpoint, deadline);
    for (let isFirst = true; ; isFirst = false) {
      const token = await this.#tokenFrom(endpoint, deadline);
      const reply = await this.#transport.request(endpoint, { path, body, token }, left(deadline));
      if (reply.status === 200) return reply.body;
      const refusal = refusalOf(endpoint, reply);
      if (!isFirst || this.#account.user === null || !wantsToken(refusal)) throw refusal;
      if (this.#token === token) this.#token = null;
    }
  }

  /** Whether a failed call is tried again: at another endpoint, or when its cluster has a leader again. */
  #mayTryAgain(error: unknown, isRepeatable: boolean, tries: number): boolean {
    if (isPassing(error)) return isRepeatable || isNotCarriedOut(error);
    // All endpoints have been asked already.
    if (isRepeatable) return false;
    return error instanceof Fault && isNotCarriedOut(error) && tries < this.#endpoints.size;
  }

  #blame(endpoint: Endpoint, error: unknown): void {
    if (error instanceof Fault && error.code === "ETIMEDOUT") this.#blameSilence(endpoint);
    else if (error instanceof Fault || isPassing(error)) this.#endpoints.failed(endpoint);
  }

  #blameSilence(endpoint: Endpoint): void {
    this.#endpoints.failed(endpoint);
    this.onSilent(endpoint);
  }

  /** Asks an endpoint for its version, once: whoever answers anything to a POST need not be an etcd. */
  async #greet(endpoint: Endpoint, deadline: number): Promise<void> {
    if (this.#greeted.has(endpoint)) return;
    const request = { path: "/version", body: null, token: "" };
    const reply = await this.#transport.request(endpoint, request, left(deadline));
    if (reply.status !== 200) {
      const refusal = refusalOf(endpoint, reply);
      throw refusal instanceof StoreError
        ? refusal
        : unusable(endpoint, `answers ${quoted(refusal.message)} when asked for its version`);
    }
    const answer = parseAnswer(schemas.version, reply.body);
    if (answer === null) throw unusable(endpoint, "does not tell its version");
    const { etcdserver: version } = answer;
    if (!isNewEnough(version)) throw unusable(endpoint, `is version ${quoted(version)}`);
    this.#greeted.add(endpoint);
  }

  /** The token that all calls share. Those who need it at one moment ask for it once. */
  async #tokenFrom(endpoint: Endpoint, deadline: number): Promise<string> {
    const { user } = this.#account;
    if (this.#token !== null || user === null) return this.#token ?? "";
    const pending = this.#authentications.get(endpoint);
    if (pending !== undefined) return pending;
    const asked = this.#authenticate(endpoint, user, deadline);
    this.#authentications.set(endpoint, asked);
    try {
      this.#token = await asked;
      return this.#token;
    } finally {
      this.#authentications.delete(endpoint);
    }
  }

  async #authenticate(
    endpoint: Endpoint,
    user: { readonly name: string; readonly password: string },
    deadline: number,
  ): Promise<string> {
    const body = JSON.stringify({ name: user.name, password: user.password });
    const request = { path: "/v3/auth/authenticate", body, token: "" };
    const reply = await this.#transport.request(endpoint, request, left(deadline));
    if (reply.status !== 200) {
      const refusal = refusalOf(endpoint, reply);
      // A user who is not asked for is no mistake; when the store asks for one later, we have it.
      if (refusal instanceof Refusal && refusal.says("authentication is not enabled")) return "";
      throw refusal;
    }
    const answer = parseAnswer(schemas.token, reply.body);
    if (answer === null) throw unusable(endpoint, "answers a password without a token");
    return answer.token;
  }
}

/** What is left of a call's time, in ms: a timer of 0 would be one of 1, and a negative one a mistake. */
function left(deadline: number): number {
  return Math.max(1, deadline - monotonicMs());
}

function isNewEnough(version: string): boolean {
  const [, major = "", minor = ""] = /^(\d{1,4})\.(\d{1,4})\./.exec(version) ?? [];
  const [leastMajor, leastMinor] = LEAST_VERSION;
  return Number(major) > leastMajor || (major === `${leastMajor}` && Number(minor) >= leastMinor);
}
