/** `holdfast`: leases, pins and events for Node programs. Everything that the ioctls do, this does. */
export type { LeaseReply } from '../control/formats/abi.js'
export type { EventRecord, ProcessRecord } from '../control/formats/records.js'
export { HoldfastError } from './error.js'
export { type EventsOptions, events } from './events.js'
export {
  type Info,
  info,
  leasesOn,
  type QueryAnswer,
  type QueryOptions,
  query,
  type RevokeOptions,
  releaseAll,
  revoke,
} from './files.js'
export { Lease, type LeaseChange, type LeaseOptions, type OwnerOptions, takeLease } from './lease.js'
export { openPinContext, Pin, PinContext } from './pins.js'
export type { FileSource, RangeOption } from './request.js'
