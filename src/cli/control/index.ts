import type { ControlOptions, ControlRequest } from "../../commandline/requests.js";

/** Carries out a command that queries a running network. Loads that command only. */
export async function control(options: ControlOptions, request: ControlRequest): Promise<void> {
  switch (request.kind) {
    case "status":
      return (await import("./status.js")).status(options);
    case "flows":
      return (await import("./flows.js")).flows(options, request.watch);
    case "port-add":
      return (await import("./port.js")).addPorts(options, request.ports);
    case "port-ls":
      return (await import("./port.js")).listPorts(options, request.of);
    case "port-rm":
      return (await import("./port.js")).removePorts(options, request.places, request.kill);
  }
}
