import { type Answer, decode, encode, type Packet } from "dns-packet";
import { Address, type Family } from "../base/address.js";
import { DropReason } from "../base/drop.js";
import type { NameTable } from "../config/dns-config.js";
import { readU16, writeU16 } from "./bytes.js";
import { LONGEST_LABEL } from "./domain-names.js";
import { ipHeaderLength } from "./ip.js";
import { UDP_HEADER_LENGTH } from "./udp.js";

export const DNS_PORT = 53;

/** Response codes (RFC 1035 §4.1.1). */
export const DnsRcode = {
  NoError: 0,
  FormatError: 1,
  ServerFailure: 2,
  NameError: 3,
  NotImplemented: 4,
  Refused: 5,
} as const;

/** RFC 1035 §4.1.1: offsets in the header, and its length. */
const FLAGS = 2;
const QUESTION_COUNT = 4;
const RECORD_COUNTS = 6;
const ADDITIONAL_COUNT = 10;
const HEADER_LENGTH = 12;

/** In a stream, the message's length precedes it. */
const LENGTH_PREFIX = 2;

/** Bits of the flags. */
const RESPONSE = 0x8000;
const OPCODE = 0x7800;
const AUTHORITATIVE = 0x0400;
const TRUNCATED = 0x0200;
const RECURSION_DESIRED = 0x0100;
const RECURSION_AVAILABLE = 0x0080;
const RCODE = 0x000f;

/** Most bytes of an answer over UDP without EDNS (RFC 1035 §2.3.4), and the least size with it (RFC 6891 §6.2.3). */
const PLAIN_UDP_SIZE = 512;

/** Queries have an OPT and perhaps a signature (RFC 8945) after the question. */
const MOST_ADDITIONAL = 2;

/** An OPT record (RFC 6891 §6.1.2) with a size alone, in bytes 3 and 4. */
const OPT_RECORD = Uint8Array.of(0, 0, 41, 0, 0, 0, 0, 0, 0, 0, 0);
const OPT_SIZE = 3;
/** The size that we announce (RFC 9715 §3.2). */
const OWN_UDP_SIZE = 1232;

/** TTL of our own records, in seconds. */
const OWN_TTL = 10;

/** RFC 1035 §4.1.4: a name ends in a pointer of two bytes, or in an empty label; §2.3.4: others are no longer. */
const POINTER = 0xc0;
/** Type, class, TTL and length of a record, after its name (RFC 1035 §4.1.3). */
const RECORD_HEADER_LENGTH = 10;

/** A query with one question. */
export interface DnsQuery {
  /** The whole message, a copy. */
  readonly message: Uint8Array;
  readonly id: number;
  /** In lower case, without a trailing dot. */
  readonly name: string;
  /** Such as "A"; "UNKNOWN_n" for a type without a name. */
  readonly type: string;
  /** Offset of the end of the question. */
  readonly questionEnd: number;
  /** Most bytes of an answer that the client accepts over UDP. */
  readonly udpSize: number;
  /** Whether the client uses EDNS (RFC 6891). */
  readonly hasEdns: boolean;
}

/**
 * Parses and copies a query; null for anything else: another opcode, not exactly one question (RFC 9619 §4),
 * truncated records, or bytes after the last record.
 */
export function parseDnsQuery(message: Uint8Array): DnsQuery | null {
  if (message.length < HEADER_LENGTH || readU16(message, QUESTION_COUNT) !== 1) return null;
  if ((readU16(message, FLAGS) & (RESPONSE | OPCODE)) !== 0) return null;
  const copy = Buffer.from(message);
  const question = decodeQuestion(copy);
  const asked = question?.packet.questions?.[0];
  if (question === null || asked === undefined) return null;
  if (endOfRecords(copy, question.end) !== copy.length) return null;
  const udpSize = advertisedSize(copy);
  return {
    message: copy,
    id: readU16(copy, 0),
    name: asked.name.toLowerCase(),
    type: asked.type,
    questionEnd: question.end,
    udpSize: Math.max(udpSize ?? 0, PLAIN_UDP_SIZE),
    hasEdns: udpSize !== null,
  };
}

/** How a message that parseDnsQuery() rejects is handled. */
export interface DnsRefusal {
  /** Answer to the client; null: none. */
  readonly answer: Uint8Array | null;
  /** Why it was rejected. */
  readonly reason: DropReason;
}

/**
 * Answers a message that parseDnsQuery() rejects, with a header alone, as the rest of the message may be
 * malformed. A message shorter than a header has no id and gets no answer; neither does an answer, which
 * could start an endless exchange.
 */
