import { join } from "node:path";
import type { Lab } from "./lab.ts";
import type { Namespace } from "./namespace.ts";
import { root } from "./product.ts";

/** What a process of the same uid may do to a process that it sees: forge.c. */
export class Forger {
  readonly #program: string;

  private constructor(program: string) {
    this.#program = program;
  }

  static async create({ directory, host: { stage } }: Lab): Promise<Forger> {
    const program = join(directory, "forge");
    const source = stage.inside(join(root, "test/lab/forge.c"));
    const flags = ["-std=gnu17", "-O1", "-Wall", "-Wextra", "-Werror"];
    await stage.namespace.output(["gcc", ...flags, "-o", program, source]);
    return new Forger(program);
  }

  /**
   * Sends signals with every si_code, to the process and each of its threads.
   * @param address in place of every pointer
   * @returns how many were sent
   */
  async signals(from: Namespace, pid: number, address: number, signals: number[]): Promise<number> {
    const numbers = [pid, address, ...signals].map(String);
    return Number(await from.output([this.#program, "signals", ...numbers]));
  }
}
