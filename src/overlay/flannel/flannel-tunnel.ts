import { Address } from "../../base/address.js";
import { NEVER } from "../../base/clock.js";
import { DropReason, type DropReasonOrOk } from "../../base/drop.js";
import { MAC_LENGTH, type Mac, readMac, writeMac } from "../../base/mac.js";
import { signedWord } from "../../network/guard.js";
import { networkMac } from "../../network/plans.js";
import type { Delivery, Switch } from "../../network/switch.js";
import type { PortLink } from "../../network/uplink.js";
import type { Joiner } from "../../stack/joiner.js";
import { native } from "../../sys/native.js";
import { prepareTunnelSocket } from "../../sys/sockets/datagram-socket.js";
import { readU16 } from "../../wire/bytes.js";
import { ETHERNET_HEADER_LENGTH, EtherType } from "../../wire/ethernet.js";
import { IPV4_DESTINATION, IPV4_HEADER_LENGTH, IPV4_SOURCE } from "../../wire/ip.js";
import type { Destination, TunnelCounts, TunnelEnd } from "../tunnel.js";
import { Outboxes } from "../vxlan/outboxes.js";
import { VxlanDestination } from "../vxlan/vxlan-destination.js";
import { type Inbound, VxlanReceiver } from "../vxlan/vxlan-receiver.js";
import type { FlannelCarrier, FlannelRoute, FlannelTrunk } from "./flannel-trunk.js";

/**
 * VXLAN as flannel's hosts speak it: a frame goes from the VTEP of the host that has the source to the VTEP of that
 * which has the destination, and both route it: MACs are their own, and TTLs go down by one at each.
 */
export class FlannelTunnel implements TunnelEnd, FlannelCarrier {
  readonly sockets: readonly number[];
  readonly #trunk: FlannelTrunk;
  readonly #inbound: FlannelInbound;
  readonly #outboxes: Outboxes;
  #receiver: VxlanReceiver;

  /** @param socket bound, of IPv4; the tunnel's from now on */
  constructor(socket: number, trunk: FlannelTrunk, counts: TunnelCounts) {
    prepareTunnelSocket(socket, 4);
    this.sockets = [socket];
    this.#trunk = trunk;
    this.#inbound = new FlannelInbound(trunk, counts);
    this.#outboxes = new Outboxes(counts);
    this.#receiver = new VxlanReceiver(this.#inbound, true);
    trunk.use(this);
  }

  destinationOf({ address, mac }: FlannelRoute): Destination {
    const { vni, mtu, port, vtepMac } = this.#trunk.network;
    const rewrite = { destination: mac, source: vtepMac };
    return new VxlanDestination(
      { vni, mtu, rewrite },
      address,
      port,
      this.sockets[0],
      (to, link, offset, length) => this.#outboxes.of(link).send(to, offset, length),
    );
  }

  flush(link: PortLink): void {
    this.#outboxes.flush(link);
  }

  discard(link: PortLink): void {
    this.#outboxes.discard(link);
  }

  onReadable(socket: number, now: number): number {
    return this.#receiver.receive(this.sockets[socket], now);
  }

  turn(): number {
    return NEVER;
  }

  recover(): void {
    this.#receiver.close();
    this.#receiver = new VxlanReceiver(this.#inbound, true);
  }

  close(): void {
    this.#trunk.use(null);
    for (const fd of this.sockets) native.close(fd);
    this.#receiver.close();
  }
}

/** Takes what the other hosts route to this one, and routes it to the members that it is for. */
class FlannelInbound implements Inbound {
  readonly counts: TunnelCounts;
  readonly #trunk: FlannelTrunk;
  readonly #gatewayMac: Mac;
  /** MAC of the member that a frame was for last, which mostly is the next, too; null: nobody has that address. */
  #mac: Mac | null = null;
  #word = 0;
  #switch: Switch | null = null;
  #generation = -1;

  constructor(trunk: FlannelTrunk, counts: TunnelCounts) {
    this.#trunk = trunk;
    this.counts = counts;
    this.#gatewayMac = networkMac(trunk.network.subnets);
  }

  isKnown(source: Address): boolean {
    return this.#trunk.isHost(source);
  }

  /** A source is believed only in the subnet of the host that it comes from. */
  deliver(joiner: Joiner, frame: number, source: Address, delivery: Delivery): DropReasonOrOk {
    const { bytes, at, headersLength } = delivery;
    const { vni, vtepMac } = this.#trunk.network;
    if (joiner.vni(frame) !== vni || readMac(bytes, at) !== vtepMac) {
      return DropReason.EthernetNotForUs;
    }
    const ip = at + ETHERNET_HEADER_LENGTH;
    const isIpv4 = readU16(bytes, at + 12) === EtherType.Ipv4;
    if (!isIpv4 || headersLength < ETHERNET_HEADER_LENGTH + IPV4_HEADER_LENGTH) {
      return DropReason.TunnelMalformed;
    }
    const route = this.#trunk.routeTo(signedWord(bytes, ip + IPV4_SOURCE));
    const isItsOwn = route?.address.equals(source) === true;
    if (!isItsOwn || readMac(bytes, at + MAC_LENGTH) !== route.mac) return DropReason.TunnelSpoofed;
    if (joiner.isExpired(frame)) return DropReason.IpHopLimit;
    return this.#route(signedWord(bytes, ip + IPV4_DESTINATION), delivery);
  }

  #route(word: number, delivery: Delivery): DropReasonOrOk {
    const { localSwitch } = this.#trunk;
    if (localSwitch === null) return DropReason.EthernetNotForUs;
    const mac = this.#macOf(word, localSwitch);
    if (mac === null) return DropReason.EthernetNotForUs;
    writeMac(delivery.bytes, delivery.at, mac);
    writeMac(delivery.bytes, delivery.at + MAC_LENGTH, this.#gatewayMac);
    return localSwitch.deliver(delivery);
  }

  #macOf(word: number, localSwitch: Switch): Mac | null {
    const isLast = word === this.#word && localSwitch === this.#switch;
    if (isLast && localSwitch.generation === this.#generation) return this.#mac;
    this.#word = word;
    this.#switch = localSwitch;
    this.#generation = localSwitch.generation;
    this.#mac = localSwitch.ownerOf(Address.ofIpv4Word(word))?.identity.mac ?? null;
    return this.#mac;
  }
}
