/**
 * A kernel of any minor version of the protocol, as far as files and leases meet it: it offers what that minor has,
 * turns a program's system calls into the requests that such a kernel makes of them, and takes no answer that such a
 * kernel would not know. Behind it is the real thing: the file system and the lease gate, over a directory.
 */
import { readFileSync } from 'node:fs'
import {
  createNotifier,
  FATTR_FLAGS,
  FOPEN_FLAGS,
  FuseSession,
  INIT_FLAGS,
  minorOf,
  NOTIFY_CODES,
  OPCODES,
  OPEN_IN_FLAGS,
  type OpcodeName,
  SETXATTR_FLAGS,
  SIZES,
  structs as s,
  WRITE_FLAGS,
} from '../fuse/index.js'
import { encodeFields, encodeInitRequest, encodeRequest, ScriptedTransport } from '../fuse/testing.js'
import { assert } from '../lib/assert.js'
import { Errno } from '../lib/errno.js'
import * as c from '../linux/constants.js'
import { close, open } from '../linux/files.js'
import { createPassthrough, DEFAULT_OPTIONS, InlineIo, type Passthrough } from '../passthrough/index.js'
import { Ioctls } from './leasing/ioctls.js'
import { LeaseGate } from './leasing/lease-gate.js'
import type { LeaseService } from './leasing/lease-service.js'

/** Who makes a system call. */
export interface Caller {
  readonly pid: number
  readonly uid: number
  readonly gid: number
  /** Has it CAP_FSETID? The kernel knows. */
  readonly keepsSetid: boolean
  /** Supplementary groups, which the kernel knows as well. */
  readonly groups: readonly number[]
}

export interface Variant {
  readonly minor: number
  /** What INIT offers, `flags | flags2 << 32`. */
  readonly offered: bigint
}

const NOBODY: Caller = { pid: 0, uid: 0, gid: 0, keepsSetid: true, groups: [] }

/** What all kernels of a test share. */
interface Parts {
  readonly service: LeaseService
  readonly reportBug: (error: unknown) => void
}

/** Everything that a kernel of this minor can offer. */
export function flagsOfMinor(minor: number): bigint {
  let flags = 0n
  for (const [name, flag] of Object.entries(INIT_FLAGS)) {
    if (flag === INIT_FLAGS.FUSE_INIT_RESERVED) continue
    if (minorOf(name as keyof typeof INIT_FLAGS) <= minor) flags |= flag
  }
  return flags
}

/** An answer: 0 or a positive errno, and its body. `null` while there is none. */
export interface Answered {
  readonly errno: number
  readonly body: Buffer
}

export interface OpenedFile {
  readonly nodeid: number
  readonly fh: number
  readonly openFlags: number
}

export class SimulatedKernel {
  readonly variant: Variant
  /** What was agreed on, by the answer to INIT. */
  readonly agreed: bigint
  readonly initReply: ReturnType<typeof s.initOut.decode>
  /** `kh` of each FUSE_NOTIFY_POLL. */
  readonly polled: bigint[] = []
  /** What was sent, for a look at the way that was taken. */
  readonly sent: OpcodeName[] = []
  readonly #transport = new ScriptedTransport()
  readonly #session: FuseSession
  readonly #fileSystem: Passthrough
  readonly #fuseFd = open('/dev/null', c.O_RDWR)
  readonly #answers = new Map<bigint, Answered>()
  readonly #opcodes = new Map<bigint, OpcodeName>()
  #nextUnique = 2n
  #wantsNoFlush = false

