import { Admission } from "../admission/admission.js";
import type { BulkMeter } from "../admission/bulk-meter.js";
import { NEVER } from "../base/clock.js";
import type { GuestConfig } from "../config/guest-config.js";
import type { GuestWriter } from "../frames/guest-writer.js";
import { type Announcer, servicesFor } from "../services/index.js";
import type { Responder } from "./ingress.js";

/** The services of one guest, and the limits of their requests. They are made anew when the guest's plans change. */
export class GuestServices {
  readonly #config: GuestConfig;
  readonly #bulk: BulkMeter;
  /** By the name of the service; services of one name, one of each family, share one. */
  readonly #admissions = new Map<string, Admission>();
  #responders: readonly Responder[] = [];
  #announcers: readonly Announcer[] = [];

  constructor(config: GuestConfig, bulk: BulkMeter) {
    this.#config = config;
    this.#bulk = bulk;
    this.#make();
  }

  /** In the order in which they are asked. */
  get responders(): readonly Responder[] {
    return this.#responders;
  }

  /** When announce() has something to do, in ms; NEVER when nothing is planned. */
  get nextAt(): number {
    let next = NEVER;
    for (let index = 0; index < this.#announcers.length; index += 1) {
      next = Math.min(next, this.#announcers[index].announceAt);
    }
    return next;
  }

  /** Sends what is due. */
  announce(writer: GuestWriter, now: number): void {
    for (let index = 0; index < this.#announcers.length; index += 1) {
      const announcer = this.#announcers[index];
      if (now >= announcer.announceAt) writer.writeFrame(announcer.announcement(now));
    }
  }

  /**
   * Makes the services anew, as the plans have changed: leases are forgotten. A guest that was told of the former ones, or
   * could not be told of any, is told of the change at once.
   */
  replace(writer: GuestWriter, now: number): void {
    const former = this.#announcers;
    this.#make();
    const isSilent = former.length > 0 && former.every(({ announceAt }) => announceAt === NEVER);
    if (isSilent) return;
    for (const announcer of former) {
      const frame = announcer.farewell(this.#config.plans);
      if (frame !== null) writer.writeFrame(frame);
    }
    for (const announcer of this.#announcers) announcer.announceSoon();
    this.announce(writer, now);
  }

  /** The limit of the requests to a service. */
  admissionTo(name: string): Admission {
    const known = this.#admissions.get(name);
    if (known !== undefined) return known;
    const admission = new Admission(this.#config.limits.newMappings, this.#bulk);
    this.#admissions.set(name, admission);
    return admission;
  }

  #make(): void {
    const { responders, announcers } = servicesFor(this.#config);
    this.#responders = responders.map((service) => ({
      service,
      admission: service.isLimited ? this.admissionTo(service.name) : null,
    }));
    this.#announcers = announcers;
  }
}
