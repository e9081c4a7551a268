import { UserError } from "../../../src/base/errors.js";
import { isProgramOfPasta, parsePasta } from "../../../src/commandline/pasta/command-line.js";
import type { PastaConfig } from "../../../src/commandline/pasta/config.js";
import type { PestoRequest } from "../../../src/commandline/pasta/pesto.js";
import type { PastaInvocation } from "../../../src/commandline/pasta/programs.js";

/** A command line of one of the programs. */
export function parse(name: string, args: readonly string[]): PastaInvocation {
  if (!isProgramOfPasta(name)) throw new Error(`no program of pasta: ${name}`);
  return parsePasta(name, args);
}

export function pasta(...args: string[]): PastaConfig {
  return configOf("pasta", args);
}

export function passt(...args: string[]): PastaConfig {
  return configOf("passt", args);
}

function configOf(name: string, args: readonly string[]): PastaConfig {
  const invocation = parse(name, args);
  if (invocation.kind !== "pasta") throw new Error(`parsed as ${invocation.kind}`);
  return invocation.config;
}

export function pesto(...args: string[]): PestoRequest {
  const invocation = parse("pesto", args);
  if (invocation.kind !== "pesto") throw new Error(`parsed as ${invocation.kind}`);
  return invocation.request;
}

/** The message of an error, whose status is always 1. */
export function refusal(name: string, ...args: string[]): string {
  try {
    parse(name, args);
  } catch (error) {
    if (error instanceof UserError && error.exitStatus === 1) return error.message;
    throw error;
  }
  throw new Error("accepted");
}
