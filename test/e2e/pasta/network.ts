import type { Lab } from "../../lab/lab.ts";
import type { HeldNamespace, Namespace } from "../../lab/namespace.ts";
import { Background } from "./background.ts";

/** Until a guest has what its host has: pasta waits 100 ms for further changes, and the machine may be busy. */
export const FOLLOWED = { timeout: 10_000, interval: 50 };

/** A change of the host's network, undone at the end. @param script of ip(8)'s commands */
export async function changed(
  namespace: Namespace,
  script: string,
  undo: string,
): Promise<AsyncDisposable> {
  await ip(namespace, script);
  return { [Symbol.asyncDispose]: () => ip(namespace, undo) };
}

/** Each line is a command of ip(8). */
export async function ip(namespace: Namespace, script: string): Promise<void> {
  for (const line of script.split("\n").map((each) => each.trim())) {
    if (line !== "") await namespace.output(["ip", ...line.split(/ +/)]);
  }
}

interface IpAddress {
  readonly local: string;
  readonly prefixlen: number;
  readonly scope: string;
  readonly tentative?: boolean;
  readonly dynamic?: boolean;
}

interface IpRoute {
  readonly dst: string;
  readonly gateway?: string;
  readonly metric?: number;
  readonly protocol: string;
}

/** The global addresses of an interface, sorted; without those that it has made of a router advertisement. */
export async function addressesOf(namespace: Namespace, name: string): Promise<readonly string[]> {
  const text = await namespace.output(["ip", "-j", "address", "show", "dev", name]);
  const [link] = JSON.parse(text) as readonly { readonly addr_info: readonly IpAddress[] }[];
  return link.addr_info
    .filter(({ scope, tentative = false }) => scope === "global" && !tentative)
    .filter(({ dynamic = false }) => !dynamic)
    .map(({ local, prefixlen }) => `${local}/${prefixlen}`)
    .toSorted();
}

/** The routes of an interface, sorted; without those that the kernel has made by itself or of a router advertisement. */
export async function routesOf(namespace: Namespace, name: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const family of ["-4", "-6"]) {
    const text = await namespace.output(["ip", family, "-j", "route", "show", "dev", name]);
    for (const { dst, gateway = "", metric = 0, protocol } of JSON.parse(text) as IpRoute[]) {
      if (protocol !== "kernel" && protocol !== "ra")
        found.push(`${family} ${dst} ${gateway} ${metric}`);
    }
  }
  return found.toSorted();
}

/** Both. */
export async function networkOf(namespace: Namespace, name = "eth0"): Promise<readonly string[]> {
  return [...(await addressesOf(namespace, name)), ...(await routesOf(namespace, name))];
}

/** A guest of pasta, and the pasta. */
export class PastaGuest {
  readonly pasta: Background;
  readonly namespace: HeldNamespace;

  private constructor(pasta: Background, namespace: HeldNamespace) {
    this.pasta = pasta;
    this.namespace = namespace;
  }

  /** @param user who starts it, and with which environment */
  static async start(
    lab: Lab,
    args: readonly string[] = [],
    user: Namespace = lab.host.user,
  ): Promise<PastaGuest> {
    const namespace = await lab.host.namespace();
    const pasta = await Background.start(lab, [...args, `${namespace.pid}`], user);
    return new PastaGuest(pasta, namespace);
  }

  network(name?: string): Promise<readonly string[]> {
    return networkOf(this.namespace, name);
  }

  /** What an HTTP server says, or how curl failed. */
  async fetch(url: string): Promise<string> {
    const { code, stderr } = await this.namespace.run([
      ...["curl", "-sS", "--globoff", "-m", "20", "-o", "/dev/null", url],
    ]);
    return code === 0 ? "ok" : stderr;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pasta[Symbol.asyncDispose]();
    await this.namespace.release();
  }
}
