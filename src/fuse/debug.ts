/**
 * One readable line for each message:
 *
 *     rx 12: LOOKUP n1 "name" uid=0 gid=0 pid=77 (5b)
 *     tx 12: OK {nodeid=n2 generation=1 ...} (128b)
 *     tx 12: -2=ENOENT
 *
 * Fields that are zero are left out unless zero says something. `(5b)` counts the bytes behind the header.
 */
import { errnoName } from '../lib/errno.js'
import { formatField } from './debug-fields.js'
import { FUSE_UNIQUE_RESEND, NOTIFY_CODES } from './wire/flags.js'
import { type AnyStruct, opcodeName, opcodeRow, type ReplyKind } from './wire/opcodes.js'
import { inHeader, initIn, outHeader, setxattrIn } from './wire/structs.js'

const EXTENSION_UNIT = 8
const NAMES_SHOWN: Readonly<Record<string, number>> = { name: 1, 'two names': 2, 'name and data': 1 }

/** Never throws: what does not decode is called malformed. */
export function formatRequest(
  buffer: Buffer,
  length: number,
  setxattrInSize: number = setxattrIn.size,
): string {
  if (length < inHeader.size) return `rx ?: ${length} bytes, shorter than a header`
  const opcode = buffer.readUInt32LE(inHeader.at.opcode)
  const nodeid = buffer.readBigUInt64LE(inHeader.at.nodeid)
  const extensions = buffer.readUInt16LE(inHeader.at.total_extlen) * EXTENSION_UNIT
  const words = [
    `rx ${formatUnique(buffer.readBigUInt64LE(inHeader.at.unique))}:`,
    opcodeName(opcode) ?? `opcode ${opcode}`,
    `n${nodeid}`,
    ...formatBody(opcode, buffer, Math.max(inHeader.size, length - extensions), setxattrInSize),
    `uid=${buffer.readUInt32LE(inHeader.at.uid)}`,
    `gid=${buffer.readUInt32LE(inHeader.at.gid)}`,
    `pid=${buffer.readUInt32LE(inHeader.at.pid)}`,
    `(${length - inHeader.size}b)`,
  ]
  return words.join(' ')
}

/** @param parts A reply as it is given to the transport, header first. */
export function formatReply(opcode: number, parts: readonly Uint8Array[]): string {
  const message = Buffer.concat(parts)
  const { error, unique } = outHeader.decode(message)
  if (unique === 0n) return formatNotification(error, message)
  const head = `tx ${formatUnique(unique)}:`
  if (error !== 0) return `${head} ${error}=${errnoName(-error)}`
  const row = opcodeRow(opcode)
  const words = row === undefined ? [] : formatReplyBody(row.reply, message)
  return [head, 'OK', ...words, `(${message.length - outHeader.size}b)`].join(' ')
}

function formatNotification(code: number, message: Buffer): string {
  const name = Object.entries(NOTIFY_CODES).find(([, value]) => value === code)?.[0] ?? `code ${code}`
  return `tx notify: ${name} (${message.length - outHeader.size}b)`
}

function formatUnique(unique: bigint): string {
  const isResent = (unique & FUSE_UNIQUE_RESEND) !== 0n
  return isResent ? `${unique & ~FUSE_UNIQUE_RESEND} (resent)` : `${unique}`
}

function formatBody(opcode: number, buffer: Buffer, end: number, setxattrInSize: number): string[] {
  const row = opcodeRow(opcode)
  if (row === undefined) return []
  const words: string[] = []
  let at: number = inHeader.size
  if (row.request !== null) {
    const size = row.request === setxattrIn ? setxattrInSize : row.request.size
    if (end - at < size && row.request !== initIn) return ['malformed']
    words.push(formatStruct(row.request, buffer, at, end))
    at += size
  }
  const nameCount = typeof row.tail === 'string' ? (NAMES_SHOWN[row.tail] ?? 0) : 0
  for (let index = 0; index < nameCount; index++) {
    const nul = buffer.indexOf(0, at)
    if (nul < 0 || nul >= end) return [...words, 'malformed']
    words.push(formatName(buffer.subarray(at, nul)))
    at = nul + 1
  }
  return words
}

function formatReplyBody(kind: ReplyKind, message: Buffer): string[] {
  if (typeof kind === 'string') return kind === 'dirents' ? ['dirents'] : []
  const words: string[] = []
  let at: number = outHeader.size
  for (const struct of kind.structs) {
    words.push(formatStruct(struct, message, at, message.length))
    at += struct.size
  }
  return words
}

/** Nested structs are shown as if their fields were the outer one's. */
function formatStruct(struct: AnyStruct, buffer: Buffer, at: number, end: number): string {
  return `{${structWords(struct, buffer, at, end).join(' ')}}`
}

/** A struct that is cut short by an older kernel shows the fields it has. */
function structWords(struct: AnyStruct, buffer: Buffer, at: number, end: number): string[] {
  const words: string[] = []
  for (const { name, offset, size, field } of struct.layout) {
    if (field === null || at + offset + size > end) continue
    if (isStruct(field)) words.push(...structWords(field, buffer, at + offset, end))
    else {
      const value = size === 8 ? buffer.readBigUInt64LE(at + offset) : readSmall(buffer, at + offset, size)
      const word = formatField(struct.name, name, value)
      if (word !== null) words.push(word)
    }
  }
  return words
}

function isStruct(field: object): field is AnyStruct {
  return 'layout' in field
}

function readSmall(buffer: Buffer, at: number, size: number): bigint {
  return BigInt(size === 4 ? buffer.readUInt32LE(at) : buffer.readUInt16LE(at))
}

/** In quotes, with what is not printable ASCII, and quotes and backslashes, escaped as in C. */
export function formatName(name: Uint8Array): string {
  let text = ''
  for (const byte of name) {
    if (byte === 0x22 || byte === 0x5c) text += `\\${String.fromCharCode(byte)}`
    else if (byte >= 0x20 && byte < 0x7f) text += String.fromCharCode(byte)
    else text += `\\x${byte.toString(16).padStart(2, '0')}`
  }
  return `"${text}"`
}
