import { quoted } from "../../base/printable.js";
import { CALL_LIMIT, StoreError } from "../store.js";
import { parseAnswer, schemas } from "./answers.js";
import type { Endpoint } from "./endpoints.js";
import { Fault, type Reply } from "./transport.js";

/** An error that etcd answers with. Its codes are those of gRPC. */
export class Refusal extends Error {
  readonly endpoint: Endpoint;
  readonly code: number;

  constructor(endpoint: Endpoint, code: number, message: string) {
    super(message);
    this.endpoint = endpoint;
    this.code = code;
  }

  says(text: string): boolean {
    return this.message.includes(text);
  }
}

const CODES = { permissionDenied: 7, exhausted: 8, unavailable: 14 };

/** Texts of etcd (api/v3rpc/rpctypes/error.go): our token is no longer good, or it wants one now. */
const STALE_TOKEN = ["invalid auth token", "revision of auth store is old", "user name is empty"];

/** Without a leader nothing is carried out; the gateway says the others when it does not reach its own etcd. */
const NOT_CARRIED_OUT = ["no leader", "too many requests", "TransientFailure", "connection error"];

/** How Node and OpenSSL say that an endpoint's certificate is not good. */
const UNTRUSTED = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "CERT_SIGNATURE_FAILURE",
  "INVALID_CA",
  "INVALID_PURPOSE",
]);

/** What a reply that is not 200 means. */
export function refusalOf(endpoint: Endpoint, { status, body }: Reply): Refusal | StoreError {
  const error = parseAnswer(schemas.error, body);
  if (error !== null) {
    return new Refusal(endpoint, error.code, "message" in error ? error.message : error.error);
  }
  if (body.includes("HTTP request to an HTTPS server")) {
    return refused(`${endpoint.text} speaks TLS only: write etcds:// for etcd://`);
  }
  if (body.includes("CommonName of client")) {
    return refused(
      `${endpoint.text} has users, and then wants a --store-cert without a CommonName, as it would take that for the user: have one signed whose subject is O=slipway`,
    );
  }
  return unusable(endpoint, `answers with HTTP status ${status}`);
}

export function wantsToken(error: unknown): boolean {
  return error instanceof Refusal && STALE_TOKEN.some((text) => error.says(text));
}

/** Whether a request that failed so was certainly not carried out. */
export function isNotCarriedOut(error: unknown): boolean {
  if (error instanceof Fault) return error.kind === "unsent";
  return error instanceof Refusal && NOT_CARRIED_OUT.some((text) => error.says(text));
}

/** Whether the same request may get another answer in a moment: leaders are elected within seconds. */
export function isPassing(error: unknown): boolean {
  if (!(error instanceof Refusal)) return false;
  return error.code === CODES.unavailable || error.says("too many requests");
}

/** Whether another endpoint would say the same. */
export function isFinal(error: unknown): boolean {
  if (error instanceof Fault) return error.kind === "too large";
  return error instanceof Refusal && !isPassing(error);
}

/** A revision that is asked for is no longer there. */
export function isCompacted(error: unknown): boolean {
  return error instanceof Refusal && error.says("has been compacted");
}

export function isLeaseGone(error: unknown): boolean {
  return error instanceof Refusal && error.says("lease not found");
}

/** Our own request has been carried out before. */
export function isLeaseThere(error: unknown): boolean {
  return error instanceof Refusal && error.says("lease already exists");
}

export function unusable(endpoint: Endpoint, what: string): StoreError {
  return new StoreError(
    "unusable",
    `${endpoint.text} is no etcd that we know: it ${what}; --store names an etcd 3.4 or newer`,
  );
}

/**
 * A sentence for the user.
 * @param user whose name and password we have; null: none
 * @param prefix of our keys
 */
export function storeErrorOf(error: unknown, user: string | null, prefix: string): StoreError {
  if (error instanceof StoreError) return error;
  if (error instanceof Fault) return faultError(error);
  if (error instanceof Refusal) return refusalError(error, user, prefix);
  throw error;
}

