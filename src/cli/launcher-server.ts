import { statSync } from "node:fs";
import { serveApi } from "../api/server.js";
import { tapRequests } from "../attach.js";
import { UserError } from "../base/errors.js";
import { log, partOfLog } from "../base/log.js";
import type { Door } from "../base/peer.js";
import type { GuestConfig, Upstream } from "../base/plan.js";
import type { Requests } from "../client/connect.js";
import { parseCommandLine } from "../commandline/command-line.js";
import type { AttachConfig, NamespaceTarget } from "../commandline/invocation.js";
import type { DaemonRequest } from "../commandline/requests.js";
import type { PublishedRule } from "../flow/published.js";
import type { Loop } from "../loop.js";
import {
  endMessage,
  keepMessage,
  LAUNCHER_VERSION,
  type LauncherMessage,
  type LauncherRequest,
  type LauncherTap,
  LONGEST_LAUNCHER_MESSAGE,
  parseLauncherMessage,
  planMessage,
  upMessage,
} from "../protocol/launcher.js";
import { namespaceId } from "../protocol/namespaces.js";
import { apiDirectory } from "../protocol/xdg.js";
import { ResolvConf } from "../service/resolvconf.js";
import { Epoll, Errno, Socket } from "../sys/constants.js";
import { Gate } from "../sys/gate.js";
import { acceptLocal } from "../sys/local-socket.js";
import { native } from "../sys/native.js";
import { listenPrivately } from "../sys/private-socket.js";
import { announcement } from "./announcement.js";
import { socketPathOf } from "./api-path.js";
import { CommandProxy, isProxied } from "./command-proxy.js";
import { guestConfig, hostnameOf, RESOLV_CONF, tapSettings } from "./network.js";
import { formatSnapshot } from "./port-snapshot.js";
import { publishPorts } from "./publish.js";
import { type ServedGuest, serveGuest } from "./serve-guest.js";

const MOST_LAUNCHERS = 1024;
const ACCEPT_BATCH = 16;
/** As podman writes it. */
const WARM_UP_ARGS = [
  ...["--disable-host-loopback", "--mtu=65520", "--enable-sandbox", "--enable-seccomp"],
  ...["--enable-ipv6", "-c", "-r", "4", `${process.pid}`, "tap0"],
];
const WARM_UP_ROUNDS = 20;

/** The launcher starts a process of its own, which hears the reason where it asks the daemon. */
const REFUSAL = endMessage(
  1,
  "the daemon does not serve the namespaces of this client: run it outside",
);

const chunk = new Uint8Array(LONGEST_LAUNCHER_MESSAGE);

/**
 * Guests of launchers in shared mode (native/launcher/shared/protocol.h): each is what a process of its own
 * would serve, and ends with its launcher. And launchers of commands that ask the daemon.
 */
export class LauncherServer {
  readonly #loop: Loop;
  readonly #requests: Requests;
  readonly #listener: number;
  readonly #upstream = new ResolvConf(RESOLV_CONF);
  readonly #launchers = new Set<Launcher>();
  readonly #gate: Gate;

