import dgram from "node:dgram";
import { once } from "node:events";
import { isIPv6 } from "node:net";
import { Handles } from "./handles.ts";
import type { Parameters, Result } from "./protocol.ts";

interface UdpSocket {
  readonly socket: dgram.Socket;
  /** arrived and not asked for yet */
  readonly waiting: Result<"receiveUdp">[];
}

const sockets = new Handles<UdpSocket>("UDP socket");

export async function bind(p: Parameters<"bindUdp">): Promise<Result<"bindUdp">> {
  const socket = dgram.createSocket(isIPv6(p.address) ? "udp6" : "udp4");
  const waiting: Result<"receiveUdp">[] = [];
  socket.on("message", (data, { address, port }) => {
    if (p.service === "echo") {
      socket.send(data, port, address);
      return;
    }
    waiting.push({ data, from: { address, port } });
    socket.emit("waiting");
  });
  // Errors go to the waiting request; an ICMP error may also arrive when nobody waits.
  socket.on("error", () => undefined);
  socket.bind(p.port, p.address);
  await once(socket, "listening");
  return { id: sockets.add({ socket, waiting }), port: socket.address().port };
}

export function send(p: Parameters<"sendUdp">): Promise<void> {
  const { socket } = sockets.get(p.id);
  return new Promise((resolve, reject) => {
    socket.send(p.data, p.port, p.address, (error) => (error ? reject(error) : resolve()));
  });
}

export async function receive(p: Parameters<"receiveUdp">): Promise<Result<"receiveUdp">> {
  const { socket, waiting } = sockets.get(p.id);
  for (;;) {
    const datagram = waiting.shift();
    if (datagram !== undefined) return datagram;
    await once(socket, "waiting");
  }
}

/** Closes the UDP socket `id`, if there is one. */
export function close(id: number): void {
  sockets.take(id)?.socket.close();
}
