import { join } from "node:path";
import type { Guest, GuestOptions } from "../lab/guest.ts";
import type { Lab } from "../lab/lab.ts";

/** A guest whose helper takes requests at a socket. */
export interface ApiGuest extends AsyncDisposable {
  readonly guest: Guest;
  /** Its path as the host's user sees it. */
  readonly socket: string;
}

let serial = 0;

export async function apiGuest(lab: Lab, options: GuestOptions): Promise<ApiGuest> {
  serial += 1;
  const socket = join(await userDirectory(lab), `${serial}.sock`);
  const guest = await lab.guest({
    ...options,
    options: [...(options.options ?? []), "--api-socket", socket],
  });
  return { guest, socket, [Symbol.asyncDispose]: () => guest.close() };
}

/** A directory where the host's user may create files; removed with the lab. */
export async function userDirectory({ host }: Pick<Lab, "host">): Promise<string> {
  const directory = join(host.stage.directory, "user");
  await host.root.shell(`mkdir -p -m 1777 ${directory}`);
  return directory;
}

/** Sends text to the socket, closes the sending side and returns the answer. */
export async function askText(lab: Lab, socket: string, text: string): Promise<string> {
  return lab.host.user.output(["socat", "-t30", "STDIO", `UNIX-CONNECT:${socket}`], {
    input: text,
  });
}

export async function ask(lab: Lab, socket: string, request: object): Promise<unknown> {
  return JSON.parse(await askText(lab, socket, JSON.stringify(request)));
}

export interface Forward {
  readonly proto: "tcp" | "udp";
  readonly host_addr: string;
  readonly host_port: number;
  readonly guest_addr?: string;
  readonly guestPort: number;
}

/** @returns the rule's id */
export async function addForward(lab: Lab, socket: string, forward: Forward): Promise<number> {
  const { guestPort: guest_port, guest_addr = "", ...rest } = forward;
  const request = { execute: "add_hostfwd", arguments: { ...rest, guest_addr, guest_port } };
  const answer = (await ask(lab, socket, request)) as { return?: { id: number } };
  if (answer.return === undefined) throw new Error(JSON.stringify(answer));
  return answer.return.id;
}
