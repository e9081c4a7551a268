/**
 * lwIP's TCP with a memory of its own: the exports of src/stack.c, which describes each. All
 * offsets are bytes in `memory`, which never grows; the numbers shared with C are in src/abi.h.
 */
export interface LwipExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  init(
    mtu: number,
    offload: number,
    budget: number,
    mac: number,
    seedHigh: number,
    seedLow: number,
  ): void;
  events_at(): number;
  iov_at(): number;
  addresses_at(): number;
  buffer(): number;
  buffer_take(): number;
  buffer_give(buffer: number): void;
  input(length: number): number;
  take_events(): number;
  flow_addresses(id: number): number;
  flow_ports(id: number): number;
  flow_syn(id: number): number;
  flow_update_path_mtu(family: number, ports: number, sequence: number, mtu: number): number;
  flow_mac(id: number): number;
  flow_frames_in(id: number): number;
  flow_frames_out(id: number): number;
  flow_accept(id: number): number;
  flow_refuse(id: number): void;
  flow_connect(family: number, ports: number, mac: number): number;
  flow_pending(id: number): number;
  flow_consumed(id: number, length: number): void;
  flow_reserve(id: number): number;
  flow_reserved_at(): number;
  flow_commit(id: number, length: number): void;
  flow_finish(id: number): void;
  flow_reset(id: number): void;
  flow_release(id: number): void;
  flush_acks(): number;
  flow_count(): number;
  tick(): number;
  stats(): number;
  split(
    ethernet: number,
    length: number,
    flags: number,
    vni: number,
    mtu: number,
    destination: number,
    source: number,
  ): number;
  split_next(): number;
  split_iov_at(): number;
  split_result_at(): number;
  split_table_at(): number;
  split_batch_at(): number;
  join(count: number, flags: number): number;
  join_input_at(): number;
  join_frames_at(): number;
  join_refusals_at(): number;
  join_arena_at(): number;
}

/**
 * Makes an instance; the module is compiled once in a process. Call `init` first.
 *
 * @param transmit writes one frame: `count` pairs of u32 (offset, length) at `pieces`. Returns >= 0,
 *   or a negative errno: the segment is kept and sent later. It must not call the instance.
 */
export function instantiate(transmit: (pieces: number, count: number) => number): LwipExports;