export function refuseDnsMessage(message: Uint8Array): DnsRefusal {
  const malformed = DropReason.DnsMalformed;
  if (message.length < HEADER_LENGTH) return { answer: null, reason: malformed };
  const flags = readU16(message, FLAGS);
  if ((flags & RESPONSE) !== 0) return { answer: null, reason: malformed };
  const isQuery = (flags & OPCODE) === 0;
  const rcode = isQuery ? DnsRcode.FormatError : DnsRcode.NotImplemented;
  const answer = new Uint8Array(HEADER_LENGTH);
  writeU16(answer, 0, readU16(message, 0));
  writeU16(answer, FLAGS, RESPONSE | (flags & (OPCODE | RECURSION_DESIRED)) | rcode);
  return { answer, reason: isQuery ? malformed : DropReason.DnsOpcode };
}

/** Whether the message answers the query: id and question, including the case of its letters, match. */
export function answersQuery(message: Uint8Array, query: DnsQuery, id: number): boolean {
  if (message.length < HEADER_LENGTH || readU16(message, 0) !== id) return false;
  const flags = readU16(message, FLAGS);
  const asked = readU16(query.message, FLAGS);
  if ((flags & RESPONSE) === 0 || (flags & OPCODE) !== (asked & OPCODE)) return false;
  // A server that cannot parse the query does not repeat the question.
  const count = readU16(message, QUESTION_COUNT);
  if (count === 0) return (flags & RCODE) !== DnsRcode.NoError;
  return count === 1 && hasQuestion(message, query);
}

export function dnsRcode(message: Uint8Array): number {
  return readU16(message, FLAGS) & RCODE;
}

/** The id of a message; 0 when it is too short. */
export function dnsId(message: Uint8Array): number {
  return message.length < HEADER_LENGTH ? 0 : readU16(message, 0);
}

/** The first message of a stream, as a view; null while it is incomplete. */
export function takeDnsMessage(stream: Uint8Array): Uint8Array | null {
  if (stream.length < LENGTH_PREFIX) return null;
  const end = LENGTH_PREFIX + readU16(stream, 0);
  return stream.length < end ? null : stream.subarray(LENGTH_PREFIX, end);
}

/** A message as sent in a stream (RFC 1035 §4.2.2). */
export function frameDnsMessage(message: Uint8Array): Uint8Array {
  const framed = new Uint8Array(LENGTH_PREFIX + message.length);
  writeU16(framed, 0, message.length);
  framed.set(message, LENGTH_PREFIX);
  return framed;
}

/**
 * An answer for UDP: the whole one, or a truncated one, after which the client asks again over TCP. It is
 * truncated when it is longer than the client accepts (RFC 6891), or than its link: fragments are to be
 * avoided (RFC 9715).
 */
export function fitDnsAnswer(
  query: DnsQuery,
  answer: Uint8Array,
  family: Family,
  mtu: number,
): Uint8Array {
  const room = mtu - ipHeaderLength(family) - UDP_HEADER_LENGTH;
  return answer.length <= Math.min(query.udpSize, room)
    ? answer
    : composeDnsTruncated(query, answer);
}

/** Writes the id into a message. */
export function setDnsId(message: Uint8Array, id: number): void {
  writeU16(message, 0, id);
}

/** Composes an answer with records of our own. */
export function composeDnsAnswer(query: DnsQuery, addresses: readonly Address[]): Uint8Array {
  const records = addresses.map((address) => recordOf(query.name, address));
  return composeOwn(
    query,
    records.filter(({ type }) => type === query.type || query.type === "ANY"),
  );
}

/** The answer to a query about our own names and addresses; null for other queries. */
export function answerFrom(records: NameTable, query: DnsQuery): Uint8Array | null {
  const { name, type } = query;
  const known = records.get(name, type);
  if (known !== undefined) return composeDnsAnswer(query, known);
  const address = addressOfReverseName(name);
  if (records.isOurs?.(address ?? name) !== true) return null;
  const owner = address === null ? undefined : records.nameOf?.(address);
  if (owner === undefined) return composeDnsFailure(query, DnsRcode.NameError);
  const pointer = { name, type: "PTR" as const, ttl: OWN_TTL, data: owner };
  return composeOwn(query, type === "PTR" ? [pointer] : []);
}

/** The address of a name below in-addr.arpa (RFC 1035 §3.5) or ip6.arpa (RFC 3596 §2.5); null for other names. */
export function addressOfReverseName(name: string): Address | null {
  const [, digits, zone] = /^([0-9a-f.]+)\.(in-addr|ip6)\.arpa$/.exec(name) ?? [];
  if (digits === undefined) return null;
  const parts = digits.split(".").reverse();
  if (zone === "in-addr") return parts.length === 4 ? Address.parse(parts.join(".")) : null;
  const isWhole = parts.length === 32 && parts.every((part) => part.length === 1);
  return isWhole ? Address.parse(parts.join("").replace(/.{4}(?!$)/g, "$&:")) : null;
}

