import { isSameName } from "./names.js";

/** A network that is always there, as in docker. Nobody creates it or removes it. */
export interface PredefinedNetwork {
  readonly id: string;
  readonly name: "bridge" | "host" | "none";
  readonly driver: "bridge" | "host" | "null";
}

/** `bridge` is made when it is first used; the others have no members. */
export const PREDEFINED: readonly PredefinedNetwork[] = [
  {
    id: "27b85c576d3d31f8b697e813cd6bcc940fa4bc4262beb9c41b7816a0d31753d5",
    name: "bridge",
    driver: "bridge",
  },
  {
    id: "16cf2662784375813122d796b84de182a78befbf418a69199e2378b12aa609d0",
    name: "host",
    driver: "host",
  },
  {
    id: "3c31605e35faff581afca0a0559459b5fa4e2b06de021e580de0df109388bb67",
    name: "none",
    driver: "null",
  },
];

export function predefinedNamed(name: string): PredefinedNetwork | undefined {
  return PREDEFINED.find((each) => isSameName(each.name, name));
}