  /** @param index of the mount, of which each has its own within one service. */
  constructor(variant: Variant, directory: string, parts: Parts, index: number) {
    const { service, reportBug } = parts
    this.variant = variant
    const notifier = createNotifier(this.#transport)
    const gate = new LeaseGate({
      service,
      ioctls: new Ioctls(service, { number: 0, control: '/run/holdfast/0', features: 0 }),
      index,
      notifier: () => notifier,
      mountpoint: () => Buffer.from(directory),
    })
    this.#fileSystem = createPassthrough({
      rootFd: open(directory, c.O_PATH),
      gate,
      io: new InlineIo(),
      // Not a FUSE device: backing ids are tried on real mounts only (test/features.mount.test.ts).
      fuseFd: this.#fuseFd,
      options: { ...DEFAULT_OPTIONS, nowMs: () => performance.now() },
    })
    this.#session = new FuseSession({
      transport: this.#transport,
      fileSystem: this.#fileSystem,
      ...this.#fileSystem.wantedInit,
      reportBug,
    })
    const init = encodeInitRequest(variant.minor, variant.offered)
    this.#session.handle(init, init.length)
    const { error, body } = this.#transport.takeWritten()
    if (error !== 0) throw this.#session.initError ?? new Error(`INIT was answered with ${error}`)
    this.initReply = s.initOut.decode(body)
    this.agreed = BigInt(this.initReply.flags) | (BigInt(this.initReply.flags2) << 32n)
    assert(body.length === s.initOut.size, 'the answer to INIT has its size since 7.23')
  }

  /** Closes what programs have left open. */
  closeAll(): void {
    for (const { fh } of [...this.#fileSystem.openFiles()]) {
      this.call('RELEASE', NOBODY, 1, encodeFields(s.releaseIn, { fh }))
    }
  }

  end(): void {
    this.closeAll()
    this.#fileSystem.close()
    close(this.#fuseFd)
  }

  has(flag: keyof typeof INIT_FLAGS): boolean {
    return (this.agreed & INIT_FLAGS[flag]) !== 0n
  }

  /** Sends a request and returns its number; the answer may come later. */
  send(name: OpcodeName, caller: Caller, nodeid: number, ...body: readonly (Uint8Array | string)[]): bigint {
    assert(
      OPCODES[name].minorVersion <= this.variant.minor,
      `${name} is younger than 7.${this.variant.minor}`,
    )
    const unique = this.#nextUnique
    this.#nextUnique += 2n
    this.#opcodes.set(unique, name)
    this.sent.push(name)
    const { uid, gid, pid } = caller
    const isMaking = name === 'CREATE' || name === 'MKDIR' || name === 'MKNOD' || name === 'TMPFILE'
    const extensions = isMaking && this.has('FUSE_CREATE_SUPP_GROUP') ? groupExtension(caller) : undefined
    const header = { unique, nodeid: BigInt(nodeid), uid, gid, pid }
    const bytes = encodeRequest(name, extensions === undefined ? header : { ...header, extensions }, ...body)
    this.#session.handle(bytes, bytes.length)
    this.#collect()
    return unique
  }

  /** The answer to a request, or null if none has come. */
  answerTo(unique: bigint): Answered | null {
    this.#collect()
    return this.#answers.get(unique) ?? null
  }

  /** A request that is answered at once. */
  call(
    name: OpcodeName,
    caller: Caller,
    nodeid: number,
    ...body: readonly (Uint8Array | string)[]
  ): Answered {
    const answer = this.answerTo(this.send(name, caller, nodeid, ...body))
    assert(answer !== null, `${name} waits`)
    return answer
  }

  #collect(): void {
    for (const { unique, error, body } of this.#transport.written.splice(0)) {
      if (unique === 0n) {
        this.#notified(error, body)
        continue
      }
      const name = this.#opcodes.get(unique)
      assert(name !== undefined && !this.#answers.has(unique), `${unique} is answered, which nobody asks`)
      assert(error <= 0 && error > -512, `${name} is answered with ${error}`)
      assert(error === 0 || body.length === 0, `${name}: an error with a body`)
      if (error === 0) this.#check(name, body)
      this.#answers.set(unique, { errno: Math.abs(error), body: Buffer.from(body) })
    }
  }

  #notified(code: number, body: Buffer): void {
    const known = Object.entries(NOTIFY_CODES).find(([, value]) => value === code)?.[0]
    assert(known !== undefined, `notification ${code}`)
    assert(minorOf(known as keyof typeof NOTIFY_CODES) <= this.variant.minor, `${known} is too young`)
    if (code === NOTIFY_CODES.FUSE_NOTIFY_POLL) this.polled.push(s.notifyPollWakeupOut.decode(body).kh)
  }

  /** Sizes, and every bit that means nothing to this kernel, of an answer without an errno. */
  #check(name: OpcodeName, body: Buffer): void {
    const { reply } = OPCODES[name]
    if (typeof reply !== 'object') {
      if (reply === 'empty') assert(body.length === 0, `${name} is answered with ${body.length} bytes`)
      if (name === 'READDIRPLUS') this.#checkListing(body)
      return
    }
    let at = 0
    for (const struct of reply.structs) {
      if (struct === s.entryOut) this.#checkAttr(body, at + s.entryOut.at.attr)
      if (struct === s.attrOut) this.#checkAttr(body, at + s.attrOut.at.attr)
      if (struct === s.openOut) this.#checkOpen(s.openOut.decode(body, at), name)
      at += struct.size
    }
    const isSized = 'dataAfter' in reply ? body.length >= at : body.length === at
    assert(isSized, `${name} is answered with ${body.length} bytes instead of ${at}`)
  }

  #checkListing(body: Buffer): void {
    for (let at = 0; at < body.length; ) {
      this.#checkAttr(body, at + s.entryOut.at.attr)
      const { dirent } = s.direntplus.decode(body, at)
      at += Math.ceil((s.direntplus.size + dirent.namelen) / 8) * 8
    }
  }

  /** Padding before 7.32; DAX needs FUSE_HAS_INODE_DAX, submounts FUSE_SUBMOUNTS. */
  #checkAttr(body: Buffer, at: number): void {
    assert(body.readUInt32LE(at + s.attr.at.flags) === 0, 'flags of attributes that were not agreed on')
  }

  #checkOpen({ open_flags, backing_id }: ReturnType<typeof s.openOut.decode>, name: OpcodeName): void {
    let known = 0
    for (const [flag, bit] of Object.entries(FOPEN_FLAGS)) {
      if (minorOf(flag as keyof typeof FOPEN_FLAGS) <= this.variant.minor) known |= bit
    }
    if (!this.has('FUSE_PASSTHROUGH')) known &= ~FOPEN_FLAGS.FOPEN_PASSTHROUGH
    // A file that is written past the page cache cannot be mapped shared without it, and nobody may notice.
    if (!this.has('FUSE_DIRECT_IO_ALLOW_MMAP')) known &= ~FOPEN_FLAGS.FOPEN_DIRECT_IO
    // Without it what is cached would be kept although the backing file was changed.
    if (!this.has('FUSE_AUTO_INVAL_DATA')) known &= ~FOPEN_FLAGS.FOPEN_KEEP_CACHE
    assert((open_flags & ~known) === 0, `${name} is answered with flags ${open_flags & ~known}`)
    const isPassthrough = (open_flags & FOPEN_FLAGS.FOPEN_PASSTHROUGH) !== 0
    assert(isPassthrough || backing_id === 0, `${name}: a backing id without passthrough`)
  }

  // What programs do.

  lookup(name: string, caller: Caller): number {
    const { errno, body } = this.call('LOOKUP', caller, 1, `${name}\0`)
    assert(errno === 0, `${name}: errno ${errno}`)
    return s.entryOut.decode(body).nodeid
  }

  /** open(2) of a file of the root directory. @returns a number of a request that waits, an errno, or the file. */
  open(name: string, flags: number, caller: Caller): OpenedFile | { readonly errno: number } | bigint {
    const nodeid = this.lookup(name, caller)
    const isTruncating = (flags & c.O_TRUNC) !== 0
    const isAtomic = this.has('FUSE_ATOMIC_O_TRUNC')
    const isKilling = isTruncating && this.has('FUSE_HANDLE_KILLPRIV_V2') && !caller.keepsSetid
    const openIn = encodeFields(s.openIn, {
      flags: isAtomic ? flags : flags & ~c.O_TRUNC,
      open_flags: isKilling ? OPEN_IN_FLAGS.FUSE_OPEN_KILL_SUIDGID : 0,
    })
    const unique = this.send('OPEN', caller, nodeid, openIn)
    const answer = this.answerTo(unique)
    if (answer === null) return unique
    if (answer.errno !== 0) return { errno: answer.errno }
    const { fh, open_flags } = s.openOut.decode(answer.body)
    const file = { nodeid, fh, openFlags: open_flags }
    if (!isTruncating || isAtomic) return file
    // The kernel truncates the file itself, and names no handle.
    const truncated = this.truncate(nodeid, 0, null, caller)
    if (typeof truncated === 'bigint') return truncated
    if (truncated === 0) return file
    this.close(file, caller)
    return { errno: truncated }
  }

  mustOpen(name: string, flags: number, caller: Caller): OpenedFile {
    const file = this.open(name, flags, caller)
    assert(typeof file === 'object' && 'fh' in file, `${name} cannot be opened`)
    return file
  }

  /** truncate(2) and ftruncate(2). @returns an errno, or the number of a request that waits. */
  truncate(nodeid: number, size: number, file: OpenedFile | null, caller: Caller): number | bigint {
    const f = FATTR_FLAGS
    let valid = f.FATTR_SIZE | f.FATTR_LOCKOWNER | (file === null ? 0 : f.FATTR_FH)
    const isKilling = !caller.keepsSetid
    const isToldSo = this.has('FUSE_HANDLE_KILLPRIV_V2')
    const withoutBits = isKilling && !isToldSo ? this.#modeWithoutSetid(nodeid, caller) : null
    // Whatever the mode is (fuse_do_setattr).
    if (isKilling && isToldSo) valid |= f.FATTR_KILL_SUIDGID
    if (withoutBits !== null) valid |= f.FATTR_MODE
    const fields = { valid, size, fh: file?.fh ?? 0, mode: withoutBits ?? 0 }
    const unique = this.send('SETATTR', caller, nodeid, encodeFields(s.setattrIn, fields))
    return this.answerTo(unique)?.errno ?? unique
  }

  /** What the mode becomes if it has to lose bits; null if it has none to lose. */
  #modeWithoutSetid(nodeid: number, caller: Caller): number | null {
    const { body } = this.call('GETATTR', caller, nodeid, encodeFields(s.getattrIn, {}))
    const { mode } = s.attrOut.decode(body).attr
    const less = mode & ~c.S_ISUID & ~((mode & 0o010) === 0 ? 0 : c.S_ISGID)
    return less === mode ? null : less
  }

  write(file: OpenedFile, data: string, caller: Caller): number {
    const isKilling = !caller.keepsSetid
    const withoutBits = isKilling ? this.#modeWithoutSetid(file.nodeid, caller) : null
    let writeFlags = 0
    if (this.has('FUSE_HANDLE_KILLPRIV_V2')) writeFlags = isKilling ? WRITE_FLAGS.FUSE_WRITE_KILL_SUIDGID : 0
    else if (withoutBits !== null) {
      const fields = { valid: FATTR_FLAGS.FATTR_MODE, mode: withoutBits }
      this.call('SETATTR', caller, file.nodeid, encodeFields(s.setattrIn, fields))
    }
    const writeIn = encodeFields(s.writeIn, { fh: file.fh, size: data.length, write_flags: writeFlags })
    return this.call('WRITE', caller, file.nodeid, writeIn, data).errno
  }

  read(file: OpenedFile, size: number, caller: Caller): string {
    const readIn = encodeFields(s.readIn, { fh: file.fh, size })
    return this.call('READ', caller, file.nodeid, readIn).body.toString('latin1')
  }

  fallocate(file: OpenedFile, mode: number, length: number, caller: Caller): number | bigint {
    const fields = encodeFields(s.fallocateIn, { fh: file.fh, length, mode })
    const unique = this.send('FALLOCATE', caller, file.nodeid, fields)
    return this.answerTo(unique)?.errno ?? unique
  }

  /** open(2) of a name that is not there. */
  create(name: string, flags: number, mode: number, umask: number, caller: Caller): OpenedFile {
    const masked = this.has('FUSE_DONT_MASK') ? mode : mode & ~umask
    const createIn = encodeFields(s.createIn, { flags: flags | c.O_CREAT, mode: c.S_IFREG | masked, umask })
    const { errno, body } = this.call('CREATE', caller, 1, createIn, `${name}\0`)
    assert(errno === 0, `${name} cannot be created: ${errno}`)
    const { nodeid } = s.entryOut.decode(body)
    const { fh, open_flags } = s.openOut.decode(body, s.entryOut.size)
    return { nodeid, fh, openFlags: open_flags }
  }

  close(file: OpenedFile, caller: Caller): void {
    if (!this.#wantsNoFlush && (file.openFlags & FOPEN_FLAGS.FOPEN_NOFLUSH) === 0) {
      const { errno } = this.call('FLUSH', caller, file.nodeid, encodeFields(s.flushIn, { fh: file.fh }))
      this.#wantsNoFlush = errno === Errno.ENOSYS
      assert(errno === 0 || errno === Errno.ENOSYS, `close(2) fails with ${errno}`)
    }
    this.call('RELEASE', caller, file.nodeid, encodeFields(s.releaseIn, { fh: file.fh }))
  }

  /** Names in the root directory. */
  list(caller: Caller): string[] {
    const opened = this.call('OPENDIR', caller, 1, encodeFields(s.openIn, {}))
    const { fh } = s.openOut.decode(opened.body)
    const isPlus = this.has('FUSE_DO_READDIRPLUS')
    const { body } = this.call(
      isPlus ? 'READDIRPLUS' : 'READDIR',
      caller,
      1,
      encodeFields(s.readIn, { fh, size: 1 << 16 }),
    )
    const names: string[] = []
    const head = isPlus ? s.direntplus.size : s.dirent.size
    for (let at = 0; at < body.length; ) {
      const start = at + head
      const { namelen } = s.dirent.decode(body, start - s.dirent.size)
      names.push(body.toString('latin1', start, start + namelen))
      at += Math.ceil((head + namelen) / 8) * 8
    }
    this.call('RELEASEDIR', caller, 1, encodeFields(s.releaseIn, { fh }))
    return names.sort()
  }

  setxattr(nodeid: number, name: string, value: Buffer, caller: Caller, killsSetgid = false): number {
    const flags = killsSetgid ? SETXATTR_FLAGS.FUSE_SETXATTR_ACL_KILL_SGID : 0
    const whole = encodeFields(s.setxattrIn, { size: value.length, setxattr_flags: flags })
    const isLong = this.has('FUSE_SETXATTR_EXT')
    const head = isLong ? whole : whole.subarray(0, SIZES.FUSE_COMPAT_SETXATTR_IN_SIZE)
    return this.call('SETXATTR', caller, nodeid, head, `${name}\0`, value).errno
  }

  ioctl(file: OpenedFile, cmd: number, input: Buffer, caller: Caller): Answered {
    const { fh, nodeid } = file
    const ioctlIn = encodeFields(s.ioctlIn, { fh, cmd, in_size: input.length, out_size: input.length })
    return this.call('IOCTL', caller, nodeid, ioctlIn, input)
  }
}

/** The parent's group, if the caller is in it: here the parent is the root directory, and its group the first. */
function groupExtension({ groups }: Caller): Buffer {
  const [group] = groups
  const size = s.extHeader.size + 8
  const body = Buffer.alloc(8)
  body.writeUInt32LE(group === undefined ? 0 : 1, 0)
  body.writeUInt32LE(group ?? 0, 4)
  return Buffer.concat([s.extHeader.encode({ size, type: 32 }), body])
}

/** CAP_FSETID and groups of a process, as the kernel would look at them. */
export function callerOf(pid: number): Caller {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  const numbers = (key: string) =>
    (new RegExp(`^${key}:\\s*(.*)$`, 'm').exec(status)?.[1] ?? '').trim().split(/\s+/).filter(Boolean)
  const capabilities = BigInt(`0x${numbers('CapEff')[0] ?? '0'}`)
  return {
    pid,
    uid: Number(numbers('Uid')[1]),
    gid: Number(numbers('Gid')[1]),
    keepsSetid: ((capabilities >> BigInt(c.CAP_FSETID)) & 1n) !== 0n,
    groups: numbers('Groups').map(Number),
  }
}
