import * as v from "valibot";
import { LOG_LEVELS, type Log, setLogLevel } from "../base/log.js";
import { type Answer, BadRequest, refusal, wholeAnswer } from "./answers.js";
import { checked } from "./arguments.js";
import { listFlows } from "./flows.js";
import { addForward, listForwards, removeForward } from "./forwards.js";
import { statusOf } from "./status.js";
import type { ApiFigures, Subject } from "./subject.js";

const logArguments = v.object({ level: v.picklist(LOG_LEVELS) });

const pestoArguments = v.object({ args: v.array(v.string()) });

const request = v.object({ execute: v.string(), arguments: v.optional(v.unknown(), {}) });

/**
 * Parses the JSON of a request; undefined while it is incomplete, or when it is malformed.
 * @param isEnded whether the client has closed its side
 */
export function parseRequest(text: string, isEnded: boolean): unknown {
  if (!isEnded && !text.trimEnd().endsWith("}")) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Carries out a request.
 * @param parsed the result of parseRequest()
 */
export function answer(subject: Subject, figures: ApiFigures, parsed: unknown): Answer {
  figures.requests += 1;
  try {
    return execute(subject, figures, parsed);
  } catch (error) {
    if (!(error instanceof BadRequest)) throw error;
    subject.log.debug("API: %s", error.message);
    return [refusal(error.message, error.reason)];
  }
}

function execute(subject: Subject, figures: Readonly<ApiFigures>, parsed: unknown): Answer {
  const { guest, log } = subject;
  const { execute: command, arguments: raw } = checkedRequest(parsed);
  // As JSON, so that a client cannot put line breaks into the log.
  log.debug("API: %s", JSON.stringify(command));
  switch (command) {
    case "add_hostfwd":
      if (!subject.mayPublish) throw new BadRequest("add_hostfwd: not on this network");
      return addForward(guest, raw);
    case "list_hostfwd":
      return listForwards(guest);
    case "remove_hostfwd":
      return removeForward(guest, raw);
    case "list_flows":
      return listFlows(guest);
    case "set_log_level":
      return changeLogLevel(log, raw);
    case "pesto":
      return askPorts(subject, raw);
    case "query_status":
      return wholeAnswer(statusOf(subject, figures));
    default:
      throw new BadRequest("unknown execute");
  }
}

/** Only `pasta -c` knows it, and only pesto asks it (native/launcher/pesto). */
function askPorts({ pesto }: Subject, raw: unknown): Answer {
  if (pesto === undefined) throw new BadRequest("unknown execute");
  return pesto(checked("pesto", pestoArguments, raw).args);
}

function changeLogLevel(log: Log, raw: unknown): Answer {
  const { level } = checked("set_log_level", logArguments, raw);
  log.info("API: log level %s", level);
  setLogLevel(level, log);
  return wholeAnswer({});
}

function checkedRequest(parsed: unknown): v.InferOutput<typeof request> {
  if (parsed === undefined) throw new BadRequest("cannot parse JSON");
  const result = v.safeParse(request, parsed);
  if (!result.success) throw new BadRequest("no execute found");
  return result.output;
}
