/** Duration of each kind of measurement, seconds; bulk in whole ones, as iperf3 counts. */
export interface Durations {
  readonly bulk: number;
  readonly load: number;
  readonly idle: number;
}
