/** A guest's TAP, opened. */
export interface TapHandle {
  /** A handle of the addon. */
  readonly fd: number;
  /** Whether each frame is preceded by a virtio_net_hdr. */
  readonly vnetHeader: boolean;
  /**
   * Whether it is a stream socket in a TAP's place: each frame is preceded by its length, and has no virtio header.
   * The guest has no port of a switch then, which writes to the descriptor itself.
   */
  readonly isStream?: boolean;
  /**
   * Called when the other end has gone. Only a socket that stands in a TAP's place can lose it.
   * @param framingLost whether it sent what is no frame, so that it is to be closed
   */
  onEnd?(framingLost: boolean): void;
}
