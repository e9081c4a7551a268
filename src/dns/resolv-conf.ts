import { readFileSync, statSync } from "node:fs";
import { Address } from "../base/address.js";
import { monotonicMs } from "../base/clock.js";
import type { Upstream } from "../config/dns-config.js";

/** How often the file is checked while somebody asks, in ms. */
const CHECK_INTERVAL = 1000;

/**
 * Parses the text of a resolv.conf(5). Lines without a valid address are skipped, and so are addresses with a
 * zone (fe80::1%eth0), which Address cannot hold. The last search list counts.
 */
export function parseResolvConf(text: string): Upstream {
  const servers: Address[] = [];
  let search: readonly string[] = [];
  for (const line of text.split("\n")) {
    // As in glibc, the keyword must start the line.
    const [keyword = "", ...values] = line.trimEnd().split(/[ \t]+/);
    if (keyword === "nameserver") {
      const server = Address.parse(values[0] ?? "");
      if (server !== null) servers.push(server);
    }
    if (keyword === "search" || keyword === "domain") search = values;
  }
  return { servers, search };
}

/** A source of a file's text. */
export interface TextSource {
  /** @returns the text; null when it has not changed since the last call or cannot be read */
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
      // The file is being replaced, or does not exist.
      return null;
    }
  }
}

/**
 * The host's resolv.conf. It is checked when somebody asks, so that a change, a replacement or another target
 * of its link is noticed. While it is missing, its last text counts.
 */
export class ResolvConf implements Upstream {
  readonly #interval: number;
  #source: TextSource;
  #checkAt = 0;
  #text = "";
  #content: Upstream = parseResolvConf("");

  /** @param interval ms between checks of the file */
  constructor(path: string, interval = CHECK_INTERVAL) {
    this.#source = new FileText(path);
    this.#interval = interval;
  }

  /**
   * Takes the text from another source from now on, as the sandbox has no files. Reads the file once more
   * first: the source may answer late, and an old server is better than none.
   */
  followBy(source: TextSource): void {
    this.#check();
    this.#source = source;
  }

  get servers(): readonly Address[] {
    this.#check();
    return this.#content.servers;
  }

  get search(): readonly string[] {
    this.#check();
    return this.#content.search;
  }

  get text(): string {
    this.#check();
    return this.#text;
  }

  #check(): void {
    const now = monotonicMs();
    if (now < this.#checkAt) return;
    this.#checkAt = now + this.#interval;
    const text = this.#source.read();
    if (text === null) return;
    this.#text = text;
    this.#content = parseResolvConf(text);
  }
}

/** Changes whenever the file changes; links are followed. */
function stampOf(path: string): string {
  const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
  return [dev, ino, size, mtimeNs, ctimeNs].join(" ");
}
