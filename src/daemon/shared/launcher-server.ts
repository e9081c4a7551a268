import { serveApi } from "../../api/server.js";
import { logText, UserError } from "../../base/errors.js";
import { childLog, log } from "../../base/log.js";
import type { Requests } from "../../client/target.js";
import { parseCommandLine } from "../../commandline/command-line.js";
import type { DaemonRequest } from "../../commandline/requests.js";
import type { Upstream } from "../../config/dns-config.js";
import { ResolvConf } from "../../dns/resolv-conf.js";
import type { Guest } from "../../guest/guest.js";
import { HostWatch } from "../../host/copy/host-watch.js";
import { RESOLV_CONF } from "../../host/guest-config.js";
import { formatSnapshot } from "../../host/ports/port-snapshot.js";
import { type ServedGuest, serveGuest } from "../../host/serve-guest.js";
import type { Loop } from "../../loop/loop.js";
import type { PublishedRule } from "../../nat/published-port.js";
import { type Resident, residentOf } from "../../netns/agent.js";
import {
  endMessage,
  keepMessage,
  type LauncherMessage,
  type LauncherRequest,
  type LauncherTap,
  LONGEST_LAUNCHER_MESSAGE,
  parseLauncherMessage,
} from "../../rpc/launcher.js";
import { Epoll, Errno, Socket } from "../../sys/constants.js";
import { native } from "../../sys/native.js";
import type { Audience } from "../../sys/peers/access.js";
import { Gate } from "../../sys/peers/gate.js";
import { acceptLocal } from "../../sys/sockets/local-socket.js";
import { listenPrivately } from "../../sys/sockets/private-socket.js";
import { CommandProxy, isProxied } from "./command-proxy.js";
import { invocationOf, pastaPlanOf } from "./pasta-plan.js";
import { differenceOf, type Planned, planMessageOf, planOf, upMessageOf } from "./plan.js";

const MOST_LAUNCHERS = 1024;
const ACCEPT_BATCH = 16;
/** The command line that podman writes. */
const WARM_UP_ARGS =
  `--disable-host-loopback --mtu=65520 --enable-sandbox --enable-seccomp --enable-ipv6 -c -r 4 ${process.pid} tap0`.split(
    " ",
  );
const WARM_UP_ROUNDS = 20;

const REFUSAL = refusalOf(
  "the daemon does not serve the namespaces of this client: run it outside",
);
const CROWDED = refusalOf(
  `the daemon serves ${MOST_LAUNCHERS} launchers already, which is the most`,
);

const chunk = new Uint8Array(LONGEST_LAUNCHER_MESSAGE);

/**
 * Answers launchers (native/launcher/shared/protocol.h). In shared mode the daemon serves the guest that a launcher
 * would otherwise start a process for, until the launcher ends; for commands that ask the daemon it runs the command.
 */
export class LauncherServer {
  readonly #loop: Loop;
  readonly #requests: WarningRequests;
  readonly #listener: number;
  readonly #upstream = new ResolvConf(RESOLV_CONF);
  readonly #watch = new HostWatch();
  readonly #launchers = new Set<Launcher>();
  readonly #gate: Gate;

  /**
   * @param requests to the daemon
   * @param audience who may connect
   * @throws UserError when it cannot listen at `path`
   */
  constructor(path: string, loop: Loop, requests: WarningRequests, audience: Audience) {
    this.#loop = loop;
    this.#gate = new Gate("the launchers' socket", audience);
    this.#requests = requests;
    this.#listener = listenPrivately("socket", path, Socket.SequencedPackets);
    loop.watch(this.#listener, Epoll.In, () => this.#accept());
    this.#watch.start(loop);
    loop.onReclaimed = () => warmUp(this.#upstream);
  }

  /** Ends all guests; their launchers then start processes of their own. */
  close(): void {
    this.#loop.unwatch(this.#listener);
    native.close(this.#listener);
    this.#gate.close();
    this.#watch.close();
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
    const reason = this.#gate.refusalReason(fd);
    // Close at once: the launcher may have sent a TAP, and the process that it starts makes one of the same name.
    if (reason !== null) this.#gate.refuse(fd, reason, REFUSAL);
    else if (this.#launchers.size < MOST_LAUNCHERS) this.#serve(fd);
    else {
      native.sendPassing(fd, CROWDED, null);
      native.close(fd);
    }
  }

  #serve(fd: number): void {
    const context = {
      loop: this.#loop,
      watch: this.#watch,
      upstream: this.#upstream,
      requests: this.#requests,
    };
    const launcher = new Launcher(fd, context, () => this.#launchers.delete(launcher));
    this.#launchers.add(launcher);
  }
}

/** Requests to the daemon, which warns of something with those of a command. */
type WarningRequests = Requests & { readonly hasWarning: () => boolean };

interface Context {
  readonly loop: Loop;
  /** Of the host's network, of which guests have a copy. */
  readonly watch: HostWatch;
  readonly upstream: Upstream;
  readonly requests: WarningRequests;
}

/**
 * The connection of one launcher, and its guest.
 *
 *   state     fields                    next message        leads to
 *   begun     #planned, #proxy null     request: attach     planned, or closed: not shareable
 *                                       request: command    proxied
 *   planned   #planned set              tap                 served
 *   served    #guest set                api, at most once   served
 *                                       agent, likewise     served
 *   proxied   #proxy set                what it awaits      proxied, then closed with the answer
 *
 * Any other message, an error and the end of the connection close it. A launcher whose connection is closed without an
 * answer, or refused before UP, goes on by a process of its own, which tells the user of `--shared` the reason.
 */
class Launcher {
  readonly #fd: number;
  readonly #loop: Loop;
  readonly #context: Context;
  readonly #onClosed: () => void;
  /** null: no command is run for it. */
  #proxy: CommandProxy | null = null;
  #planned: Planned | null = null;
  #hasApi = false;
  /** Of the launcher that has passed one, in the guest's namespace. */
  #agent: Resident | null = null;
  /** Whether the launcher was told that its network is up. */
  #isUp = false;
  #guest: ServedGuest | null = null;
  /** Published ports that the launcher has not been told yet; null: it knows all. */
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
    this.#planned?.end?.();
    this.#guest?.close();
    this.#agent?.close();
    this.#loop.unwatch(this.#fd);
    native.close(this.#fd);
    this.#onClosed();
  }

  #onEvents(events: number): void {
    // It has given up: what it has sent must not take effect.
    if ((events & Epoll.HangUp) !== 0) {
      this.#end();
      return;
    }
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
      this.#fail(error);
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
    } else if (
      message?.kind === "agent" &&
      guest !== null &&
      this.#agent === null &&
      passed !== null
    ) {
      this.#takeAgent(passed, guest.guest);
    } else {
      if (passed !== null) native.close(passed);
      this.close();
    }
  }

  /**
   * Without it clients of the host's loopback are refused, and the host's network is not followed: there may be as many
   * agents as guests.
   */
  #takeAgent(socket: number, guest: Guest): void {
    const agent = native.adoptAgent(socket);
    if (agent < 0) {
      native.close(socket);
      return;
    }
    this.#agent = residentOf(agent);
    this.#planned?.useAgent?.(this.#agent, guest);
  }

  /** The launcher starts a process of its own. That meets an error of the command line, too, and ends with it. */
  #fail(error: unknown): void {
    if (error instanceof UserError || error instanceof RangeError) {
      this.#refuse(error.message);
      return;
    }
    log.error("a launcher failed: %s", logText(error));
    this.#refuse("the daemon failed: see its log");
  }

