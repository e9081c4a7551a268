import * as v from "valibot";
import { UserError } from "../../base/errors.js";
import { parseAttachment } from "../../commandline/network-mode.js";
import { isValidName, shortId } from "../../config/names.js";
import { sentenceOf } from "../../rpc/issue.js";
import type { AttachmentSpec } from "../../rpc/messages.js";

const text = v.string();

/** OCI runtime specification 1.0, "State". */
const stateSchema = v.object({
  id: v.pipe(text, v.nonEmpty()),
  status: text,
  pid: v.optional(v.number(), 0),
  bundle: v.pipe(text, v.startsWith("/", "must be a path from the root")),
  annotations: v.optional(v.nullable(v.record(text, text))),
});

const ANNOTATION = {
  network: "io.slipway.network",
  name: "io.slipway.name",
  publish: "io.slipway.publish",
} as const;

/** A container, and what its annotations ask for. */
export interface ContainerState {
  readonly id: string;
  /** Whether its process has ended. */
  readonly isStopped: boolean;
  /** In the runtime's PID namespace; 0 when the state does not give it. */
  readonly pid: number;
  readonly bundle: string;
  /** By which other members find it; null: the daemon chooses one. */
  readonly name: string | null;
  /** At least one, unless the container has stopped. */
  readonly attachments: readonly AttachmentSpec[];
  /** In the notation of --publish. */
  readonly publish: readonly string[];
}

/**
 * Parses the state that a runtime writes to a hook's stdin.
 * @throws UserError, with exit status 2 when it is no state of a container
 */
export function parseState(input: string): ContainerState {
  const result = v.safeParse(stateSchema, parseJson(input), { abortEarly: true });
  if (!result.success) {
    const flaw = sentenceOf(result.issues[0], "the JSON");
    throw new UserError(
      `oci-hook: stdin is not the state of a container (${flaw}): have an OCI runtime run it as a hook`,
      2,
    );
  }
  const { id, status, pid, bundle, annotations } = result.output;
  const annotated = (key: string): string => annotations?.[key]?.trim() ?? "";
  const isStopped = status === "stopped";
  const networks = words(annotated(ANNOTATION.network));
  if (networks.length === 0 && !isStopped) {
    throw new UserError(
      `oci-hook: container ${id} has no annotation ${ANNOTATION.network}: set it to a network, such as web, or remove the hook`,
    );
  }
  const ownName = shortId(id);
  const name = annotated(ANNOTATION.name);
  return {
    id,
    isStopped,
    pid,
    bundle,
    name: name !== "" ? name : isValidName("name", ownName) ? ownName : null,
    attachments: networks.map((each) => parseAttachment(ANNOTATION.network, each)),
    publish: words(annotated(ANNOTATION.publish)),
  };
}

function words(list: string): readonly string[] {
  return list.split(/\s+/).filter((word) => word !== "");
}

function parseJson(input: string): unknown {
  try {
    return JSON.parse(input);
  } catch {
    return null;
  }
}
