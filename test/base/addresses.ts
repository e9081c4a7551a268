import { Address } from "../../src/base/address.js";

export function address(text: string): Address {
  const parsed = Address.parse(text);
  if (parsed === null) throw new Error(`${text} does not parse`);
  return parsed;
}
