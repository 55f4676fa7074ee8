/**
 * One row per operation. To add an operation, add a row; nothing else lists opcodes or says how a message is
 * put together. `dispatch.ts` and `debug.ts` follow these rows.
 */
import type { Struct } from './struct.js'
import * as s from './structs.js'

/**
 * What follows the request's struct: names ending in NUL, bytes counted by the struct's `size` or `in_size`, or
 * records counted by its `count`.
 */
export type Tail = 'nothing' | 'name' | 'two names' | 'data' | 'name and data' | { readonly each: AnyStruct }

/**
 * `none`: the kernel takes no reply. `empty`: the header alone. `data`: bytes without a struct. `size or data`:
 * a getxattrOut if the request's `size` is 0, else bytes. `dirents`: records of fuse_dirent or fuse_direntplus.
 * Otherwise the structs of the reply in turn, with data behind them if `dataAfter` is set.
 */
export type ReplyKind =
  | 'none'
  | 'empty'
  | 'data'
  | 'size or data'
  | 'dirents'
  | { readonly structs: readonly AnyStruct[]; readonly dataAfter?: true }

export interface AnyStruct extends Pick<Struct, 'name' | 'size' | 'layout'> {
  decode(buffer: Buffer, at?: number, end?: number): Readonly<Record<string, unknown>>
}

export interface OpcodeRow {
  readonly code: number
  /** The minor version of the protocol that introduced it. */
  readonly minorVersion: number
  readonly request: AnyStruct | null
  readonly tail: Tail
  readonly reply: ReplyKind
}

const entry = { structs: [s.entryOut] } as const
const attributes = { structs: [s.attrOut] } as const
const opened = { structs: [s.openOut] } as const
const created = { structs: [s.entryOut, s.openOut] } as const
const written = { structs: [s.writeOut] } as const

