import { Socket } from "../../sys/constants.js";
import { listenPrivately, removeQuietly } from "../../sys/sockets/private-socket.js";
import type { ApiListener } from "../api-socket.js";
import type { Forwarding } from "./forwarded.js";
import { answerPesto } from "./pesto.js";

/** Clients of the socket at a time; the oldest is closed for a new one. */
const MOST_CLIENTS = 32;

/**
 * Listens for pesto until the process ends; then the socket is removed. The kernel lets in who may write to it: this user
 * in whatever namespaces, and root above them. podman and pasta are in user namespaces of their own, where the numbers
 * of SO_PEERCRED would not be comparable.
 * @param forwarding what is forwarded, once the guest is served
 * @throws UserError when it cannot listen there
 */
export async function listenForPesto(
  path: string,
  forwarding: () => Forwarding,
): Promise<ApiListener> {
  const { serveApi } = await import("../../api/server.js");
  const fd = listenPrivately("-c", path, Socket.Stream);
  process.once("exit", () => removeQuietly(path));
  return {
    path,
    serve: (loop, subject) => {
      const pesto = (args: readonly string[]) => answerPesto(forwarding(), args);
      const options = { mostClients: MOST_CLIENTS, isOpenInside: true };
      return serveApi(fd, loop, { ...subject, pesto }, options);
    },
  };
}
