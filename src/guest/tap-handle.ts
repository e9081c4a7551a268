/** A guest's TAP, opened. */
export interface TapHandle {
  /** A handle of the addon. */
  readonly fd: number;
  /** Whether each frame is preceded by a virtio_net_hdr. */
  readonly vnetHeader: boolean;
  /** Called when the other end has gone. Only a socket that stands in a TAP's place can lose it. */
  onEnd?(): void;
}
