import { execFileSync } from "node:child_process";
import { connect } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { Launcher } from "../launch.ts";
import type { Namespace } from "../namespace.ts";
import {
  type Helper,
  type HelperOptions,
  NotAvailable,
  type PublishedPort,
  type RunningHelper,
  startTimed,
} from "./helper.ts";

/** slirp4netns, and every program with its command line: Slipway. */
export class Slirp4netns implements Helper {
  readonly name: string;
  readonly path: string;
  readonly #socketDirectory: string;

  /** @param socketDirectory where the unprivileged user may create the API socket. */
  constructor(name: string, path: string, socketDirectory: string) {
    this.name = name;
    this.path = path;
    this.#socketDirectory = socketDirectory;
  }

  async start(
    launcher: Launcher,
    namespace: Namespace,
    options: HelperOptions,
  ): Promise<RunningHelper> {
    const { mtu, publish } = options;
    const socket = join(this.#socketDirectory, `${namespace.pid}.sock`);
    if (publish !== null) this.#requireApi();
    const helper = await startTimed(launcher, [
      this.path,
      "--configure",
      "--ready-fd=3",
      `--mtu=${mtu}`,
      ...(publish === null ? [] : [`--api-socket=${socket}`]),
      `${namespace.pid}`,
      "tap0",
    ]);
    if (publish !== null) await addHostForward(socket, publish);
    return helper;
  }

  #requireApi(): void {
    const help = execFileSync(this.path, ["--help"], { encoding: "utf8" });
    if (!help.includes("--api-socket")) throw new NotAvailable(`${this.name} has no API socket`);
  }
}

/** One request of slirp4netns's API: JSON, half-close, JSON back. */
async function addHostForward(socket: string, port: PublishedPort): Promise<void> {
  const request = {
    execute: "add_hostfwd",
    arguments: {
      proto: "tcp",
      host_addr: "127.0.0.1",
      host_port: port.hostPort,
      guest_addr: "",
      guest_port: port.guestPort,
    },
  };
  const connection = connect(socket);
  connection.end(JSON.stringify(request));
  const answer = await text(connection);
  if (!answer.includes('"return"')) throw new Error(`add_hostfwd: ${answer}`);
}
