/** Of a message, in characters. */
const LONGEST_LINE = 1000;
/** How much of the beginning is kept of a longer one; its end says how to fix it. */
const HEAD = 600;
/** How much of a text is repeated in quotation marks, in characters. */
const MOST_QUOTED = 80;

const SHORT_ESCAPES: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** The text as one line of limited length, whatever is in it: escaped, and cut in the middle. */
export function oneLine(text: string): string {
  const line = text.replace(unprintable(), escapeOf).toWellFormed();
  if (line.length <= LONGEST_LINE) return line;
  return `${line.slice(0, HEAD)} … ${line.slice(HEAD - LONGEST_LINE)}`.toWellFormed();
}

/** The text without what a terminal would obey, but with its lines and tabs. JSON stays JSON of the same value. */
export function printable(text: string): string {
  return text.replace(unprintable(), (character) =>
    character === "\n" || character === "\t" ? character : jsonEscapeOf(character),
  );
}

/** A user's text in quotation marks; a long one is cut. Its control characters are escaped. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > MOST_QUOTED ? `${text.slice(0, MOST_QUOTED)}…` : text);
}

/**
 * Control characters, line separators, and what changes the direction or the look of the text around it. A function, as
 * V8 takes 0.1 ms for the expression, which a start that goes well does not need.
 */
function unprintable(): RegExp {
  return /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
}

function jsonEscapeOf(character: string): string {
  const units = Array.from({ length: character.length }, (_, at) => character.charCodeAt(at));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
}

function escapeOf(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return SHORT_ESCAPES[character] ?? `\\u{${code.toString(16)}}`;
}
