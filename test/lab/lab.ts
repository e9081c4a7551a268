import { Census } from "./census.ts";
import { Guest, type GuestOptions } from "./guest.ts";
import { Host } from "./host.ts";
import type { Impairment } from "./link.ts";
import { requireBuilt } from "./product.ts";
import { makeStage } from "./stage.ts";
import { World } from "./world.ts";

/**
 * A host on which Slipway runs without privileges, a world behind it with real servers, and guests
 * on the host. Everything lives in namespaces and ends with {@link Lab.close} or with this process.
 */
export class Lab {
  readonly world: World;
  readonly host: Host;
  readonly #census: Census;

  private constructor(census: Census, world: World, host: Host) {
    this.#census = census;
    this.world = world;
    this.host = host;
  }

  /**
   * Takes a fraction of a second.
   * @param impairment of the link between host and world; none: a veth pair as it is
   * @param manyIds for {@link Account}s: a normal user's subordinate ids are used
   */
  static async create(impairment?: Impairment, manyIds = false): Promise<Lab> {
    requireBuilt();
    const census = new Census();
    try {
      const stage = await makeStage(census, manyIds);
      const host = await Host.create(stage, impairment);
      return new Lab(census, await World.create(stage), host);
    } catch (error) {
      await census.end();
      throw error;
    }
  }

  /** A directory for files of the lab's processes, invisible to this one; removed with the lab. */
  get directory(): string {
    return this.host.stage.directory;
  }

  /** The mark that every process of this lab carries; see census.ts. */
  get id(): string {
    return this.#census.id;
  }

  /** A namespace of the unprivileged user, connected by the helper. */
  guest(options: GuestOptions = {}): Promise<Guest> {
    return Guest.create(this.host, options);
  }

  /** Ends everything; rejects if a process that the lab did not start outlived its parent. */
  close(): Promise<void> {
    return this.#census.end();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
