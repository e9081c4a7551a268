import { logText, UserError } from "../../base/errors.js";
import { log } from "../../base/log.js";
import { carryOut } from "../../client/carry-out.js";
import { type Attachment, attachmentOf, type Connection, join } from "../../client/connect.js";
import { type AttachmentTap, tapSettings } from "../../client/taps.js";
import { namedNamespace, type Requests } from "../../client/target.js";
import type { DaemonRequest, OutputFormat } from "../../commandline/requests.js";
import type { Node } from "../../commandline/template/syntax.js";
import { tapRequests } from "../../netns/tap.js";
import {
  answerMessage,
  type LauncherMessage,
  type LauncherTap,
  planMessage,
  upMessage,
} from "../../rpc/launcher.js";
import { checkParams, type GivenAttachment } from "../../rpc/messages.js";
import { isOwnNetwork } from "../../rpc/namespaces.js";
import { duplicateFd } from "../../sys/duplicate-fd.js";
import { native } from "../../sys/native.js";
import type { Methods } from "../server.js";

/** Of a template that the daemon evaluates: fields and texts, and characters of a text. */
const MOST_NODES = 16;
const LONGEST_TEXT = 256;

/**
 * Whether the daemon runs a command for its launcher. If the command fails, the launcher starts a process that runs it
 * again and prints the reason. So commands that may succeed in part are left out, and those that need more than the
 * command line. A template may print, and a filter that is a regular expression take, without measure: all
 * but the plainest templates are left to a process of the user's.
 */
export function isProxied(request: DaemonRequest): boolean {
  switch (request.action) {
    case "connect":
      return namedNamespace(request.target) !== null;
    case "inspect":
      return isBounded(request.output) && request.names.length === 1;
    case "list":
    case "members":
      return isBounded(request.output) && request.filters.length === 0;
    case "create":
      // What fails at the store would wait for it twice.
      return request.spec.driver === "bridge";
    case "disconnect":
    case "prune":
      return true;
    case "remove":
    case "hosts":
    case "add peer":
    case "peers":
    case "remove peers":
    case "start":
    case "stop":
    case "status":
      return false;
  }
}

/** Whether what is printed is at most a few times what --json prints: a short template of nothing but fields. */
function isBounded(output: OutputFormat): boolean {
  if (output.kind !== "template") return true;
  return output.template.length <= MOST_NODES && output.template.every(isPlain);
}

function isPlain(node: Node): boolean {
  if (node.kind === "text") return node.text.length <= LONGEST_TEXT;
  if (node.kind !== "print") return false;
  const { variables, calls } = node.pipeline;
  const [{ head, args }] = calls;
  const isField = head.kind === "field" && head.of.kind === "dot" && args.length === 0;
  return isField && variables.length === 0 && calls.length === 1;
}

/** Requests to the daemon in this process. */
export function requestsTo(methods: Methods): Requests & { readonly hasWarning: () => boolean } {
  const client = {
    members: new Set<string>(),
    pending: new Map(),
    process: () => null,
    tell: () => undefined,
    drop: () => undefined,
  };
  return {
    hasWarning: () => methods.warningsFor("network.list").length > 0,
    request: async (method, params, passed = null) => {
      const checked = checkParams(method, params);
      if (typeof checked === "string") throw new UserError(`${method}: ${checked}`);
      return methods.call(method, checked, client, passed === null ? null : duplicateFd(passed));
    },
  };
}

/** The message that the launcher is to send next. */
interface Awaited {
  readonly kind: LauncherMessage["kind"];
  readonly resolve: (came: Came) => void;
  readonly reject: (error: UserError) => void;
}

interface Came {
  readonly message: LauncherMessage;
  /** A handle. */
  readonly passed: number | null;
}

/** Runs a command that asks the daemon within the daemon, so that its launcher need not start Node. */
export class CommandProxy {
  readonly #requests: Requests;
  readonly #send: (message: Uint8Array) => void;
  #awaited: Awaited | null = null;
  #isGone = false;

  /** @param send sends to the launcher */
  constructor(requests: Requests, send: (message: Uint8Array) => void) {
    this.#requests = requests;
    this.#send = send;
  }

  /** Sends the answer, or nothing when the command fails. When it settles, the command is done or undone. */
  async answer(request: DaemonRequest): Promise<void> {
    try {
      const text = await carryOut(request, this.#requests, {
        connect: (what) => this.#connect(what),
        // What only /proc tells is left to the process that asks again.
        nameOfMember: async (text) => text,
      });
      this.#send(answerMessage(text));
    } catch (error) {
      if (error instanceof UserError) return;
      log.error("a command failed: %s", logText(error));
    }
  }

  /** @returns false when another message is awaited; `passed` stays the caller's then */
  onMessage(message: LauncherMessage | null, passed: number | null): boolean {
    const awaited = this.#awaited;
    if (message === null || message.kind !== awaited?.kind) return false;
    if ((message.kind === "tap") !== (passed !== null)) return false;
    this.#awaited = null;
    // Promises do not run within a wake-up of the loop.
    setImmediate(() => awaited.resolve({ message, passed }));
    return true;
  }

  /** The launcher has gone: no message follows. */
  onGone(): void {
    this.#isGone = true;
    const awaited = this.#awaited;
    this.#awaited = null;
    setImmediate(() => awaited?.reject(gone()));
  }

  #next(kind: Awaited["kind"]): Promise<Came> {
    return new Promise((resolve, reject) => {
      if (this.#isGone) reject(gone());
      else this.#awaited = { kind, resolve, reject };
    });
  }

  async #connect({ attachment, name, target }: Connection): Promise<Attachment> {
    const { netns, pid } = namedNamespace(target) ?? { netns: target, pid: null };
    const tap = attachment.ifname ?? null;
    if (isKnownAsOurs(netns)) throw new UserError("the host's network is no member's");
    this.#send(
      planMessage({ readyFd: null, exitFd: null, pid, netns, userns: null, tap, apiSocket: null }),
    );
    const { message, passed } = await this.#next("tap");
    if (message.kind !== "tap" || passed === null) throw gone();
    const { namespace: id, started } = message.tap;
    const namespace = { netns, userns: null, id, pid, started };
    try {
      const joined = await join(
        this.#requests,
        { name, namespace, attachments: [attachment] },
        (given) => this.#configure(given, message.tap, passed),
      );
      return attachmentOf(joined);
    } finally {
      native.close(passed);
    }
  }

  /** Has the launcher configure an attachment. @returns its TAP, a handle of its own */
  async #configure(
    given: GivenAttachment,
    { ifindex, name }: LauncherTap,
    tap: number,
  ): Promise<AttachmentTap> {
    this.#send(upMessage(tapRequests(ifindex, name, tapSettings(given, name)), ""));
    await this.#next("done");
    return { ifname: name, tap: duplicateFd(tap) };
  }
}

/** Whether a file is our own network namespace's, as far as the daemon may look. */
function isKnownAsOurs(netns: string): boolean {
  try {
    return isOwnNetwork(netns);
  } catch {
    return false;
  }
}

function gone(): UserError {
  return new UserError("the command has ended");
}
