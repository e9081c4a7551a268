import { wrong } from "../parsing/values.js";
import type { Literal } from "./syntax.js";

export type Token =
  | { readonly kind: "literal"; readonly text: string; readonly value: Literal }
  /** `field`: `.Name`; `variable`: `$` or `$x`; `symbol`: `.` alone, parentheses, and what joins pipelines. */
  | { readonly kind: "field" | "variable" | "word" | "symbol"; readonly text: string };

/** A token, and whether it follows the one before without a space. */
export type Placed = Token & { readonly isGlued: boolean };

/** Text, or what is between {{ and }}; `text` of an action is its beginning, for messages. */
export type Piece =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "action"; readonly text: string; readonly tokens: readonly Placed[] };

/** Of an action in a message, in characters. */
const MOST_SHOWN = 60;

const SPACE = /[ \t\r\n]+/y;
/** With the mark that trims the text behind it. */
const CLOSE = /(?:[ \t\r\n]+(-))?\}\}/y;
const COMMENT = /\/\*[\s\S]*?\*\/(?=(?:[ \t\r\n]+-)?\}\})/y;

const WORDS: Readonly<Record<string, Literal>> = { true: true, false: false, nil: null };

/**
 * In the order in which they are tried. Whatever is not ASCII may be in a name: with \p{L} V8 takes half a millisecond for
 * these expressions, at each start of any command.
 */
const TOKENS: readonly (readonly [RegExp, (text: string) => Token | null])[] = [
  [/"(?:[^"\\\n]|\\.)*"/y, (text) => literal(text, unquoted(text))],
  [/`[^`]*`/y, (text) => literal(text, text.slice(1, -1))],
  [/[+-]?\d+(?:\.\d+)?(?![\w.])/y, (text) => literal(text, Number(text))],
  [/\.[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*/y, (text) => ({ kind: "field", text })],
  [/\$[\w\u0080-\uffff]*/y, (text) => ({ kind: "variable", text })],
  [
    /[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*/y,
    (text) => (Object.hasOwn(WORDS, text) ? literal(text, WORDS[text]) : { kind: "word", text }),
  ],
  [/:=|[.=|(),]/y, (text) => ({ kind: "symbol", text })],
];

/** @throws UserError for an action that is not closed, or that has what no token begins with */
export function piecesOf(template: string): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  let trims = false;
  while (at < template.length) {
    const found = template.indexOf("{{", at);
    const end = found < 0 ? template.length : found;
    const marks = found >= 0 && /^-[ \t\r\n]/.test(template.slice(end + 2, end + 4));
    const text = template.slice(at, end);
    const kept = marks ? text.trimEnd() : text;
    pieces.push({ kind: "text", text: unescaped(trims ? kept.trimStart() : kept) });
    if (found < 0) break;
    const action = actionAt(template, found, marks ? 3 : 2);
    if (action.tokens.length > 0 || !action.isComment) {
      const { tokens } = action;
      pieces.push({ kind: "action", text: shown(template, found, action.end), tokens });
    }
    ({ end: at, trims } = action);
  }
  return pieces;
}

interface Action {
  readonly tokens: readonly Placed[];
  readonly end: number;
  readonly isComment: boolean;
  /** Whether the space behind it is left out. */
  readonly trims: boolean;
}

function actionAt(template: string, start: number, opening: number): Action {
  const tokens: Placed[] = [];
  let at = start + opening;
  let isGlued = false;
  let isComment = false;
  for (;;) {
    const close = matchAt(CLOSE, template, at);
    if (close !== null) {
      return { tokens, end: at + close[0].length, isComment, trims: close[1] !== undefined };
    }
    const skipped = matchAt(SPACE, template, at) ?? matchAt(COMMENT, template, at);
    if (skipped !== null) {
      isComment ||= skipped[0].startsWith("/*");
      isGlued = false;
      at += skipped[0].length;
      continue;
    }
    const token = tokenAt(template, at);
    if (token === null) throw unreadable(template, start, at);
    tokens.push({ ...token, isGlued });
    isGlued = true;
    at += token.text.length;
  }
}

function tokenAt(template: string, at: number): Token | null {
  for (const [pattern, make] of TOKENS) {
    const match = matchAt(pattern, template, at);
    const token = match === null ? null : make(match[0]);
    if (token !== null) return token;
  }
  return null;
}

function unreadable(template: string, start: number, at: number): Error {
  const action = shown(template, start, template.length);
  const hasEnd = template.indexOf("}}", at) >= 0;
  if (!hasEnd) return refused(`${action} is not closed: end it with }}`);
  if (template[at] === "-" && at > start + 2) {
    return refused(
      `${action}: "-" cannot be in the name of a field: write {{index .Labels "my-key"}}`,
    );
  }
  return refused(`${action}: ${JSON.stringify(template[at])} has no meaning there`);
}

/** On one line. */
function shown(template: string, start: number, end: number): string {
  const cut = template.slice(start, Math.min(end, start + MOST_SHOWN)).replace(/\s+/g, " ");
  return end > start + MOST_SHOWN ? `${cut}…` : cut;
}

/** Always ends with the way that works for everything. */
export function refused(why: string): Error {
  return wrong(`--format: ${why}; --json shows all`);
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

function literal(text: string, value: Literal): Token | null {
  return { kind: "literal", text, value };
}

/** As docker does with the text of templates, since shells pass these on as they are. */
function unescaped(text: string): string {
  return text.replaceAll("\\t", "\t").replaceAll("\\n", "\n");
}

/** The escapes of Go that JSON has, too. */
function unquoted(text: string): string {
  try {
    return JSON.parse(text.replaceAll("\t", "\\t"));
  } catch {
    throw refused(`${text} is not a text: escape \\ as \\\\, or write it between backquotes`);
  }
}
