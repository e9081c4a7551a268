import { suggestion } from "../parsing/suggestion.js";
import {
  type Base,
  type Block,
  type Call,
  FUNCTIONS,
  type FunctionName,
  type Node,
  type Operand,
  type Pipeline,
  type Template,
} from "./syntax.js";
import { type Piece, type Placed, piecesOf, refused } from "./tokens.js";

/** In characters. */
const LONGEST_TEMPLATE = 65_536;
/** Of blocks and parentheses: the parser and the evaluation call themselves. */
const DEEPEST = 100;

const BLOCKS = ["if", "with", "range"] as const;
/** Of Go's templates, but not of ours. */
const NOT_OURS: readonly string[] = ["define", "template", "block", "break", "continue"];

type Action = Extract<Piece, { kind: "action" }>;

/**
 * Parses a template of Go's text/template, of which it knows what one line needs: fields, pipelines, functions,
 * variables, if, with and range. It runs in time proportional to the length.
 * @throws UserError with exit status 2 for everything else
 */
export function parseTemplate(text: string): Template {
  if (text.length > LONGEST_TEMPLATE) {
    throw refused(`a template has ${LONGEST_TEMPLATE} characters at most`);
  }
  const parser = new Parser(piecesOf(text));
  return parser.whole();
}

class Parser {
  readonly #pieces: readonly Piece[];
  #next = 0;
  #depth = 0;
  /** The variables in scope. */
  readonly #variables: string[] = ["$"];

  constructor(pieces: readonly Piece[]) {
    this.#pieces = pieces;
  }

  whole(): Template {
    const { nodes, stop } = this.#list();
    if (stop !== null) throw refused(`${stop.text} without {{if}}, {{with}} or {{range}}`);
    return nodes;
  }

  /** @returns the nodes up to {{end}}, {{else}} or the end, and which of them stopped it */
  #list(): { readonly nodes: Template; readonly stop: Action | null } {
    const nodes: Node[] = [];
    for (;;) {
      const piece = this.#pieces.at(this.#next);
      if (piece === undefined) return { nodes, stop: null };
      this.#next += 1;
      if (piece.kind === "text") {
        if (piece.text !== "") nodes.push(piece);
        continue;
      }
      const word = wordOf(piece);
      if (word === "end" || word === "else") return { nodes, stop: piece };
      nodes.push(this.#node(piece, word));
    }
  }

  #node(action: Action, word: string | null): Node {
    if (word !== null && NOT_OURS.includes(word)) {
      throw refused(`${action.text}: {{${word}}} is not known here`);
    }
    const kind = BLOCKS.find((each) => each === word);
    if (kind !== undefined) return this.#block(kind, action, action.tokens.slice(1));
    return { kind: "print", pipeline: this.#pipelineOf(action, action.tokens, false) };
  }

