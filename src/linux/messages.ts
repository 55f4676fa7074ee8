/** Unix sockets for blocking programs: a stream to somebody who listens, and descriptors that are handed over. */
import { Errno } from '../lib/errno.js'
import { check } from './error.js'
import { addressOf, cstr } from './libc.js'
import * as raw from './raw.js'

const AF_UNIX = 1
const SOCK_STREAM = 1
const SOCK_DGRAM = 2
const SOL_SOCKET = 1
const SCM_RIGHTS = 1
export const MSG_CMSG_CLOEXEC = 0x4000_0000
const CONTROL_BYTES = 24
const CONTROL_LENGTH = 20

function socketAddress(path: string): Buffer {
  const family = Buffer.alloc(2)
  family.writeUInt16LE(AF_UNIX)
  return Buffer.concat([family, cstr(path)])
}

/** A stream socket connected to the one that listens at `path`. It stays open across exec. */
export function connectStream(path: string): number {
  const fd = check(raw.socket(AF_UNIX, SOCK_STREAM, 0), 'socket')
  const address = socketAddress(path)
  check(raw.connect(fd, address, address.length), 'connect', path)
  return fd
}

/** A datagram socket at `path` by which descriptors can be received. It stays open across exec. */
export function bindMailbox(path: string): number {
  const fd = check(raw.socket(AF_UNIX, SOCK_DGRAM, 0), 'socket')
  const address = socketAddress(path)
  check(raw.bindSocket(fd, address, address.length), 'bind', path)
  return fd
}

/** struct msghdr with one byte of data and room for one descriptor. What it points to must stay referenced. */
function message(name: Buffer | null, byte: Buffer, control: Buffer): { header: Buffer; keep: unknown } {
  const vector = new BigUint64Array([addressOf(byte), 1n])
  const header = Buffer.alloc(56)
  if (name !== null) {
    header.writeBigUInt64LE(addressOf(name), 0)
    header.writeUInt32LE(name.length, 8)
  }
  header.writeBigUInt64LE(addressOf(new Uint8Array(vector.buffer)), 16)
  header.writeBigUInt64LE(1n, 24)
  header.writeBigUInt64LE(addressOf(control), 32)
  header.writeBigUInt64LE(BigInt(control.length), 40)
  return { header, keep: [name, byte, control, vector] }
}

/** Sends a copy of `fd` to whoever has the mailbox at `path` (SCM_RIGHTS). @returns 0, or a negative errno. */
export function sendDescriptor(through: number, path: string, fd: number): number {
  const control = Buffer.alloc(CONTROL_BYTES)
  control.writeBigUInt64LE(BigInt(CONTROL_LENGTH), 0)
  control.writeInt32LE(SOL_SOCKET, 8)
  control.writeInt32LE(SCM_RIGHTS, 12)
  control.writeInt32LE(fd, 16)
  const { header, keep } = message(socketAddress(path), Buffer.from('x'), control)
  const sent = raw.sendmsg(through, header, 0)
  return keep !== null && sent < 0 ? sent : 0
}

/**
 * Takes the next descriptor out of a mailbox, or of any Unix socket, and waits for it.
 * @param flags MSG_CMSG_CLOEXEC, or 0: then it stays open across exec.
 * @returns a descriptor, or a negative errno: EBADMSG for a message without one.
 */
export function receiveDescriptor(socket: number, flags = 0): number {
  const control = Buffer.alloc(CONTROL_BYTES)
  const { header, keep } = message(null, Buffer.alloc(1), control)
  const received = raw.recvmsg(socket, header, flags)
  if (keep !== null && received < 0) return received
  const isRights = control.readInt32LE(8) === SOL_SOCKET && control.readInt32LE(12) === SCM_RIGHTS
  return isRights ? control.readInt32LE(16) : -Errno.EBADMSG
}
