import { Option } from "commander";
import * as v from "valibot";
import { Prefix } from "../base/address.js";
import { UserError } from "../base/errors.js";
import { type AddressPlan, DEFAULT_PREFIX, planFor } from "../base/plan.js";

const DEFAULT_MTU = 1500;
/** RFC 791: every host forwards 68 bytes; 65521 is what slirp4netns takes. */
const MTU_RANGE = { least: 68, most: 65521 } as const;
/** PID_MAX_LIMIT of the kernel, 64 bits. */
const PID_MOST = 2 ** 22;
/** A descriptor is an int. */
const FD_MOST = 2 ** 31 - 1;
/** IFNAMSIZ without the terminating zero, in bytes. */
const INTERFACE_NAME_BYTES = 15;

/** How each option is written; the commands that share one share its meaning. */
export const option = {
  configure: new Option("-c, --configure", "bring up lo and the TAP, set MTU, address and route"),
  exitFd: new Option("-e, --exit-fd <fd>", "end on any event on this descriptor"),
  readyFd: new Option("-r, --ready-fd <fd>", 'write "1" to this descriptor when the network is up'),
  mtu: new Option(
    "-m, --mtu <bytes>",
    `MTU of the TAP, ${MTU_RANGE.least} to ${MTU_RANGE.most}`,
  ).default(String(DEFAULT_MTU), String(DEFAULT_MTU)),
  cidr: new Option("--cidr <network>", "IPv4 network of the namespace, /25 or larger").default(
    String(DEFAULT_PREFIX),
    String(DEFAULT_PREFIX),
  ),
  hostLoopback: new Option(
    "--host-loopback",
    "let the gateway's address lead to 127.0.0.1 of the host",
  ),
  disableHostLoopback: new Option(
    "--disable-host-loopback",
    "do not let the gateway's address lead to 127.0.0.1 of the host",
  ),
  tap: new Option("--tap <name>", "name of the TAP in the namespace").default("tap0", "tap0"),
  keepId: new Option("--keep-id", "keep the uid and gid instead of becoming root inside"),
  netnsType: new Option("--netns-type <type>", "what the first argument is: pid or path").default(
    "pid",
    "pid",
  ),
  usernsPath: new Option("--userns-path <path>", "user namespace to enter"),
} as const;

const flag = v.optional(v.boolean(), false);

const mtu = wholeNumber("--mtu", MTU_RANGE.least, MTU_RANGE.most);

const addressPlan = v.pipe(
  v.string(),
  v.rawTransform<string, AddressPlan>(({ dataset, addIssue, NEVER }) => {
    try {
      return ipv4PlanFor(dataset.value);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      addIssue({ message: `--cidr ${error.message}` });
      return NEVER;
    }
  }),
);

const interfaceName = v.pipe(
  v.string(),
  v.check(
    (name) => name !== "lo",
    "TAP name lo is taken by the loopback interface: choose another, such as tap0",
  ),
  v.check(
    (name) => Buffer.byteLength(name) <= INTERFACE_NAME_BYTES,
    ({ input }) =>
      `TAP name ${input} is too long: an interface has at most ${INTERFACE_NAME_BYTES} bytes`,
  ),
  // dev_valid_name() of the kernel; % because TUNSETIFF would take it as a pattern.
  v.regex(
    /^(?!\.{1,2}$)[^\s/:%]+$/,
    ({ input }) =>
      `TAP name "${input}" is not an interface name: use letters and digits, such as tap0`,
  ),
);

const networkEntries = { mtu, cidr: addressPlan };
const descriptorEntries = {
  readyFd: v.nullish(wholeNumber("--ready-fd", 0, FD_MOST), null),
  exitFd: v.nullish(wholeNumber("--exit-fd", 0, FD_MOST), null),
};

/** Options of `slipway run`. */
export const runOptions = v.object({
  ...networkEntries,
  hostLoopback: flag,
  keepId: flag,
  tap: interfaceName,
});

/** Options and arguments of `slipway attach`. */
export const attachOptions = v.object({
  ...networkEntries,
  ...descriptorEntries,
  hostLoopback: flag,
  tap: interfaceName,
});

/** Options and arguments of `slirp4netns`. */
export const slirp4netnsOptions = v.object({
  ...networkEntries,
  ...descriptorEntries,
  configure: flag,
  disableHostLoopback: flag,
  netnsType: v.picklist(
    ["pid", "path"],
    ({ input }) => `--netns-type is ${input}: it must be pid or path`,
  ),
  usernsPath: v.nullish(v.string(), null),
  tap: interfaceName,
});

/** A process ID as an argument. */
export const pid = wholeNumber("PID", 1, PID_MOST);

/**
 * The checked form of raw options.
 * @throws UserError with the first sentence of the schema that does not hold
 */
export function check<Schema extends v.GenericSchema>(
  schema: Schema,
  raw: unknown,
): v.InferOutput<Schema> {
  const result = v.safeParse(schema, raw, { abortEarly: true });
  if (!result.success) throw new UserError(result.issues[0].message, 2);
  return result.output;
}

function wholeNumber(name: string, least: number, most: number) {
  const mend = `give a number from ${least} to ${most}`;
  return v.pipe(
    v.string(),
    v.regex(/^\d+$/, ({ input }) => `${name} is "${input}", not a number: ${mend}`),
    v.transform(Number),
    v.minValue(least, ({ input }) => `${name} ${input} is too small: ${mend}`),
    v.maxValue(most, ({ input }) => `${name} ${input} is too large: ${mend}`),
  );
}

function ipv4PlanFor(text: string): AddressPlan {
  const prefix = Prefix.parse(text);
  if (prefix.address.family === 6) {
    throw new RangeError(`"${text}" is not an IPv4 network; write one like ${DEFAULT_PREFIX}`);
  }
  return planFor(prefix);
}
