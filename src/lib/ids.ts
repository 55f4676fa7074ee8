/**
 * Numbers that must not be mixed up. Each is a plain number at run time, below 2^53.
 */
declare const brand: unique symbol
type Branded<Name extends string> = number & { readonly [brand]: Name }

/** An inode as the lease rules know it: the nodeid of the FUSE mount. All hard links are one file. */
export type FileId = Branded<'FileId'>
/** An open file description: the `fh` that the engine gave in OPEN or CREATE. Never reused. */
export type Ofd = Branded<'Ofd'>
/** One process (thread group and start time), interned by the engine; a reused pid gets another key. */
export type ProcessKey = Branded<'ProcessKey'>
/** A pin context: the `fh` of one open of the control file `pinctx`. */
export type ContextId = Branded<'ContextId'>
export type LeaseId = Branded<'LeaseId'>
export type PinId = Branded<'PinId'>
export type Uid = Branded<'Uid'>
/** A request that may have to wait; chosen by the caller, unique among those that wait. */
export type RequestId = Branded<'RequestId'>
/** A point in time: milliseconds of a monotonic clock. Differences of Instants are named `…Ms`. */
export type Instant = Branded<'Instant'>