  /** @param reason for the user, which follows `--shared: ` */
  #refuse(reason: string): void {
    // Once it is up, a launcher would end with the message.
    if (!this.#isUp) this.#send(refusalOf(reason));
    this.close();
  }

  /** The launcher has closed its end. A command under way is undone before the connection is closed. */
  #end(): void {
    if (this.#proxy === null) this.close();
    else this.#loop.unwatch(this.#fd);
    this.#proxy?.onGone();
  }

  /** @throws UserError when the command line is wrong */
  #begin(request: LauncherRequest): void {
    const difference = differenceOf(request);
    if (difference !== null) {
      this.#refuse(difference);
      return;
    }
    const invocation = invocationOf(request);
    const { watch, upstream } = this.#context;
    if (invocation.kind === "attach") this.#plan(planOf(invocation.config, request.pid, upstream));
    else if (invocation.kind === "pasta")
      this.#plan(pastaPlanOf(invocation.config, watch, upstream));
    else if (invocation.kind === "ask daemon") this.#answer(invocation.request);
    else this.close();
  }

  /** An answer by way of the launcher is for stdout only: with a warning, a process asks again. */
  #answer(request: DaemonRequest): void {
    if (!isProxied(request) || this.#context.requests.hasWarning()) {
      this.close();
      return;
    }
    const proxy = new CommandProxy(this.#context.requests, (message) => this.#send(message));
    this.#proxy = proxy;
    // Promises do not run within a wake-up of the loop.
    setImmediate(() => void proxy.answer(request).then(() => this.close()));
  }

  #plan(planned: Planned | string): void {
    if (typeof planned === "string") {
      this.#refuse(`the daemon does not serve ${planned}`);
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
    const { config, tap: name, publish, target, mostApiClients: mostClients } = planned;
    // The launcher may go on before the guest is made: frames wait in the TAP, clients in the API's socket. If the
    // guest cannot be made, the connection closes and the launcher serves the TAP by a process of its own.
    if (publish === null) this.#bringUp(planned, ifindex, "");
    let report = "";
    this.#guest = serveGuest(this.#loop, {
      tap: { fd: tap, vnetHeader: true },
      tapName: name,
      pid: target.pid,
      config,
      log: childLog(),
      api: { mostClients, isOpenInside: false },
      publish: (guest) =>
        publish?.(guest, (line) => {
          report += line;
        }),
      onGone: (why) => this.#onGone(name, why),
    });
    const { forwards } = this.#guest.guest;
    forwards.onChange = () => this.#onPorts(forwards.rules);
    if (!this.#isUp) {
      forwards.onChange();
      this.#bringUp(planned, ifindex, report);
    }
  }

  /** @param report lines about the ports that Slipway chose */
  #bringUp(planned: Planned, ifindex: number, report: string): void {
    this.#send(upMessageOf(planned, ifindex, report));
    this.#isUp = true;
  }

  /** In the words of attach.ts. */
  #onGone(tap: string, why: string): void {
    if (this.#isClosed) return;
    this.#send(endMessage(1, `${tap}: ${why}: the network of the namespace is gone`));
    this.close();
  }

  /** Tells the launcher once of all changes of one request. */
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

  /** Errors are ignored: they come from a launcher that has ended, which the loop reports. */
  #send(message: Uint8Array): void {
    if (!this.#isClosed) native.sendPassing(this.#fd, message, null);
  }
}

/** On this, before UP, the launcher starts a process of its own. */
function refusalOf(reason: string): Uint8Array {
  return endMessage(1, reason);
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
    if (typeof planned === "string") return;
    planMessageOf(planned);
    upMessageOf(planned, 1, "");
  }
}