function faultError({ kind, endpoint, code, message }: Fault): StoreError {
  const { text } = endpoint;
  if (kind === "too large") return unusable(endpoint, "answers with more than 8 MiB");
  const tls = tlsError(endpoint, code, message);
  if (tls !== null) return tls;
  switch (code) {
    case "ECONNREFUSED":
      return away(`${text} refuses connections: start etcd there, or correct --store`);
    case "ETIMEDOUT":
      return away(
        `${text} does not answer within ${CALL_LIMIT / 1000} s: see whether etcd runs there, and what lies between`,
      );
    case "EHOSTUNREACH":
    case "ENETUNREACH":
    case "EADDRNOTAVAIL":
      return away(`there is no route to ${text} (${code}): see the network, or correct --store`);
    default:
      if (code.startsWith("HPE_")) return unusable(endpoint, "does not speak HTTP");
      return away(
        `${text} has ended the connection (${code}): see whether etcd runs there, and ${tlsAdvice(text)}`,
      );
  }
}

/** An etcd says nothing to those who speak TLS where it does not, or the other way round. */
function tlsAdvice(text: string): string {
  return text.startsWith("etcds:")
    ? "speaks TLS (write etcd:// for etcds:// where not)"
    : "without TLS (write etcds:// for etcd:// where not)";
}

/** Which way the certificates are wrong; null: they are not what is wrong. */
function tlsError(endpoint: Endpoint, code: string, message: string): StoreError | null {
  const { text, host } = endpoint;
  if (UNTRUSTED.has(code)) {
    return refused(
      `no authority of --store-ca has signed the certificate of ${text} (${code}): name the right one`,
    );
  }
  switch (code) {
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return refused(
        `the certificate of ${text} is not for ${host}: name the endpoint as its certificate does, or have it signed for ${host}`,
      );
    case "CERT_HAS_EXPIRED":
    case "CERT_NOT_YET_VALID":
      return refused(
        `the certificate of ${text} is not valid now (${code}): renew it, or set the clock`,
      );
    case "EPROTO":
    case "ERR_SSL_WRONG_VERSION_NUMBER":
    case "ERR_SSL_PACKET_LENGTH_TOO_LONG":
      return refused(`${text} does not speak TLS: write etcd:// for etcds://`);
    default:
      return /alert (bad certificate|certificate required|unknown ca|certificate (expired|unknown)|unsupported certificate|handshake failure)/.test(
        message,
      )
        ? refused(
            `${text} does not accept our certificate (${code}): give --store-cert and --store-key that its authority has signed`,
          )
        : null;
  }
}

function refusalError(refusal: Refusal, user: string | null, prefix: string): StoreError {
  const { endpoint, code, message } = refusal;
  const { text } = endpoint;
  if (refusal.says("authentication failed")) {
    return refused(
      `${text} does not accept user ${quoted(user ?? "")} with this password: check --store-user and --store-password`,
    );
  }
  if (wantsToken(refusal)) {
    return refused(`${text} asks for a user: give --store-user and --store-password`);
  }
  if (code === CODES.permissionDenied) {
    return refused(
      `${text} does not let user ${quoted(user ?? "")} read and write below ${prefix}: grant its role "readwrite --prefix" there`,
    );
  }
  if (isGatewayAlone(refusal)) {
    return refused(
      `the JSON gateway of ${text} cannot reach its own etcd (${quoted(message)}): where clients need certificates, the server's must be good for clients, too (extendedKeyUsage serverAuth, clientAuth)`,
    );
  }
  if (refusal.says("space exceeded")) {
    return away(`${text} is full: make room there (etcdctl compact, defrag, alarm disarm)`);
  }
  if (code === CODES.unavailable || code === CODES.exhausted) {
    return away(
      `${text} cannot serve now (${quoted(message)}): see whether its cluster has a leader`,
    );
  }
  return new StoreError("unusable", `${text} refuses a request: ${quoted(message)}`);
}

/** The gateway is a client of its own etcd, with the server's certificate. */
function isGatewayAlone(refusal: Refusal): boolean {
  if (!refusal.endpoint.text.startsWith("etcds:")) return false;
  return ["bad certificate", "connection closed"].some((text) => refusal.says(text));
}

function refused(message: string): StoreError {
  return new StoreError("refused", message);
}

function away(message: string): StoreError {
  return new StoreError("unreachable", message);
}