  /**
   * @param requests to the daemon
   * @param door whom it is for
   * @throws UserError when it cannot be listened at `path`
   */
  constructor(path: string, loop: Loop, requests: Requests, door: Door) {
    this.#loop = loop;
    this.#gate = new Gate("the launchers' socket", door);
    this.#requests = requests;
    this.#listener = listenPrivately("socket", path, Socket.SequencedPackets);
    loop.watch(this.#listener, Epoll.In, () => this.#accept());
    loop.onReclaimed = () => warmUp(this.#upstream);
  }

  /** Launchers start processes of their own. */
  close(): void {
    this.#loop.unwatch(this.#listener);
    native.close(this.#listener);
    this.#gate.close();
    for (const launcher of this.#launchers) launcher.close();
  }

  #accept(): void {
    for (let count = 0; count < ACCEPT_BATCH; count += 1) {
      const fd = acceptLocal(this.#listener);
      if (fd < 0) return;
      if (native.peerUid(fd) === process.geteuid?.()) this.#admit(fd);
      else native.close(fd);
    }
  }

  #admit(fd: number): void {
    const obstacle = this.#gate.obstacleOf(fd);
    // At once: it may have sent a TAP, and the process that is started instead makes one of that name.
    if (obstacle !== null) this.#gate.refuse(fd, obstacle, REFUSAL);
    else if (this.#launchers.size < MOST_LAUNCHERS) this.#serve(fd);
    else native.close(fd);
  }

  #serve(fd: number): void {
    const context = { loop: this.#loop, upstream: this.#upstream, requests: this.#requests };
    const launcher = new Launcher(fd, context, () => this.#launchers.delete(launcher));
    this.#launchers.add(launcher);
  }
}

/** What a launcher asked for, understood. */
interface Planned {
  readonly options: AttachConfig & { readonly target: NamespaceTarget };
  readonly config: GuestConfig;
  /** Path of the API's socket. */
  readonly apiSocket: string | null;
}

interface Context {
  readonly loop: Loop;
  readonly upstream: Upstream;
  readonly requests: Requests;
}

/** The connection of one launcher, and its guest. */
class Launcher {
  readonly #fd: number;
  readonly #loop: Loop;
  readonly #context: Context;
  readonly #onClosed: () => void;
  /** null: it wants a guest. */
  #proxy: CommandProxy | null = null;
  #planned: Planned | null = null;
  #hasApi = false;
  #guest: ServedGuest | null = null;
  /** What is to be told of the ports; null: all has been. */
  #untold: readonly PublishedRule[] | null = null;
  #isClosed = false;

  /** @param fd becomes the launcher's */
  constructor(fd: number, context: Context, onClosed: () => void) {
    const { loop } = context;
    this.#fd = fd;
    this.#loop = loop;
    this.#context = context;
    this.#onClosed = onClosed;
    loop.watch(fd, Epoll.In, (events) => this.#onEvents(events));
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#guest?.close();
    this.#loop.unwatch(this.#fd);
    native.close(this.#fd);
    this.#onClosed();
  }

  #onEvents(events: number): void {
    if ((events & Epoll.Out) !== 0) this.#tellPorts();
    const came = native.receivePassed(this.#fd, chunk);
    if (came === -Errno.EAGAIN) return;
    if (typeof came === "number" || came.length === 0) {
      this.#end();
      return;
    }
    const passed = came.passed < 0 ? null : came.passed;
    const message = parseLauncherMessage(chunk.subarray(0, came.length));
    try {
      this.#onMessage(message, passed);
    } catch (error) {
      // The process that the launcher starts instead says it to whoever asked.
      if (!(error instanceof UserError || error instanceof RangeError)) {
        log.error("a launcher failed: %s", error instanceof Error ? error.stack : error);
      }
      this.close();
    }
  }

  #onMessage(message: LauncherMessage | null, passed: number | null): void {
    const guest = this.#guest;
    if (this.#proxy !== null) {
      if (this.#proxy.onMessage(message, passed)) return;
      if (passed !== null) native.close(passed);
      this.#end();
    } else if (message?.kind === "request" && this.#planned === null && passed === null) {
      this.#begin(message.request);
    } else if (message?.kind === "tap" && guest === null && passed !== null) {
      this.#serve(message.tap, passed);
    } else if (message?.kind === "api" && guest !== null && !this.#hasApi && passed !== null) {
      this.#hasApi = true;
      guest.serveApi((...about) => serveApi(passed, ...about));
    } else {
      if (passed !== null) native.close(passed);
      this.close();
    }
  }

  /** It says no more. What it asked for is undone before it hears that. */
  #end(): void {
    if (this.#proxy === null) this.close();
    else this.#loop.unwatch(this.#fd);
    this.#proxy?.onGone();
  }

  /** @throws UserError when the command line is wrong */
  #begin(request: LauncherRequest): void {
    const invocation = isOnOurHost(request) ? parseCommandLine(request.name, request.args) : null;
    if (invocation?.kind === "attach") this.#plan(invocation.config, request.pid);
    else if (invocation?.kind === "ask daemon" && isProxied(invocation.request)) {
      this.#answer(invocation.request);
    } else this.close();
  }

  #answer(request: DaemonRequest): void {
    const proxy = new CommandProxy(this.#context.requests, (message) => this.#send(message));
    this.#proxy = proxy;
    // Outside of the wake-up, where promises are served.
    setImmediate(() => void proxy.answer(request).then(() => this.close()));
  }

  #plan(options: AttachConfig, launcher: string): void {
    const planned = planOf(options, launcher, this.#context.upstream);
    if (planned === null) {
      this.close();
      return;
    }
    this.#planned = planned;
    this.#send(planMessageOf(planned));
  }

  #serve({ ifindex }: LauncherTap, tap: number): void {
    const planned = this.#planned;
    if (planned === null) {
      native.close(tap);
      this.close();
      return;
    }
    const { options, config } = planned;
    const { tap: name, publish, target, maxApiClients } = options;
    // What comes before the guest is there waits in the TAP and in the API's socket. If it can't be
    // made the launcher hears that we are gone, and goes on by itself.
    const isUp = publish.ports.length === 0;
    if (isUp) this.#send(upMessageOf(planned, ifindex, ""));
    let report = "";
    this.#guest = serveGuest(this.#loop, {
      tap: { fd: tap, vnetHeader: true },
      tapName: name,
      pid: target.pid,
      config,
      log: partOfLog(),
      api: { mostClients: maxApiClients, isOpenInside: false },
      publish: (guest) =>
        publishPorts(guest, publish.ports, false, (line) => {
          report += line;
        }),
      onGone: (why) => this.#onGone(name, why),
    });
    const { forwards } = this.#guest.guest;
    forwards.onChange = () => this.#onPorts(forwards.rules);
    if (!isUp) {
      forwards.onChange();
      this.#send(upMessageOf(planned, ifindex, report));
    }
  }

  /** In the words of attach.ts. */
  #onGone(tap: string, why: string): void {
    if (this.#isClosed) return;
    this.#send(endMessage(1, `${tap}: ${why}: the network of the namespace is gone`));
    this.close();
  }

  /** Once for what one request changes. */
  #onPorts(rules: readonly PublishedRule[]): void {
    const isWaiting = this.#untold !== null;
    this.#untold = rules;
    if (!isWaiting) setImmediate(() => this.#tellPorts());
  }

  #tellPorts(): void {
    if (this.#untold === null || this.#isClosed) return;
    const sent = native.sendPassing(this.#fd, keepMessage(formatSnapshot(this.#untold)), null);
    if (sent === -Errno.EAGAIN) {
      this.#loop.rewatch(this.#fd, Epoll.In | Epoll.Out);
      return;
    }
    if (sent === -Errno.EMSGSIZE) log.warn("too many ports are published to outlive the daemon");
    this.#untold = null;
    this.#loop.rewatch(this.#fd, Epoll.In);
  }

  /** What the launcher does not take it can't need: its end shows by itself. */
  #send(message: Uint8Array): void {
    if (!this.#isClosed) native.sendPassing(this.#fd, message, null);
  }
}

/** The network namespace that this process stands in. */
let ourNamespace: string | null = null;

/** Whether what leaves from here is what would leave from there, and names are resolved as there. */
function isOnOurHost({ version, namespace, resolvConf }: LauncherRequest): boolean {
  ourNamespace ??= namespaceId("/proc/self/ns/net");
  return (
    version === LAUNCHER_VERSION &&
    namespace === ourNamespace &&
    resolvConf === identityOf(RESOLV_CONF)
  );
}

function identityOf(file: string): string {
  const { dev = 0, ino = 0 } = statSync(file, { throwIfNoEntry: false }) ?? {};
  return `${dev}:${ino}`;
}

/**
 * @param launcher its pid
 * @returns null for what only a process of its own can do
 * @throws UserError when the command line is wrong
 */
function planOf(options: AttachConfig, launcher: string, upstream: Upstream): Planned | null {
  const { target } = options;
  if (target.kind !== "namespace" || !isShareable(options)) return null;
  return {
    options: { ...options, target },
    config: guestConfig(options.network, upstream, hostnameOf(target.pid)),
    apiSocket: apiSocketOf(options, launcher),
  };
}

function planMessageOf({ options, apiSocket }: Planned): Uint8Array {
  const { readyFd, exitFd, tap, target } = options;
  const { netns, userns, pid } = target;
  return planMessage({ readyFd, exitFd, pid, netns, userns, tap, apiSocket });
}

/** @param report what is said of ports that we chose */
function upMessageOf({ options, config }: Planned, ifindex: number, report: string): Uint8Array {
  const { configure, mac, tap } = options;
  const settings = configure ? tapRequests(ifindex, tap, tapSettings(config, mac)) : [];
  return upMessage(settings, announcement(options, config) + report);
}

/**
 * Runs what the next launcher will wait for, and discards the result. A garbage collection may throw away compiled
 * code: then a command line takes 2.2 ms, and 0.7 ms after this.
 */
function warmUp(upstream: Upstream): void {
  for (let count = 0; count < WARM_UP_ROUNDS; count += 1) {
    const invocation = parseCommandLine("slirp4netns", WARM_UP_ARGS);
    if (invocation.kind !== "attach") return;
    const planned = planOf(invocation.config, "", upstream);
    if (planned === null) return;
    planMessageOf(planned);
    upMessageOf(planned, 1, "");
  }
}

/** What is written to files or to stderr, and what needs to be in the namespace later, is not. */
function isShareable(options: AttachConfig): boolean {
  const { log: logged, pcap, stats, sandbox, exitWithNetns, publish, network } = options;
  const isPlain = logged.file === null && logged.level === null && logged.format === "text";
  if (!isPlain || pcap !== null || stats || !sandbox || exitWithNetns) return false;
  if (publish.auto !== null || publish.toLoopback) return false;
  return network.outbound[4] === null && network.outbound[6] === null;
}

function apiSocketOf({ apiSocket }: AttachConfig, pid: string): string | null {
  if (typeof apiSocket === "object") return apiSocket.path;
  const directory = apiSocket === "own" ? apiDirectory() : null;
  return directory === null ? null : socketPathOf(directory, pid);
}
