import type { Invocation } from "../invocation.js";
import type { DaemonRequest } from "../requests.js";

export function ask(request: DaemonRequest): Invocation {
  return { kind: "ask daemon", request };
}
