import { type Helper, NotAvailable, type RunningHelper } from "./helper.ts";

/** The kernel itself: a bridge and veth pairs, with offloads set by ethtool. No process is started. */
export class Veth implements Helper {
  static readonly OFFLOADED = "veth";
  static readonly PLAIN = "veth-plain";

  readonly name: string;
  readonly path: string;
  readonly part = "members";

  constructor(name: string, path: string) {
    this.name = name;
    this.path = path;
  }

  /** Whether it may use superframes and omit checksums, as veth does by default. */
  get isOffloaded(): boolean {
    return this.name === Veth.OFFLOADED;
  }

  async start(): Promise<RunningHelper> {
    throw new NotAvailable("measured between members only");
  }
}
