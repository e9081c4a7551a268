/** Most edits between a word and a suggestion, and the least part of the letters that must be right. */
const MOST_EDITS = 3;
const LEAST_SIMILARITY = 0.4;
/** Letters of a word that may be the beginning of another. */
const LEAST_BEGINNING = 3;

/**
 * ` (Did you mean X?)` for the candidates that a word begins, or else those that are most similar to it; "" where there is
 * none.
 */
export function suggestion(word: string, candidates: readonly string[]): string {
  const begun = candidates.filter((candidate) => isBegun(withoutDashes(word), candidate));
  return questionOf(begun.length > 0 ? begun : mostSimilar(word, candidates));
}

/** ` (Did you mean X?)`, or "" for no candidate. */
export function questionOf(candidates: readonly string[]): string {
  if (candidates.length === 0) return "";
  const which = candidates.length === 1 ? "" : "one of ";
  return ` (Did you mean ${which}${candidates.toSorted().join(", ")}?)`;
}

function isBegun(word: string, candidate: string): boolean {
  return word.length >= LEAST_BEGINNING && withoutDashes(candidate).startsWith(word);
}

function mostSimilar(word: string, candidates: readonly string[]): readonly string[] {
  const ranked = candidates
    .map((candidate) => ({ candidate, ...likeness(withoutDashes(word), withoutDashes(candidate)) }))
    .filter(({ isSimilar }) => isSimilar);
  const fewest = Math.min(...ranked.map(({ edits }) => edits));
  return ranked.filter(({ edits }) => edits === fewest).map(({ candidate }) => candidate);
}

/** Dashes at the beginning do not make words similar. */
function withoutDashes(word: string): string {
  return word.replace(/^-+/, "");
}

function likeness(a: string, b: string): { edits: number; isSimilar: boolean } {
  // Neither the time nor the memory for a word of any length.
  if (Math.abs(a.length - b.length) > MOST_EDITS)
    return { edits: MOST_EDITS + 1, isSimilar: false };
  const edits = editsBetween(a, b);
  const length = Math.max(a.length, b.length);
  return { edits, isSimilar: edits <= MOST_EDITS && (length - edits) / length > LEAST_SIMILARITY };
}

/** Insertions, deletions, replacements and swaps of neighbours that make one of the other (Damerau, 1964). */
function editsBetween(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, column) => column)];
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = rows[i - 1][j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swapped = isSwapped ? rows[i - 2][j - 2] + 1 : Number.POSITIVE_INFINITY;
      row.push(Math.min(rows[i - 1][j] + 1, row[j - 1] + 1, replaced, swapped));
    }
    rows.push(row);
  }
  return rows[a.length][b.length];
}
