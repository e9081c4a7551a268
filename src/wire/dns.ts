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
  NotImplemented: 4,
  Refused: 5,
} as const;

/** RFC 1035 §4.1.1: offsets in the header, and its length. */
const FLAGS = 2;
const QUESTION_COUNT = 4;
const RECORD_COUNTS = 6;
const ADDITIONAL_COUNT = 10;
const HEADER_LENGTH = 12;

/** In a stream each message has its length before it. */
const LENGTH_PREFIX = 2;

/** Bits of the flags. */
const RESPONSE = 0x8000;
const OPCODE = 0x7800;
const AUTHORITATIVE = 0x0400;
const TRUNCATED = 0x0200;
const RECURSION_DESIRED = 0x0100;
const RECURSION_AVAILABLE = 0x0080;
const RCODE = 0x000f;

/** RFC 1035 §2.3.4: what a client takes that does not say otherwise; RFC 6891 §6.2.3: at least. */
const PLAIN_UDP_SIZE = 512;

/** Queries have an OPT and perhaps a signature (RFC 8945) behind the question. */
const MOST_ADDITIONAL = 2;

/** An OPT record (RFC 6891 §6.1.2) that says nothing but a size, which stands at bytes 3 and 4. */
const OPT_RECORD = Uint8Array.of(0, 0, 41, 0, 0, 0, 0, 0, 0, 0, 0);
const OPT_SIZE = 3;
/** What we say that we take: RFC 9715 §3.2. */
const OWN_UDP_SIZE = 1232;

/** How long clients may keep what we answer ourselves, in seconds. */
const OWN_TTL = 10;

/** RFC 1035 §4.1.4: a name ends in a pointer of two bytes, or in an empty label; §2.3.4: others are no longer. */
const POINTER = 0xc0;
/** Type, class, TTL and length of a record, behind its name (RFC 1035 §4.1.3). */
const RECORD_HEADER_LENGTH = 10;

/** A query with one question. */
export interface DnsQuery {
  /** The whole message, a copy. */
  readonly message: Uint8Array;
  readonly id: number;
  /** In lower case, without a dot at its end. */
  readonly name: string;
  /** Such as "A"; of a type without a name "UNKNOWN_n". */
  readonly type: string;
  /** Where the question ends. */
  readonly questionEnd: number;
  /** How much the client takes by UDP. */
  readonly udpSize: number;
  /** Whether it knows EDNS (RFC 6891). */
  readonly hasEdns: boolean;
}

/**
 * The query in the message, which is copied; null when it is anything else: another opcode, more or less
 * than one question (RFC 9619 §4), records that end early, or bytes behind the last of them.
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

/** What becomes of a message that is no query. */
export interface DnsRefusal {
  /** For the client; null for none. */
  readonly answer: Uint8Array | null;
  /** Why it is none. */
  readonly reason: DropReason;
}

/**
 * What becomes of a message that parseDnsQuery() does not take. The answer is a header alone, as what
 * follows that of the message may be anything. There is none to what is shorter than a header and has no
 * id, and to an answer, as the two could go round for ever.
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

/** Whether the message answers the query, sent with that id: the same question, in its own case. */
export function answersQuery(message: Uint8Array, query: DnsQuery, id: number): boolean {
  if (message.length < HEADER_LENGTH || readU16(message, 0) !== id) return false;
  const flags = readU16(message, FLAGS);
  const asked = readU16(query.message, FLAGS);
  if ((flags & RESPONSE) === 0 || (flags & OPCODE) !== (asked & OPCODE)) return false;
  // A server that understood nothing repeats nothing.
  const count = readU16(message, QUESTION_COUNT);
  if (count === 0) return (flags & RCODE) !== DnsRcode.NoError;
  return count === 1 && hasQuestion(message, query);
}

export function dnsRcode(message: Uint8Array): number {
  return readU16(message, FLAGS) & RCODE;
}

/** The id of a message; 0 of one that has none. */
export function dnsId(message: Uint8Array): number {
  return message.length < HEADER_LENGTH ? 0 : readU16(message, 0);
}

/** The first message of a stream, where it is whole: a view. null: more has to come. */
export function takeDnsMessage(stream: Uint8Array): Uint8Array | null {
  if (stream.length < LENGTH_PREFIX) return null;
  const end = LENGTH_PREFIX + readU16(stream, 0);
  return stream.length < end ? null : stream.subarray(LENGTH_PREFIX, end);
}

/** A message as it goes by a stream (RFC 1035 §4.2.2). */
export function frameDnsMessage(message: Uint8Array): Uint8Array {
  const framed = new Uint8Array(LENGTH_PREFIX + message.length);
  writeU16(framed, 0, message.length);
  framed.set(message, LENGTH_PREFIX);
  return framed;
}

/**
 * An answer as it goes by UDP: whole, or what tells the client to ask again by TCP if it is longer
 * than the client takes (RFC 6891), or than its link: fragments are best avoided (RFC 9715).
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

/** An answer of the server's own records. */
export function composeDnsAnswer(query: DnsQuery, addresses: readonly Address[]): Uint8Array {
  const records = addresses.map((address) => recordOf(query.name, address));
  return composeOwn(
    query,
    records.filter(({ type }) => type === query.type || query.type === "ANY"),
  );
}

/** The answer to a query that we can answer ourselves; null for others. */
export function answerFrom(records: NameTable, query: DnsQuery): Uint8Array | null {
  const known = records.get(query.name, query.type);
  if (known !== undefined) return composeDnsAnswer(query, known);
  const owner = query.type === "PTR" ? addressOfReverseName(query.name) : null;
  const names = owner === null ? undefined : records.namesOf?.(owner);
  return names === undefined ? null : composeDnsPointers(query, names);
}

/** The answer to a PTR query: the names of who has the address. */
function composeDnsPointers(query: DnsQuery, names: readonly string[]): Uint8Array {
  return composeOwn(
    query,
    names.map((data) => ({ name: query.name, type: "PTR" as const, ttl: OWN_TTL, data })),
  );
}

/** The address that a name below in-addr.arpa (RFC 1035 §3.5) or ip6.arpa (RFC 3596 §2.5) asks about. */
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

/** An answer without records: that the query failed. */
export function composeDnsFailure(query: DnsQuery, rcode: number): Uint8Array {
  return composeEmpty(query, answerFlags(query) | rcode);
}

/** An answer that tells the client to ask again by TCP, in the place of one that is too long. */
function composeDnsTruncated(query: DnsQuery, answer: Uint8Array): Uint8Array {
  return composeEmpty(query, readU16(answer, FLAGS) | TRUNCATED);
}

/** The question alone, byte for byte as it came: names may be anything. */
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

/** The header and the one question; null when they are malformed. */
function decodeQuestion(message: Buffer): { packet: Packet; end: number } | null {
  const alone = Buffer.from(message);
  // Compressed names let a small message grow to thousands of long records: decode none of them.
  alone.fill(0, RECORD_COUNTS, HEADER_LENGTH);
  const packet = tryDecode(alone);
  return packet === null ? null : { packet, end: decode.bytes };
}

/** Where the records behind the question end; -1 when the message ends before. */
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

/** The size in the OPT record; null when there is none. */
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
    // dns-packet throws errors of several kinds when the message ends early or points astray.
    return null;
  }
}
