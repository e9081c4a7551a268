import { readFileSync, statSync } from "node:fs";
import { Address } from "../base/address.js";
import type { Upstream } from "../base/plan.js";

/** How often a file that is in use is looked at, in ms; one that is not in use never is. */
const LOOK_INTERVAL = 1000;

/**
 * Reads the text of a resolv.conf(5). Servers come in its order; lines that name none are skipped,
 * also those with an address of a zone (fe80::1%eth0), which Address cannot hold. Of several search
 * lists the last counts.
 */
export function parseResolvConf(text: string): Upstream {
  const servers: Address[] = [];
  let search: readonly string[] = [];
  for (const line of text.split("\n")) {
    // The keyword starts the line, as in glibc.
    const [keyword = "", ...values] = line.trimEnd().split(/[ \t]+/);
    if (keyword === "nameserver") {
      const server = Address.parse(values[0] ?? "");
      if (server !== null) servers.push(server);
    }
    if (keyword === "search" || keyword === "domain") search = values;
  }
  return { servers, search };
}

/**
 * The host's resolv.conf, followed while it changes, is replaced, or becomes a link to another file:
 * it is looked at when somebody asks. While it is missing, the last text counts.
 */
export class ResolvConf implements Upstream {
  readonly #path: string;
  readonly #interval: number;
  #lookAt = 0;
  #stamp = "";
  #text = "";
  #content: Upstream = parseResolvConf("");

  /** @param interval in ms, between looks at the file */
  constructor(path: string, interval = LOOK_INTERVAL) {
    this.#path = path;
    this.#interval = interval;
  }

  get servers(): readonly Address[] {
    this.#look();
    return this.#content.servers;
  }

  get search(): readonly string[] {
    this.#look();
    return this.#content.search;
  }

  get text(): string {
    this.#look();
    return this.#text;
  }

  #look(): void {
    const now = performance.now();
    if (now < this.#lookAt) return;
    this.#lookAt = now + this.#interval;
    try {
      const stamp = stampOf(this.#path);
      if (stamp === this.#stamp) return;
      this.#text = readFileSync(this.#path, "utf8");
      this.#content = parseResolvConf(this.#text);
      this.#stamp = stamp;
    } catch {
      // It is being replaced, or the host has none.
    }
  }
}

/** What tells one state of a file, behind all links, from the next. */
function stampOf(path: string): string {
  const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
  return [dev, ino, size, mtimeNs, ctimeNs].join(" ");
}
