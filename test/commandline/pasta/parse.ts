import { UserError } from "../../../src/base/errors.js";
import { parseCommandLine } from "../../../src/commandline/command-line.js";
import type { PastaConfig } from "../../../src/commandline/pasta/config.js";
import type { PestoRequest } from "../../../src/commandline/pasta/pesto.js";

export function pasta(...args: string[]): PastaConfig {
  return configOf("pasta", args);
}

export function passt(...args: string[]): PastaConfig {
  return configOf("passt", args);
}

function configOf(name: string, args: readonly string[]): PastaConfig {
  const invocation = parseCommandLine(name, args);
  if (invocation.kind !== "pasta") throw new Error(`parsed as ${invocation.kind}`);
  return invocation.config;
}

export function pesto(...args: string[]): PestoRequest {
  const invocation = parseCommandLine("pesto", args);
  if (invocation.kind !== "pesto") throw new Error(`parsed as ${invocation.kind}`);
  return invocation.request;
}

/** The message of an error, whose status is always 1. */
export function refusal(name: string, ...args: string[]): string {
  try {
    parseCommandLine(name, args);
  } catch (error) {
    if (error instanceof UserError && error.exitStatus === 1) return error.message;
    throw error;
  }
  throw new Error("accepted");
}
