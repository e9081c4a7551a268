import { Socket } from "../../sys/constants.js";
import { listenPrivately } from "../../sys/sockets/private-socket.js";
import { BACKLOG, SocketLink } from "./socket-link.js";

/**
 * A link by SOCK_SEQPACKET at a path of the file system, an Ethernet frame a message, without a virtio header (the
 * transport "bess" of User Mode Linux's vector devices).
 * @throws UserError when the path cannot be listened at
 */
export function openBess(path: string): SocketLink {
  return new SocketLink({
    name: path,
    isStream: false,
    listener: listenPrivately("BESS socket", path, Socket.SequencedPackets, BACKLOG),
    client: null,
    isOneOff: false,
  });
}