function composeOwn(query: DnsQuery, answers: Answer[]): Uint8Array {
  return encode({
    type: "response",
    id: query.id,
    flags: (answerFlags(query) | AUTHORITATIVE) & ~RESPONSE,
    questions: decodeQuestion(Buffer.from(query.message))?.packet.questions ?? [],
    answers,
    additionals: query.hasEdns ? [OWN_OPT] : [],
  });
}

/** Composes an answer without records, with an error code. */
export function composeDnsFailure(query: DnsQuery, rcode: number): Uint8Array {
  return composeEmpty(query, answerFlags(query) | rcode);
}

/** Composes a truncated answer, after which the client asks again over TCP. */
function composeDnsTruncated(query: DnsQuery, answer: Uint8Array): Uint8Array {
  return composeEmpty(query, readU16(answer, FLAGS) | TRUNCATED);
}

/** Composes header and question, which is copied byte for byte, as a name may have any bytes. */
function composeEmpty(query: DnsQuery, flags: number): Uint8Array {
  const { message, questionEnd, id } = query;
  const opt = Uint8Array.from(OPT_RECORD);
  writeU16(opt, OPT_SIZE, OWN_UDP_SIZE);
  const tail = query.hasEdns ? opt : new Uint8Array();
  const answer = Buffer.concat([message.subarray(0, questionEnd), tail]);
  answer.fill(0, RECORD_COUNTS, HEADER_LENGTH);
  writeU16(answer, 0, id);
  writeU16(answer, FLAGS, flags);
  writeU16(answer, ADDITIONAL_COUNT, query.hasEdns ? 1 : 0);
  return answer;
}

function answerFlags(query: DnsQuery): number {
  const asked = readU16(query.message, FLAGS);
  return RESPONSE | (asked & (OPCODE | RECURSION_DESIRED)) | RECURSION_AVAILABLE;
}

const OWN_OPT: Answer = {
  type: "OPT",
  name: ".",
  udpPayloadSize: OWN_UDP_SIZE,
  extendedRcode: 0,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
};

function recordOf(name: string, address: Address) {
  const type = address.family === 4 ? ("A" as const) : ("AAAA" as const);
  return { name, type, ttl: OWN_TTL, data: address.toString() };
}

function hasQuestion(message: Uint8Array, { message: asked, questionEnd }: DnsQuery): boolean {
  if (message.length < questionEnd) return false;
  for (let at = HEADER_LENGTH; at < questionEnd; at += 1) {
    if (message[at] !== asked[at]) return false;
  }
  return true;
}

/** Decodes the header and the one question; null when malformed. */
function decodeQuestion(message: Buffer): { packet: Packet; end: number } | null {
  const alone = Buffer.from(message);
  // Records are not decoded: by compressed names a small message may expand to thousands of long ones.
  alone.fill(0, RECORD_COUNTS, HEADER_LENGTH);
  const packet = tryDecode(alone);
  return packet === null ? null : { packet, end: decode.bytes };
}

/** Offset of the end of the records after the question; -1 when they exceed the message. */
function endOfRecords(message: Uint8Array, questionEnd: number): number {
  let records = 0;
  for (let at = RECORD_COUNTS; at < HEADER_LENGTH; at += 2) records += readU16(message, at);
  let end = questionEnd;
  for (; records > 0; records -= 1) {
    end = endOfName(message, end);
    if (end < 0 || end + RECORD_HEADER_LENGTH > message.length) return -1;
    end += RECORD_HEADER_LENGTH + readU16(message, end + RECORD_HEADER_LENGTH - 2);
  }
  return end > message.length ? -1 : end;
}

function endOfName(message: Uint8Array, start: number): number {
  for (let at = start; at < message.length; at += 1 + message[at]) {
    const length = message[at];
    if (length === 0) return at + 1;
    if (length >= POINTER) return at + 2;
    if (length > LONGEST_LABEL) return -1;
  }
  return -1;
}

/** The size in the OPT record; null without one. */
function advertisedSize(message: Buffer): number | null {
  const answers = readU16(message, RECORD_COUNTS) + readU16(message, RECORD_COUNTS + 2);
  if (answers > 0 || readU16(message, ADDITIONAL_COUNT) > MOST_ADDITIONAL) return null;
  const opt = tryDecode(message)?.additionals?.find(({ type }) => type === "OPT");
  return opt?.type === "OPT" ? opt.udpPayloadSize : null;
}

function tryDecode(message: Buffer): Packet | null {
  try {
    return decode(message);
  } catch {
    // dns-packet throws several kinds of errors for truncated messages and bad pointers.
    return null;
  }
}
