import { readFileSync, statSync } from "node:fs";
import { Address } from "../base/address.js";
import { monotonicMs } from "../base/clock.js";
import type { Upstream } from "../config/dns-config.js";

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

/** Where the text of a file comes from. */
export interface TextSource {
  /** The text; null while it has not changed since the last call, or cannot be had. */
  readonly read: () => string | null;
}

/** A file by its path. */
class FileText implements TextSource {
  readonly #path: string;
  #stamp = "";

  constructor(path: string) {
    this.#path = path;
  }

  read(): string | null {
    try {
      const stamp = stampOf(this.#path);
      if (stamp === this.#stamp) return null;
      const text = readFileSync(this.#path, "utf8");
      this.#stamp = stamp;
      return text;
    } catch {
      // It is being replaced, or the host has none.
      return null;
    }
  }
}

/**
 * The host's resolv.conf, followed while it changes, is replaced, or becomes a link to another file:
 * it is looked at when somebody asks. While it is missing, the last text counts.
 */
export class ResolvConf implements Upstream {
  readonly #interval: number;
  #source: TextSource;
  #lookAt = 0;
  #text = "";
  #content: Upstream = parseResolvConf("");

  /** @param interval in ms, between looks at the file */
  constructor(path: string, interval = LOOK_INTERVAL) {
    this.#source = new FileText(path);
    this.#interval = interval;
  }

  /**
   * Leaves the looking to somebody else: in the sandbox there are no files. What there is now is
   * read before, as somebody else may be late, and no server is worse than an old one.
   */
  followBy(source: TextSource): void {
    this.#look();
    this.#source = source;
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
    const now = monotonicMs();
    if (now < this.#lookAt) return;
    this.#lookAt = now + this.#interval;
    const text = this.#source.read();
    if (text === null) return;
    this.#text = text;
    this.#content = parseResolvConf(text);
  }
}

/** What tells one state of a file, behind all links, from the next. */
function stampOf(path: string): string {
  const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
  return [dev, ino, size, mtimeNs, ctimeNs].join(" ");
}
