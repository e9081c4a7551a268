import { readFileSync } from "node:fs";
import { errnoOf, UserError } from "../../base/errors.js";
import { print, Stdio } from "../../base/stdio.js";
import { CniFailure, Code } from "./failure.js";
import { carryOut } from "./plugin.js";
import { parseRequest, versionForFailure } from "./request.js";

/** `slipway-cni`: carries out one verb of the Container Network Interface. Exit status 1 goes with an error object. */
export async function cni(): Promise<void> {
  let input = "";
  try {
    input = readInput();
    const result = await carryOut(parseRequest(process.env, input));
    if (result !== null) printJson(result);
  } catch (error) {
    printJson({ cniVersion: versionForFailure(input), ...failureOf(error) });
    process.exitCode = 1;
  }
}

function readInput(): string {
  try {
    return readFileSync(Stdio.Input, "utf8");
  } catch (error) {
    throw new CniFailure(
      Code.Io,
      `cannot read the network configuration from stdin (${errnoOf(error)})`,
    );
  }
}

/** The error object. @throws what is neither a CniFailure nor a UserError, as it is a bug */
function failureOf(error: unknown): object {
  if (error instanceof CniFailure) {
    const { code, message: msg, details } = error;
    return { code, msg, ...(details === "" ? {} : { details }) };
  }
  if (error instanceof UserError) return { code: Code.Refused, msg: error.message };
  throw error;
}

function printJson(result: object): void {
  print(`${JSON.stringify(result, null, 4)}\n`);
}