// biome-ignore format: a table is read by columns.
export const OPCODES = {
  LOOKUP:             { code: 1,  minorVersion: 0,  request: null,              tail: 'name',      reply: entry },
  FORGET:             { code: 2,  minorVersion: 0,  request: s.forgetIn,        tail: 'nothing',   reply: 'none' },
  GETATTR:            { code: 3,  minorVersion: 0,  request: s.getattrIn,       tail: 'nothing',   reply: attributes },
  SETATTR:            { code: 4,  minorVersion: 1,  request: s.setattrIn,       tail: 'nothing',   reply: attributes },
  READLINK:           { code: 5,  minorVersion: 0,  request: null,              tail: 'nothing',   reply: 'data' },
  SYMLINK:            { code: 6,  minorVersion: 1,  request: null,              tail: 'two names', reply: entry },
  MKNOD:              { code: 8,  minorVersion: 1,  request: s.mknodIn,         tail: 'name',      reply: entry },
  MKDIR:              { code: 9,  minorVersion: 1,  request: s.mkdirIn,         tail: 'name',      reply: entry },
  UNLINK:             { code: 10, minorVersion: 1,  request: null,              tail: 'name',      reply: 'empty' },
  RMDIR:              { code: 11, minorVersion: 1,  request: null,              tail: 'name',      reply: 'empty' },
  RENAME:             { code: 12, minorVersion: 1,  request: s.renameIn,        tail: 'two names', reply: 'empty' },
  LINK:               { code: 13, minorVersion: 1,  request: s.linkIn,          tail: 'name',      reply: entry },
  OPEN:               { code: 14, minorVersion: 1,  request: s.openIn,          tail: 'nothing',   reply: opened },
  READ:               { code: 15, minorVersion: 1,  request: s.readIn,          tail: 'nothing',   reply: 'data' },
  WRITE:              { code: 16, minorVersion: 1,  request: s.writeIn,         tail: 'data',      reply: written },
  STATFS:             { code: 17, minorVersion: 0,  request: null,              tail: 'nothing',   reply: { structs: [s.statfsOut] } },
  RELEASE:            { code: 18, minorVersion: 1,  request: s.releaseIn,       tail: 'nothing',   reply: 'empty' },
  FSYNC:              { code: 20, minorVersion: 1,  request: s.fsyncIn,         tail: 'nothing',   reply: 'empty' },
  SETXATTR:           { code: 21, minorVersion: 1,  request: s.setxattrIn,      tail: 'name and data', reply: 'empty' },
  GETXATTR:           { code: 22, minorVersion: 1,  request: s.getxattrIn,      tail: 'name',      reply: 'size or data' },
  LISTXATTR:          { code: 23, minorVersion: 1,  request: s.getxattrIn,      tail: 'nothing',   reply: 'size or data' },
  REMOVEXATTR:        { code: 24, minorVersion: 1,  request: null,              tail: 'name',      reply: 'empty' },
  FLUSH:              { code: 25, minorVersion: 1,  request: s.flushIn,         tail: 'nothing',   reply: 'empty' },
  INIT:               { code: 26, minorVersion: 0,  request: s.initIn,          tail: 'nothing',   reply: { structs: [s.initOut] } },
  OPENDIR:            { code: 27, minorVersion: 1,  request: s.openIn,          tail: 'nothing',   reply: opened },
  READDIR:            { code: 28, minorVersion: 1,  request: s.readdirIn,       tail: 'nothing',   reply: 'dirents' },
  RELEASEDIR:         { code: 29, minorVersion: 1,  request: s.releaseIn,       tail: 'nothing',   reply: 'empty' },
  FSYNCDIR:           { code: 30, minorVersion: 2,  request: s.fsyncIn,         tail: 'nothing',   reply: 'empty' },
  GETLK:              { code: 31, minorVersion: 7,  request: s.lkIn,            tail: 'nothing',   reply: { structs: [s.lkOut] } },
  SETLK:              { code: 32, minorVersion: 7,  request: s.lkIn,            tail: 'nothing',   reply: 'empty' },
  SETLKW:             { code: 33, minorVersion: 7,  request: s.lkIn,            tail: 'nothing',   reply: 'empty' },
  ACCESS:             { code: 34, minorVersion: 3,  request: s.accessIn,        tail: 'nothing',   reply: 'empty' },
  CREATE:             { code: 35, minorVersion: 3,  request: s.createIn,        tail: 'name',      reply: created },
  INTERRUPT:          { code: 36, minorVersion: 7,  request: s.interruptIn,     tail: 'nothing',   reply: 'none' },
  BMAP:               { code: 37, minorVersion: 8,  request: s.bmapIn,          tail: 'nothing',   reply: { structs: [s.bmapOut] } },
  DESTROY:            { code: 38, minorVersion: 8,  request: null,              tail: 'nothing',   reply: 'empty' },
  IOCTL:              { code: 39, minorVersion: 11, request: s.ioctlIn,         tail: 'data',      reply: { structs: [s.ioctlOut], dataAfter: true } },
  POLL:               { code: 40, minorVersion: 11, request: s.pollIn,          tail: 'nothing',   reply: { structs: [s.pollOut] } },
  NOTIFY_REPLY:       { code: 41, minorVersion: 15, request: s.notifyRetrieveIn, tail: 'data',     reply: 'none' },
  BATCH_FORGET:       { code: 42, minorVersion: 16, request: s.batchForgetIn,   tail: { each: s.forgetOne }, reply: 'none' },
  FALLOCATE:          { code: 43, minorVersion: 19, request: s.fallocateIn,     tail: 'nothing',   reply: 'empty' },
  READDIRPLUS:        { code: 44, minorVersion: 21, request: s.readdirIn,       tail: 'nothing',   reply: 'dirents' },
  RENAME2:            { code: 45, minorVersion: 23, request: s.rename2In,       tail: 'two names', reply: 'empty' },
  LSEEK:              { code: 46, minorVersion: 24, request: s.lseekIn,         tail: 'nothing',   reply: { structs: [s.lseekOut] } },
  COPY_FILE_RANGE:    { code: 47, minorVersion: 28, request: s.copyFileRangeIn, tail: 'nothing',   reply: written },
  SETUPMAPPING:       { code: 48, minorVersion: 31, request: s.setupmappingIn,  tail: 'nothing',   reply: 'empty' },
  REMOVEMAPPING:      { code: 49, minorVersion: 31, request: s.removemappingIn, tail: { each: s.removemappingOne }, reply: 'empty' },
  SYNCFS:             { code: 50, minorVersion: 34, request: s.syncfsIn,        tail: 'nothing',   reply: 'empty' },
  TMPFILE:            { code: 51, minorVersion: 37, request: s.createIn,        tail: 'name',      reply: created },
  STATX:              { code: 52, minorVersion: 39, request: s.statxIn,         tail: 'nothing',   reply: { structs: [s.statxOut] } },
  COPY_FILE_RANGE_64: { code: 53, minorVersion: 45, request: s.copyFileRangeIn, tail: 'nothing',   reply: { structs: [s.copyFileRangeOut] } },
} as const satisfies Record<string, OpcodeRow>

export type OpcodeName = keyof typeof OPCODES

/** Operations that the kernel takes no reply for. */
export type OneWayName = {
  [K in OpcodeName]: (typeof OPCODES)[K]['reply'] extends 'none' ? K : never
}[OpcodeName]

const BY_CODE: (OpcodeName | undefined)[] = []
for (const [name, row] of Object.entries(OPCODES)) BY_CODE[row.code] = name as OpcodeName

/** @returns undefined for an opcode that is newer than this table. */
export function opcodeName(code: number): OpcodeName | undefined {
  return BY_CODE[code]
}

/** The row of an opcode, or undefined if it is newer than this table. */
export function opcodeRow(code: number): OpcodeRow | undefined {
  const name = BY_CODE[code]
  return name === undefined ? undefined : OPCODES[name]
}
