import { UserError } from "../base/errors.js";
import { quoted } from "../base/printable.js";
import { SHORT_ID_LENGTH } from "./constants.js";

/** `name`: of a member or a network. `alias`: a further name of a member. */
export type NameKind = "name" | "alias" | "hostname";

interface Rule {
  readonly pattern: RegExp;
  /** In characters. */
  readonly longest: number;
  /** For the user. */
  readonly text: string;
}

/** Of a name that DNS can ask for (RFC 1035 §2.3.4); each part between two dots has 63 at most. */
const LONGEST_DOMAIN = 253;
/** __NEW_UTS_LEN of the kernel. */
export const LONGEST_HOSTNAME = 64;

const LENGTHS = `63 at most between dots, ${LONGEST_DOMAIN} in all`;

const RULES: Readonly<Record<NameKind, Rule>> = {
  // Docker's rule for containers and networks, and that DNS can ask for it.
  name: {
    pattern: /^(?=[a-z0-9])[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/i,
    longest: LONGEST_DOMAIN,
    text: `begin with a letter or digit, and use letters, digits and _ . -, ${LENGTHS}`,
  },
  alias: {
    pattern: /^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/i,
    longest: LONGEST_DOMAIN,
    text: `use letters, digits and _ . -, ${LENGTHS}`,
  },
  hostname: {
    pattern: /^[a-z0-9][a-z0-9_.-]*$/i,
    longest: LONGEST_HOSTNAME,
    text: `begin with a letter or digit, and use letters, digits and _ . -, ${LONGEST_HOSTNAME} at most`,
  },
};

/** Fewer digits may be those of another id by chance. */
export const LEAST_ID_DIGITS = 8;

export function isValidName(kind: NameKind, text: string): boolean {
  const { pattern, longest } = RULES[kind];
  return text.length <= longest && pattern.test(text);
}

/**
 * @param what it is to be, such as "a network's name"
 * @param option whose value it is; absent: the text stands alone
 * @throws UserError with the status of a wrong command line
 */
export function requireValidName(
  kind: NameKind,
  what: string,
  text: string,
  option?: string,
): void {
  if (isValidName(kind, text)) return;
  const where = option === undefined ? "" : `${option} `;
  throw new UserError(`${where}${quoted(text)} cannot be ${what}: ${RULES[kind].text}`, 2);
}

/** The hostname of a member without one of its own: its name, or as in docker its short id where that is too long. */
export function hostnameOfMember(name: string, id: string): string {
  return isValidName("hostname", name) ? name : shortId(id);
}

/** Names are compared as DNS does, which does not tell upper case from lower case (RFC 4343). */
export function isSameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

/** Whether a new name would mean one that exists. */
export function isTaken(
  name: string,
  other: { readonly id: string; readonly name: string },
): boolean {
  return isSameName(name, other.name) || name === other.id;
}

/** The one that a text means: by id, by name, or by the first LEAST_ID_DIGITS digits or more of its id. */
export function findByName<T extends { readonly id: string; readonly name: string }>(
  all: readonly T[],
  text: string,
): T | undefined {
  return (
    all.find(({ id }) => id === text) ??
    all.find(({ name }) => isSameName(name, text)) ??
    findByIdPrefix(all, text)
  );
}

function findByIdPrefix<T extends { readonly id: string }>(
  all: readonly T[],
  start: string,
): T | undefined {
  const found = all.filter(({ id }) => id.startsWith(start));
  return start.length >= LEAST_ID_DIGITS && found.length === 1 ? found[0] : undefined;
}

/** How docker shortens an id. */
export function shortId(id: string): string {
  return id.slice(0, SHORT_ID_LENGTH);
}

/** Whether a text means a process, by its PID, and nothing with a name. */
export function isPid(text: string): boolean {
  return /^\d+$/.test(text);
}
