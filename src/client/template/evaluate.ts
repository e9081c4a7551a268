import { printable } from "../../base/printable.js";
import type {
  Base,
  Block,
  Call,
  FunctionName,
  Operand,
  Pipeline,
  Template,
} from "../../commandline/template/syntax.js";
import { CALLS } from "./functions.js";
import { printed } from "./printing.js";
import { refused } from "./refused.js";
import { isList, isMap, isStruct, isTrue, kindOf, type Value } from "./value.js";

/** Fields that a message names, at most. */
const MOST_NAMED = 12;

/** Of what is printed for one item, in characters: ranges in ranges are soon more than a string can be. */
const MOST_PRINTED = 64 * 1024 * 1024;

/**
 * What a template prints for an item. It ends: nothing but {{range}} repeats, over what is there.
 * @throws UserError for a field that is not there, and what cannot be done with a value
 */
export function evaluate(template: Template, item: Value): string {
  const evaluation = new Evaluation(item);
  evaluation.run(template, item);
  return evaluation.text;
}

class Evaluation {
  readonly #parts: string[] = [];
  #length = 0;
  /** The innermost is the last. */
  readonly #variables: { readonly name: string; value: Value }[];

  constructor(root: Value) {
    this.#variables = [{ name: "$", value: root }];
  }

  get text(): string {
    return this.#parts.join("");
  }

  run(template: Template, dot: Value): void {
    const before = this.#variables.length;
    for (const node of template) {
      switch (node.kind) {
        case "text":
          this.#print(node.text);
          break;
        case "print": {
          const value = this.#pipeline(node.pipeline, dot);
          // Labels are other people's text, and may be meant for the terminal.
          if (node.pipeline.variables.length === 0) this.#print(printable(printed(value)));
          break;
        }
        case "if":
        case "with":
        case "range":
          this.#block(node, dot);
      }
    }
    this.#variables.length = before;
  }

  #print(text: string): void {
    this.#length += text.length;
    if (this.#length > MOST_PRINTED)
      throw refused(`it prints more than ${MOST_PRINTED} characters`);
    this.#parts.push(text);
  }

  #block(block: Block, dot: Value): void {
    const before = this.#variables.length;
    const value = this.#pipeline(block.pipeline, dot);
    if (block.kind === "range") this.#range(block, value, dot);
    else if (isTrue(value)) this.run(block.body, block.kind === "with" ? value : dot);
    else this.run(block.otherwise, dot);
    this.#variables.length = before;
  }

  #range({ pipeline, body, otherwise }: Block, value: Value, dot: Value): void {
    const entries = entriesOf(value);
    if (entries.length === 0) this.run(otherwise, dot);
    const { variables } = pipeline;
    for (const [key, element] of entries) {
      if (variables.length > 0) this.#set(variables[variables.length - 1], element);
      if (variables.length > 1) this.#set(variables[0], key);
      this.run(body, element);
    }
  }

  #pipeline({ variables, declares, calls }: Pipeline, dot: Value): Value {
    let value = this.#call(calls[0], dot, []);
    for (const call of calls.slice(1)) value = this.#call(call, dot, [value]);
    for (const name of variables) {
      if (declares) this.#variables.push({ name, value });
      else this.#set(name, value);
    }
    return value;
  }

  /** @param piped the result of the call before, or nothing */
  #call({ head, args }: Call, dot: Value, piped: readonly Value[]): Value {
    if (head.kind === "function") return this.#function(head.name, args, dot, piped);
    const value = this.#operand(head, dot);
    const given = [...args.map((arg) => this.#operand(arg, dot)), ...piped];
    if (typeof value === "function") return value(...given);
    if (given.length === 0) return value;
    throw refused(`${kindOf(value)} takes no arguments`);
  }

  #function(
    name: FunctionName,
    args: readonly Operand[],
    dot: Value,
    piped: readonly Value[],
  ): Value {
    if (name !== "and" && name !== "or") {
      return CALLS[name]([...args.map((arg) => this.#operand(arg, dot)), ...piped]);
    }
    let value: Value;
    for (const arg of args) {
      value = this.#operand(arg, dot);
      if (isTrue(value) === (name === "or")) return value;
    }
    return piped.length > 0 ? piped[0] : value;
  }

  #operand(operand: Operand, dot: Value): Value {
    switch (operand.kind) {
      case "literal":
        return operand.value;
      case "function":
        return this.#function(operand.name, [], dot, []);
      case "field":
        return operand.path.reduce(fieldOf, this.#base(operand.of, dot));
    }
  }

  #base(base: Base, dot: Value): Value {
    switch (base.kind) {
      case "dot":
        return dot;
      case "variable":
        return this.#variables.findLast(({ name }) => name === base.name)?.value;
      case "pipeline":
        return this.#pipeline(base.pipeline, dot);
    }
  }

  #set(name: string, value: Value): void {
    const variable = this.#variables.findLast((each) => each.name === name);
    if (variable !== undefined) variable.value = value;
  }
}

function fieldOf(value: Value, name: string): Value {
  if (isMap(value)) return value.get(name);
  if (!isStruct(value)) throw refused(`there is no field ${name} in ${kindOf(value)}`);
  if (Object.hasOwn(value, name)) return value[name];
  const names = Object.keys(value);
  const more = names.length > MOST_NAMED ? " …" : "";
  throw refused(`there is no field ${name}, but ${names.slice(0, MOST_NAMED).join(" ")}${more}`);
}

function entriesOf(value: Value): readonly (readonly [Value, Value])[] {
  if (value === undefined || value === null) return [];
  if (isMap(value)) return [...value];
  if (isList(value)) return [...value.entries()];
  throw refused(`range goes through lists and maps, not ${kindOf(value)}`);
}
