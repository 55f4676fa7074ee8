/** What an agent does for each command: bare system calls, whose errno is the answer. */
import { Errno } from '../../lib/errno.js'
import * as c from '../../linux/constants.js'
import { LinuxError } from '../../linux/error.js'
import { readAll, statFd, writeAll } from '../../linux/files.js'
import { cstr } from '../../linux/libc.js'
import { type Mapping, map, unmap } from '../../linux/mapping.js'
import { receiveDescriptor, sendDescriptor } from '../../linux/messages.js'
import * as raw from '../../linux/raw.js'
import type { Command } from './protocol.js'

/** Commands that concern the agent itself are its own business: see agent.ts. */
export type SystemCommand = Exclude<
  Command,
  { do: 'fork' | 'exec' | 'exit' | 'tell' | 'become' | 'nothing' | 'reap' }
>

export interface Result {
  readonly errno: number
  readonly value: string
}

const KEEP_ID = 0xffff_ffff
const PAGE_BYTES = 4096

function result(returned: number, value: (returned: number) => string = () => ''): Result {
  return returned < 0 ? { errno: -returned, value: '' } : { errno: 0, value: value(returned) }
}

const itself = String

function describe(bytes: Buffer): string {
  if (bytes.length === 0) return '0'
  const zeros = bytes.reduce((count, byte) => count + (byte === 0 ? 1 : 0), 0)
  const what = zeros === 0 ? 'data' : zeros === bytes.length ? 'zeros' : 'mixed'
  return `${bytes.length} ${what}`
}

export class CarryOut {
  readonly #mappings = new Map<number, { mapping: Mapping; start: number; end: number }>()
  #lastMapping = 0
  mailbox: number

  constructor(mailbox: number) {
    this.mailbox = mailbox
  }

  run(command: SystemCommand): Result {
    try {
      return this.#run(command)
    } catch (error) {
      if (error instanceof LinuxError) return { errno: error.errno, value: '' }
      throw error
    }
  }

  /** What a parent had mapped is not the child's. */
  unmapAll(): void {
    for (const { mapping } of this.#mappings.values()) unmap(mapping)
    this.#mappings.clear()
  }

  #run(command: SystemCommand): Result {
    switch (command.do) {
      case 'open':
        // Not close-on-exec: descriptors of a scenario survive exec.
        return result(raw.openat(c.AT_FDCWD, cstr(command.path), command.flags, 0), itself)
      case 'dup':
        return result(raw.fcntl(command.fd, c.F_DUPFD, 0), itself)
      case 'close':
        return result(raw.close(command.fd))
      case 'send':
        return result(sendDescriptor(this.mailbox, command.mailbox, command.fd))
      case 'receive':
        return result(receiveDescriptor(this.mailbox), itself)
      case 'map':
        return this.#map(command.fd, command.start, command.end)
      case 'unmap':
        return this.#unmap(command.mapping)
      case 'touch':
        return this.#touch(command.mapping, command.offset)
      case 'ioctl': {
        const argument = Buffer.from(command.argument, 'hex')
        if (command.parentAt !== undefined) argument.writeInt32LE(raw.getppid(), command.parentAt)
        return result(raw.ioctl(command.fd, command.request, argument), () => argument.toString('hex'))
      }
      case 'truncate':
        return result(raw.truncate(cstr(command.path), command.sizeBytes))
      case 'ftruncate':
        return result(raw.ftruncate(command.fd, command.sizeBytes))
      case 'fallocate':
        return result(raw.fallocate(command.fd, command.mode, command.offset, command.length))
      case 'write': {
        const bytes = Buffer.alloc(command.countBytes, 'W')
        return result(raw.pwrite(command.fd, bytes, bytes.length, command.offset), itself)
      }
      case 'read': {
        const bytes = Buffer.alloc(command.countBytes)
        const count = raw.pread(command.fd, bytes, bytes.length, command.offset)
        return result(count, () => describe(bytes.subarray(0, count)))
      }
      case 'copy':
        return this.#copy(command)
      case 'chmod':
        return result(raw.fchmodat(c.AT_FDCWD, cstr(command.path), command.mode, 0))
      case 'chown':
        return result(raw.fchownat(c.AT_FDCWD, cstr(command.path), command.uid, KEEP_ID, 0))
      case 'rename':
        return result(raw.renameat2(c.AT_FDCWD, cstr(command.path), c.AT_FDCWD, cstr(command.to), 0))
      case 'unlink':
        return result(raw.unlinkat(c.AT_FDCWD, cstr(command.path), 0))
      case 'poll':
        return this.#poll(command.fd)
      case 'read-file':
        return this.#withFile(command.path, c.O_RDONLY, (fd) => readAll(fd).toString('utf8'))
      case 'write-file':
        return this.#withFile(command.path, c.O_WRONLY, (fd) => {
          writeAll(fd, Buffer.from(command.text))
          return ''
        })
      case 'kill':
        return result(raw.kill(command.pid, command.signo))
    }
  }

  #withFile(path: string, flags: number, use: (fd: number) => string): Result {
    const fd = raw.openat(c.AT_FDCWD, cstr(path), flags | c.O_CLOEXEC, 0)
    if (fd < 0) return result(fd)
    try {
      return { errno: 0, value: use(fd) }
    } finally {
      raw.close(fd)
    }
  }

  #map(fd: number, start: number, givenEnd: number | null): Result {
    const end = givenEnd ?? statFd(fd).size
    const from = start - (start % PAGE_BYTES)
    const mapping = map(fd, from, end - from)
    const id = ++this.#lastMapping
    this.#mappings.set(id, { mapping, start: from, end })
    return this.#touch(id, start).errno === 0
      ? { errno: 0, value: String(id) }
      : { errno: Errno.EINVAL, value: '' }
  }

  #unmap(id: number): Result {
    const found = this.#mappings.get(id)
    if (found === undefined) return { errno: Errno.EINVAL, value: '' }
    this.#mappings.delete(id)
    unmap(found.mapping)
    return { errno: 0, value: '' }
  }

  /** If the page is not there any more, the process does not come back from this. */
  #touch(id: number, offset: number): Result {
    const found = this.#mappings.get(id)
    if (found === undefined || offset < found.start || offset >= found.end) {
      return { errno: Errno.EINVAL, value: '' }
    }
    const byte = found.mapping.bytes[offset - found.start]
    return { errno: 0, value: byte === 0 ? 'zeros' : 'data' }
  }

  #copy(command: Extract<Command, { do: 'copy' }>): Result {
    const offset = (at: number) => {
      const bytes = Buffer.alloc(8)
      bytes.writeBigInt64LE(BigInt(at))
      return bytes
    }
    const { from, to } = command
    const fromOffset = offset(command.fromOffset)
    const toOffset = offset(command.toOffset)
    return result(raw.copyFileRange(from, fromOffset, to, toOffset, command.countBytes, 0), itself)
  }

  #poll(fd: number): Result {
    const pollfd = Buffer.alloc(8)
    pollfd.writeInt32LE(fd, 0)
    pollfd.writeInt16LE(c.POLLIN | c.POLLOUT | c.POLLPRI, 4)
    const ready = raw.poll(pollfd, 1, 0)
    const events = pollfd.readInt16LE(6)
    if (ready >= 0 && (events & c.POLLNVAL) !== 0) return { errno: Errno.EBADF, value: '' }
    const words = [
      [c.POLLPRI, 'PRI'],
      [c.POLLERR, 'ERR'],
    ] as const
    return result(ready, () =>
      words
        .filter(([bit]) => (events & bit) !== 0)
        .map(([, word]) => word)
        .join(' '),
    )
  }
}