  #block(kind: Block["kind"], action: Action, tokens: readonly Placed[]): Block {
    this.#enter(action);
    const before = this.#variables.length;
    const pipeline = this.#pipelineOf(action, tokens, kind === "range");
    const { nodes: body, stop } = this.#list();
    // The variables of its own pipeline stay until {{end}}, those of its body do not.
    this.#variables.length = before;
    if (pipeline.declares) this.#variables.push(...pipeline.variables);
    const otherwise = this.#otherwise(action, stop);
    this.#variables.length = before;
    this.#depth -= 1;
    return { kind, pipeline, body, otherwise };
  }

  #otherwise(opened: Action, stop: Action | null): Template {
    if (stop === null) throw refused(`${opened.text} has no {{end}}`);
    if (wordOf(stop) === "end") {
      requireNothing(stop, stop.tokens.slice(1));
      return [];
    }
    const [, second, ...rest] = stop.tokens;
    const kind = BLOCKS.find((each) => each !== "range" && each === second?.text);
    if (kind !== undefined) return [this.#block(kind, stop, rest)];
    requireNothing(stop, stop.tokens.slice(1));
    const { nodes, stop: end } = this.#list();
    if (end === null || wordOf(end) !== "end") throw refused(`${opened.text} has no {{end}}`);
    requireNothing(end, end.tokens.slice(1));
    return nodes;
  }

  #pipelineOf(action: Action, tokens: readonly Placed[], isRange: boolean): Pipeline {
    const reader = new Tokens(action, tokens);
    const pipeline = this.#pipeline(reader, isRange ? 2 : 1);
    requireNothing(action, reader.rest);
    return pipeline;
  }

  /** @param most how many variables it may set */
  #pipeline(reader: Tokens, most: number): Pipeline {
    this.#enter(reader.action);
    const { variables, declares } = this.#assigned(reader, most);
    const calls: Call[] = [];
    do {
      calls.push(this.#call(reader, calls.length > 0));
    } while (reader.takes("|"));
    this.#depth -= 1;
    if (declares) this.#variables.push(...variables);
    return { variables, declares, calls };
  }

  #assigned(reader: Tokens, most: number): Pick<Pipeline, "variables" | "declares"> {
    const names = /^((?:\$[\w\u0080-\uffff]+,)?\$[\w\u0080-\uffff]+)(:?=)/.exec(reader.ahead(4));
    if (names === null) return { variables: [], declares: false };
    const [, list = "", sign] = names;
    const variables = list.split(",");
    if (variables.length > most) {
      throw refused(`${reader.action.text}: it cannot set ${list} there`);
    }
    const declares = sign === ":=";
    if (!declares) for (const name of variables) this.#requireVariable(reader.action, name);
    // Names, the commas between them, and the sign.
    reader.skip(variables.length * 2);
    return { variables, declares };
  }

  /** @param isPiped whether it takes the result of another call */
  #call(reader: Tokens, isPiped: boolean): Call {
    const head = this.#operand(reader);
    if (head === null) throw refused(`${reader.action.text}: a value is missing`);
    const args: Operand[] = [];
    for (;;) {
      const next = this.#operand(reader);
      if (next === null) break;
      args.push(next);
    }
    const takesArguments = head.kind === "function" || head.kind === "field";
    if (takesArguments || (args.length === 0 && !isPiped)) return { head, args };
    throw refused(`${reader.action.text}: ${JSON.stringify(head.value)} takes no arguments`);
  }

  /** @returns null where none begins */
  #operand(reader: Tokens): Operand | null {
    const token = reader.peek;
    if (token === undefined) return null;
    if (token.kind === "literal") {
      reader.skip(1);
      return { kind: "literal", value: token.value };
    }
    if (token.kind === "word") {
      reader.skip(1);
      return { kind: "function", name: functionNamed(reader.action, token.text) };
    }
    if (reader.takes(".")) return { kind: "field", of: { kind: "dot" }, path: [] };
    const base = this.#base(reader, token);
    if (base === null) return null;
    const path: string[] = [];
    // What follows without a space is a part of it.
    for (let next = reader.peek; next?.kind === "field"; next = reader.peek) {
      const isFirst = base.kind === "dot" && path.length === 0;
      if (!next.isGlued && !isFirst) break;
      path.push(next.text.slice(1));
      reader.skip(1);
    }
    return { kind: "field", of: base, path };
  }

  #base(reader: Tokens, token: Placed): Base | null {
    if (token.kind === "field") return { kind: "dot" };
    if (token.kind === "variable") {
      this.#requireVariable(reader.action, token.text);
      reader.skip(1);
      return { kind: "variable", name: token.text };
    }
    if (!reader.takes("(")) return null;
    const pipeline = this.#pipeline(reader, 0);
    if (!reader.takes(")")) throw refused(`${reader.action.text}: a ) is missing`);
    return { kind: "pipeline", pipeline };
  }

  #requireVariable(action: Action, name: string): void {
    if (this.#variables.includes(name)) return;
    throw refused(`${action.text}: there is no variable ${name}`);
  }

  #enter(action: Action): void {
    this.#depth += 1;
    if (this.#depth > DEEPEST) throw refused(`${action.text}: it is nested too deeply`);
  }
}

/** The tokens of an action that are still to be read. */
class Tokens {
  readonly action: Action;
  readonly #tokens: readonly Placed[];
  #next = 0;

  constructor(action: Action, tokens: readonly Placed[]) {
    this.action = action;
    this.#tokens = tokens;
  }

  get peek(): Placed | undefined {
    return this.#tokens.at(this.#next);
  }

  get rest(): readonly Placed[] {
    return this.#tokens.slice(this.#next);
  }

  /** The text of the next tokens. */
  ahead(count: number): string {
    const tokens = this.#tokens.slice(this.#next, this.#next + count);
    return tokens.map(({ text }) => text).join("");
  }

  skip(count: number): void {
    this.#next += count;
  }

  takes(symbol: string): boolean {
    const { peek } = this;
    const isThere = peek?.kind === "symbol" && peek.text === symbol;
    if (isThere) this.#next += 1;
    return isThere;
  }
}

function wordOf({ tokens: [first] }: Action): string | null {
  return first?.kind === "word" ? first.text : null;
}

function requireNothing(action: Action, rest: readonly Placed[]): void {
  if (rest.length === 0) return;
  throw refused(`${action.text}: "${rest[0].text}" has no meaning there`);
}

function functionNamed(action: Action, name: string): FunctionName {
  const found = FUNCTIONS.find((each) => each === name);
  if (found !== undefined) return found;
  const hint = suggestion(name, FUNCTIONS) || "; a field begins with a dot, as in {{.Name}}";
  throw refused(`${action.text}: there is no function ${name}${hint}`);
}
