import type { Family } from "../../base/address.js";
import { type AddressPlan, DEFAULT_PREFIX, planFor } from "../../config/address-plan.js";
import { DEFAULT_TIMEOUTS } from "../../config/guest-config.js";
import type { Ipv6Options, NetworkOptions } from "../invocation.js";
import type { Values } from "../parsing/option.js";
import { wrong } from "../parsing/values.js";
import type { OutboundOption } from "../target.js";
import type { commonOptions, slipwayOptions, slirp4netnsOptions } from "./declarations.js";
import { limitsOf } from "./limits.js";

const DEFAULT_IPV6_PLAN = planFor(DEFAULT_PREFIX[6]);

type CommonValues = Values<typeof commonOptions>;
type SlipwayValues = Values<typeof slipwayOptions>;

/** Of `slipway run` and `slipway attach`. @throws UserError */
export function slipwayNetwork(values: CommonValues & SlipwayValues): NetworkOptions {
  const { dns: servers, dnsSearch: search, addHost, ipv6Cidr } = values;
  if (values.noIpv6 && ipv6Cidr !== null) {
    throw wrong("--ipv6-cidr has no effect with --no-ipv6: leave one of them out");
  }
  if (values.disableDns && servers.length + search.length + addHost.length > 0) {
    throw wrong(
      "--dns, --dns-search and --add-host have no effect with --disable-dns: leave one of them out",
    );
  }
  const records = addHost.flat();
  return {
    ...commonNetwork(values),
    outbound: outboundOf(values),
    ipv6: {
      plan: ipv6Cidr ?? DEFAULT_IPV6_PLAN,
      when: values.noIpv6 ? "never" : wanted(ipv6Cidr, "if the host has it"),
    },
    hostLoopback: values.hostLoopback,
    dns: values.disableDns ? null : { servers, search, records },
  };
}

/** @throws UserError */
function outboundOf(values: CommonValues & SlipwayValues): NetworkOptions["outbound"] {
  const { outboundAddr, outboundAddr6, hostAddress } = values;
  if (hostAddress.length === 0) return outbound(values);
  const other = outboundAddr === null ? outboundAddr6 : outboundAddr;
  if (other !== null) {
    throw wrong(
      "--host-address is what is sent from: leave --outbound-addr and --outbound-addr6 out",
    );
  }
  const of = (family: Family): OutboundOption | null => {
    const address = hostAddress.find((each) => each.family === family);
    return address === undefined ? null : { option: "--host-address", source: `${address}` };
  };
  return { 4: of(4), 6: of(6) };
}

function outbound({ outboundAddr, outboundAddr6 }: CommonValues): NetworkOptions["outbound"] {
  const of = (option: string, source: string | null): OutboundOption | null =>
    source === null ? null : { option, source };
  return { 4: of("--outbound-addr", outboundAddr), 6: of("--outbound-addr6", outboundAddr6) };
}

/** Of `slirp4netns`, where IPv6 is off by default. */
export function slirp4netnsNetwork(
  values: CommonValues & Values<typeof slirp4netnsOptions>,
): NetworkOptions {
  const { ipv6Cidr } = values;
  return {
    ...commonNetwork(values),
    ipv6: {
      plan: ipv6Cidr ?? DEFAULT_IPV6_PLAN,
      when: values.enableIpv6 ? "always" : wanted(ipv6Cidr, "never"),
    },
    hostLoopback: !values.disableHostLoopback,
    dns: values.disableDns ? null : { servers: [], search: [], records: [] },
  };
}

function commonNetwork(values: CommonValues) {
  return {
    mtu: values.mtu,
    ipv4: values.cidr,
    outbound: outbound(values),
    udpFiltering: values.udpFiltering,
    // Of those of one kind the last counts.
    timeouts: Object.assign({ ...DEFAULT_TIMEOUTS }, ...values.timeout),
    memoryBudget: values.memory,
    limits: limitsOf(values),
  };
}

/** Whoever names an IPv6 network wants IPv6. */
function wanted(plan: AddressPlan | null, otherwise: Ipv6Options["when"]): Ipv6Options["when"] {
  return plan === null ? otherwise : "always";
}
