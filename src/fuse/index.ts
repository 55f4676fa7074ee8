/**
 * `holdfast/fuse`: the kernel's FUSE protocol (7.31 to 7.45) for file systems written in TypeScript. A file
 * system implements `FuseFileSystem`, a `Transport` reads and writes /dev/fuse, and a `FuseSession` joins them.
 */
export * from './api.js'
export { formatReply, formatRequest } from './debug.js'
export type { ReportBug } from './dispatch.js'
export * from './encode-body.js'
export { encodeReply, replyHeader, writeReply } from './encode-reply.js'
export { KernelLacksError, KernelTooOldError, TransportError } from './errors.js'
export { type NegotiationOptions, negotiate } from './negotiate.js'
export { createNotifier, type FullNotifier } from './notify.js'
export type { Request } from './request.js'
export { FuseSession, type SessionOptions } from './session.js'
export { ProtocolError } from './wire/errors.js'
export * from './wire/flags.js'
export { minorOf } from './wire/minors.js'
export { OPCODES, type OpcodeName, opcodeName } from './wire/opcodes.js'
export type { Values } from './wire/struct.js'
export * as structs from './wire/structs.js'
