import type { Described } from "../parsing/command.js";
import type { Given } from "../parsing/getopt.js";
import type { Options, Values } from "../parsing/option.js";
import type { PastaConfig } from "./config.js";
import { passtConfig, pastaConfig } from "./config-of.js";
import { passtOptions, pastaOptions, pestoOptions } from "./options.js";
import type { PestoRequest } from "./pesto.js";
import { pestoRequest } from "./pesto-request.js";

/** What a command line of these programs asks for. */
export type PastaInvocation =
  | { readonly kind: "print"; readonly text: string }
  | { readonly kind: "pasta"; readonly config: PastaConfig }
  | { readonly kind: "pesto"; readonly request: PestoRequest };

/** A program with a command line as pasta's. */
export interface Program extends Described {
  /** Whether the first argument ends the options, as another program's command line begins with it. */
  readonly passesThrough: boolean;
  /** @throws UserError */
  invoke(given: Given): Exclude<PastaInvocation, { kind: "print" }>;
}

const pasta: Program = {
  help: "User-mode networking for a network namespace: that of a process, of a file, or a new one for COMMAND or a shell. By Slipway.",
  usage: "[options] [PID | COMMAND [ARG...]]",
  options: pastaOptions,
  arguments: [],
  passesThrough: true,
  invoke: (given) => ({
    kind: "pasta",
    config: pastaConfig(valuesOf(pastaOptions, given), given.operands),
  }),
};

const passt: Program = {
  help: "User-mode networking for a virtual machine, by way of a UNIX domain socket. By Slipway.",
  options: passtOptions,
  arguments: [],
  passesThrough: false,
  invoke: (given) => ({
    kind: "pasta",
    config: passtConfig(valuesOf(passtOptions, given), given.operands),
  }),
};

const pesto: Program = {
  help: "Change the ports of a running pasta or passt, or show them. By Slipway.",
  usage: "[options] PATH",
  options: pestoOptions,
  arguments: [{ name: "PATH", help: "socket that pasta -c or passt -c has made", count: "once" }],
  passesThrough: false,
  invoke: (given) => ({ kind: "pesto", request: pestoRequest(given) }),
};

export const programs = { pasta, passt, pesto } as const;

/** The checked values of all options. */
function valuesOf<O extends Options>(options: O, given: Given): Values<O> {
  const values: Record<string, unknown> = {};
  for (const [key, option] of Object.entries(options)) {
    const texts = given.options.flatMap((each) => (each.key === key ? [each.text] : []));
    values[key] = option.read(texts);
  }
  // Each value is what its option reads, by the same key.
  return values as Values<O>;
}
