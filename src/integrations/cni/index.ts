import { readFileSync, writeSync } from "node:fs";
import { errnoOf, UserError } from "../../base/errors.js";
import { Stdio } from "../../base/stdio.js";
import { CniFailure, Code } from "./failure.js";
import { carryOut } from "./plugin.js";
import { parseRequest, versionForFailure } from "./request.js";

/** `slipway-cni`: one verb of the Container Network Interface. */
export async function cni(): Promise<void> {
  let input = "";
  try {
    input = readInput();
    const result = await carryOut(parseRequest(process.env, input));
    if (result !== null) print(result);
  } catch (error) {
    print({ cniVersion: versionForFailure(input), ...failureOf(error) });
    process.exitCode = 1;
  }
}

function readInput(): string {
  try {
    return readFileSync(Stdio.Input, "utf8");
  } catch (error) {
    throw new CniFailure(Code.Io, `cannot read the configuration on stdin (${errnoOf(error)})`);
  }
}

/** Rethrows errors that are bugs. */
function failureOf(error: unknown): object {
  if (error instanceof CniFailure) {
    const { code, message: msg, details } = error;
    return { code, msg, ...(details === "" ? {} : { details }) };
  }
  if (error instanceof UserError) return { code: Code.Refused, msg: error.message };
  throw error;
}

function print(result: object): void {
  writeSync(Stdio.Output, `${JSON.stringify(result, null, 4)}\n`);
}
