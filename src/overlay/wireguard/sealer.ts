import type { Address, Family } from "../../base/address.js";
import { Errno } from "../../sys/constants.js";
import { SealTable, sealTableSize } from "../../sys/crypto/aead.js";
import {
  CLASS_SPACE,
  emitSegmentSize,
  emitTrafficClass,
  SEGMENT_SPACE,
} from "../../sys/sockets/control-data.js";
import { MessageTable, messageTableSize } from "../../sys/sockets/message-table.js";
import { writeSockaddr } from "../../sys/sockets/sockaddr.js";
import { Data, emitDataHeader, paddedLength, TAG_LENGTH } from "../../wire/tunnel/wireguard.js";
import type { Session } from "../../wireguard/session.js";

/** Sockets, by the family of their addresses. */
export type Sockets = Readonly<Record<Family, number | undefined>>;

const MESSAGE = { messages: 1, pieces: 1, control: SEGMENT_SPACE + CLASS_SPACE } as const;

/** Bytes of the tables of a Sealer for so many messages, each with `pieces` of its own. */
export function sealerSpace(messages: number, pieces: number): number {
  return messageTableSize(MESSAGE) + sealTableSize({ messages, pieces });
}

/** Where datagrams go; null: that is unknown. */
interface Whereabouts {
  readonly address: Address | null;
  readonly port: number;
}

/** Seals packets in one registered memory, and sends them: headers, packets and tags one behind the other. */
export class Sealer {
  readonly #bytes: Uint8Array;
  readonly #sockets: Sockets;
  readonly #seals: SealTable;
  readonly #message: MessageTable;

  /**
   * @param buffer the memory, and `memory` its number
   * @param tables offset of sealerSpace() bytes, aligned to 8
   */
  constructor(
    buffer: ArrayBuffer,
    memory: number,
    tables: number,
    messages: number,
    pieces: number,
    sockets: Sockets,
  ) {
    this.#bytes = new Uint8Array(buffer);
    this.#sockets = sockets;
    this.#message = new MessageTable(buffer, memory, tables, MESSAGE);
    const seals = tables + messageTableSize(MESSAGE);
    this.#seals = new SealTable(buffer, memory, seals, { messages, pieces });
  }

  /**
   * Describes the message at `at`, whose packet is already in its place.
   * @param most the MTU, which padding does not exceed
   * @returns where the next message goes
   */
  addInPlace(
    index: number,
    session: Session,
    counter: number,
    at: number,
    length: number,
    most: number,
  ): number {
    const packet = at + emitDataHeader(this.#bytes, at, session.remoteIndex, counter);
    const padded = paddedLength(length, most);
    this.#seals.setPiece(index, packet, length);
    this.#seals.describeSeal(index, session.sendKey, counter, index, 1, padded - length, packet);
    return packet + padded + TAG_LENGTH;
  }

  /** The same for a packet of pieces elsewhere. @param vector offset of `count` pairs of u32, offset and length */
  add(
    index: number,
    session: Session,
    counter: number,
    at: number,
    length: number,
    most: number,
    vector: number,
    count: number,
  ): number {
    const packet = at + emitDataHeader(this.#bytes, at, session.remoteIndex, counter);
    const padded = paddedLength(length, most);
    const padding = padded - length;
    const key = session.sendKey;
    this.#seals.describeSealVector(index, key, counter, vector, count, padding, packet);
    return packet + padded + TAG_LENGTH;
  }

  /** Seals the first `count` messages. @returns whether all are sealed */
  seal(count: number): boolean {
    if (this.#seals.seal(count) !== count) return false;
    for (let index = 0; index < count; index += 1) {
      if (this.#seals.result(index) < 0) return false;
    }
    return true;
  }

  /**
   * Sends datagrams that lie one behind the other to a peer whose address is known.
   * @param size of each but the last, in bytes; 0: it is one
   * @returns 0 or a positive errno
   */
  post(peer: Whereabouts, at: number, length: number, size: number, trafficClass: number): number {
    const { address, port } = peer;
    const fd = address === null ? undefined : this.#sockets[address.family];
    if (address === null || fd === undefined) return Errno.ENETUNREACH;
    const table = this.#message;
    const control = table.controlAt(0);
    let used = 0;
    if (size > 0) used = emitSegmentSize(this.#bytes, control, size);
    if (trafficClass !== 0) {
      used += emitTrafficClass(this.#bytes, control + used, address.family, trafficClass);
    }
    table.setPiece(0, at, length);
    table.describe(0, writeSockaddr(this.#bytes, table.nameAt(0), address, port), 0, 1);
    table.setControlLength(0, used);
    const sent = table.send(fd, 0, 1);
    return sent > 0 ? 0 : -sent;
  }
}

/** Bytes that a packet of that length takes as a message. */
export function sealedLength(length: number, most: number): number {
  return Data.Packet + paddedLength(length, most) + TAG_LENGTH;
}
