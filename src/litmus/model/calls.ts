/** What each action of a scenario does in the model. `null` is an outcome that is not there yet. */
import type { LayoutOperation, PinHolder } from '../../lease/index.js'
import { Errno } from '../../lib/errno.js'
import type { LeaseId, Ofd, PinId } from '../../lib/ids.js'
import type { Range } from '../../lib/range.js'
import type { Action, Bytes, LeaseTerms, Name, Outcome, RangeChange } from '../scenario.js'
import { failure, type Kernel, ok, signalNumber } from './kernel.js'
import {
  type Call,
  type Description,
  type KernelLock,
  type ModelFile,
  type ModelProcess,
  mayAccess,
  maySignal,
  type OpenFile,
  PAGE_BYTES,
  uidOf,
} from './things.js'

type ActionOf<Do extends Action['do']> = Extract<Action, { readonly do: Do }>
type Result = Outcome | null

/** A number that no lease and no pin has. */
const NO_ID = Number.MAX_SAFE_INTEGER

const OPERATIONS: Readonly<Record<RangeChange, LayoutOperation>> = {
  punch: 'punch-hole',
  zero: 'zero-range',
  collapse: 'collapse-range',
  insert: 'insert-range',
  unshare: 'unshare-range',
  'write-zeroes': 'write-zeroes',
}

export class Calls {
  readonly #kernel: Kernel
  /** FUSE lets no file system hear of collapsing and the like; a scenario for the model alone may use them. */
  readonly #hasAllChanges: boolean

  constructor(kernel: Kernel, hasAllChanges: boolean) {
    this.#kernel = kernel
    this.#hasAllChanges = hasAllChanges
  }

  perform(call: Call): Result {
    const { process, action } = call
    switch (action.do) {
      case 'open':
        return this.#open(call, action)
      case 'dup':
        return this.#withDescription(process, action.fd, (description) => {
          this.#kernel.install(process, action.as, description)
          return ok()
        })
      case 'send':
        return this.#send(process, action)
      case 'close':
        return this.#kernel.closeDescriptor(process, action.fd) ? ok() : failure(Errno.EBADF)
      case 'map':
        return this.#withFile(process, action.fd, Errno.ENODEV, (file) => this.#map(process, action, file))
      case 'unmap':
        return this.#kernel.unmap(process, action.mapping) ? ok() : failure(Errno.EINVAL)
      case 'touch':
        return touch(process, action)
      case 'lease':
      case 'change':
        return this.#onLeasable(process, action.fd, (file) => this.#setLease(call, action, file))
      case 'release':
        return this.#onLeasable(process, action.fd, ({ id }) => {
          const lease = action.lease === null ? null : this.#leaseId(action.lease)
          return this.#stepped({ kind: 'release', ofd: id, lease })
        })
      case 'own':
        return this.#onLeasable(process, action.fd, ({ id }) => this.#own(process, action, id))
      case 'context':
        this.#kernel.install(process, action.as, this.#kernel.newContext())
        return ok()
      case 'pin':
        return this.#withDescription(process, action.through, (through) =>
          this.#pin(process, action, through),
        )
      case 'unpin':
        return this.#withDescription(process, action.through, (through) => {
          const pin = this.#kernel.pinIds.get(action.pin) ?? (NO_ID as PinId)
          if (through.kind === 'file' && through.isPast) return failure(Errno.ENOTTY)
          return this.#stepped({ kind: 'unpin', pin, holder: holderOf(process, through) })
        })
      case 'truncate':
        return this.#truncate(call, action)
      case 'fallocate':
      case 'allocate':
        return this.#withFile(process, action.fd, Errno.ENODEV, (file) => this.#fallocate(call, action, file))
      case 'write':
        return this.#withFile(process, action.fd, Errno.EINVAL, (file) => this.#write(call, action, file))
      case 'read':
        return this.#withFile(process, action.fd, Errno.EINVAL, (file) => read(action, file))
      case 'copy':
        return this.#copy(call, action)
      case 'chmod':
      case 'chown':
        return this.#withPath(action.file, (file) => this.#setAttributes(call, action, file))
      case 'rename':
      case 'unlink':
        return this.#withPath(action.file, (file) => this.#changeName(call, action, file))
      case 'query':
        return this.#onLeasable(process, action.fd, (file) => this.#query(process, action, file))
      case 'poll':
        return this.#withDescription(process, action.fd, (description) => this.#poll(description))
      case 'revoke':
        return this.#revoke(process, action)
      case 'pins':
        return this.#pinsReport(process, action.process)
      case 'become':
        if (process.user !== 'root') return failure(Errno.EPERM)
        process.user = action.user
        return ok()
      case 'fork':
        return this.#fork(process, action.as)
      case 'exec':
        this.#kernel.dropMappings(process)
        return ok()
      case 'exit':
        this.#kernel.die(process)
        return ok()
      case 'kill':
        return this.#kill(process, action)
    }
  }

  // Finding what an action speaks of

  #withDescription(process: ModelProcess, name: Name, then: (description: Description) => Result): Result {
    const description = process.descriptors.get(name)
    return description === undefined ? failure(Errno.EBADF) : then(description)
  }

  #withFile(
    process: ModelProcess,
    name: Name,
    ifContext: typeof Errno.EINVAL | typeof Errno.ENODEV | typeof Errno.ENOTTY,
    then: (file: OpenFile) => Result,
  ): Result {
    return this.#withDescription(process, name, (description) =>
      description.kind === 'file' ? then(description) : failure(ifContext),
    )
  }

  /** For ioctls: a descriptor that Holdfast answers for. */
  #onLeasable(process: ModelProcess, name: Name, then: (file: OpenFile) => Result): Result {
    return this.#withFile(process, name, Errno.ENOTTY, (file) =>
      file.isPast ? failure(Errno.ENOTTY) : then(file),
    )
  }

  #file(name: Name): ModelFile | undefined {
    return this.#kernel.files.get(name)
  }

  #withPath(name: Name, then: (file: ModelFile) => Result): Result {
    const file = this.#file(name)
    return file?.isLinked === true ? then(file) : failure(Errno.ENOENT)
  }

  #leaseId(name: Name): LeaseId {
    return this.#kernel.leaseIds.get(name) ?? (NO_ID as LeaseId)
  }

  #stepped(input: Parameters<Kernel['holdfast']['step']>[0]): Outcome {
    const { answer } = this.#kernel.holdfast.step(input)
    return answer.status === 'failed' ? failure(answer.errno) : ok()
  }

  /** A layout change: asks Holdfast, and goes on with the call when it has been answered. */
  #changeLayout(
    call: Call,
    change: {
      readonly file: ModelFile
      readonly ofd: Ofd | null
      readonly operation: LayoutOperation
      readonly range: Range
      readonly nonBlocking: boolean
    },
    act: () => void,
    /** What the kernel does when it has happened. */
    then: () => Result = ok,
  ): Result {
    const { file, ...rest } = change
    const goOn = (result: Errno | 'done') => (result === 'done' ? then() : failure(result))
    const asked = this.#kernel.holdfast.askChange(
      { ...rest, file: file.id, process: call.process.key },
      () => {
        act()
        return 'done' as const
      },
      (result) => this.#kernel.later(() => this.#kernel.goOn(call, () => goOn(result))),
    )
    if (typeof asked === 'object') return goOn(asked.result)
    call.place = 'holdfast'
    call.request = asked
    return null
  }

  // Files

  #open(call: Call, action: ActionOf<'open'>): Result {
    const { flags } = action
    const wants = {
      read: !flags.includes('wronly'),
      write: flags.includes('wronly') || flags.includes('rdwr'),
    }
    return this.#withPath(action.file, (file) => {
      const truncates = flags.includes('trunc')
      if (!mayAccess(call.process.user, file, { ...wants, write: wants.write || truncates })) {
        return failure(Errno.EACCES)
      }
      const isPast = flags.includes('past')
      const isNonBlocking = flags.includes('nonblock')
      const install = () => {
        const opened: OpenFile = {
          kind: 'file',
          id: this.#kernel.nextId() as Ofd,
          file,
          canRead: wants.read,
          canWrite: wants.write,
          isNonBlocking,
          isPast,
          referenceCount: 0,
        }
        this.#kernel.openFiles.set(opened.id, opened)
        this.#kernel.install(call.process, action.as, opened)
        return ok()
      }
      const truncate = () => file.bytes.setSize(0)
      if (!truncates) return install()
      if (isPast) {
        truncate()
        return install()
      }
      // Holdfast truncates as it opens; then the kernel, which has to forget its pages, asks for the lock.
      const forgetPages = () => {
        call.isKillable = true
        return this.#kernel.withLocks(call, [file.inodeLock], install)
      }
      if (file.bytes.sizeBytes === 0) return forgetPages()
      const range = { start: 0, end: Number.POSITIVE_INFINITY }
      return this.#changeLayout(
        call,
        { file, ofd: null, operation: 'open-truncate', range, nonBlocking: isNonBlocking },
        truncate,
        forgetPages,
      )
    })
  }

  #map(process: ModelProcess, action: ActionOf<'map'>, open: OpenFile): Outcome {
    const { file } = open
    const start = action.bytes.start
    const end = action.bytes.end ?? file.bytes.sizeBytes
    if (!open.canRead) return failure(Errno.EACCES)
    if (start % PAGE_BYTES !== 0 || end <= start) return failure(Errno.EINVAL)
    if (start >= pageEnd(file.bytes.sizeBytes)) return { is: 'killed', signal: 'SIGBUS' }
    const keeps = this.#kernel.passthrough || open.isPast ? null : open
    this.#kernel.map(process, action.as, { file, range: { start, end: pageEnd(end) }, keeps })
    return ok()
  }

  #truncate(call: Call, { target, sizeBytes }: ActionOf<'truncate'>): Result {
    const { process } = call
    if ('fd' in target) {
      return this.#withFile(process, target.fd, Errno.EINVAL, (open) =>
        open.canWrite ? this.#setSize(call, open.file, open, sizeBytes) : failure(Errno.EINVAL),
      )
    }
    return this.#withPath(target.file, (file) =>
      mayAccess(process.user, file, { read: false, write: true })
        ? this.#setSize(call, file, null, sizeBytes)
        : failure(Errno.EACCES),
    )
  }

  #setSize(call: Call, file: ModelFile, open: OpenFile | null, sizeBytes: number): Result {
    const act = () => file.bytes.setSize(sizeBytes)
    if (open?.isPast === true) {
      act()
      return ok()
    }
    call.isKillable = true
    return this.#kernel.withLocks(call, [file.inodeLock], () => {
      if (sizeBytes >= file.bytes.sizeBytes) {
        act()
        return ok()
      }
      const range = { start: sizeBytes, end: Number.POSITIVE_INFINITY }
      const ofd = open?.id ?? null
      const nonBlocking = open?.isNonBlocking ?? false
      return this.#changeLayout(call, { file, ofd, operation: 'truncate', range, nonBlocking }, act)
    })
  }

  #fallocate(call: Call, action: ActionOf<'fallocate' | 'allocate'>, open: OpenFile): Result {
    const { file } = open
    const range = rangeOf(action.bytes)
    if (range.end === Number.POSITIVE_INFINITY) throw new Error(`'${action.do}' needs an end of its bytes`)
    if (!open.canWrite) return failure(Errno.EBADF)
    const change = action.do === 'allocate' ? null : action.change
    const act = () => carryOut(file, change, range)
    if (open.isPast) {
      act()
      return ok()
    }
    if (change !== null && change !== 'punch' && change !== 'zero' && !this.#hasAllChanges) {
      return failure(Errno.EOPNOTSUPP)
    }
    return this.#kernel.withLocks(call, [file.inodeLock], () => {
      if (change === null) {
        act()
        return ok()
      }
      const shifts = change === 'collapse' || change === 'insert'
      const affected = shifts ? { ...range, end: Number.POSITIVE_INFINITY } : range
      const operation = OPERATIONS[change]
      const { id: ofd, isNonBlocking: nonBlocking } = open
      return this.#changeLayout(call, { file, ofd, operation, range: affected, nonBlocking }, act)
    })
  }

  #write(call: Call, { offset, countBytes }: ActionOf<'write'>, open: OpenFile): Result {
    if (!open.canWrite) return failure(Errno.EBADF)
    const write = () => {
      open.file.bytes.fill({ start: offset, end: offset + countBytes })
      return ok(countBytes)
    }
    return open.isPast ? write() : this.#kernel.withLocks(call, [open.file.inodeLock], write)
  }

  /** Where it would meet a lease the bytes are copied one by one, and otherwise too: nobody can tell. */
  #copy(call: Call, action: ActionOf<'copy'>): Result {
    const { process } = call
    return this.#withFile(process, action.from, Errno.EINVAL, (from) =>
      this.#withFile(process, action.to, Errno.EINVAL, (to) => {
        if (!from.canRead || !to.canWrite) return failure(Errno.EBADF)
        return this.#kernel.withLocks(call, [to.file.inodeLock], () => copyBytes(action, from.file, to.file))
      }),
    )
  }

  #setAttributes(call: Call, action: ActionOf<'chmod' | 'chown'>, file: ModelFile): Result {
    const { user } = call.process
    call.isKillable = true
    return this.#kernel.withLocks(call, [file.inodeLock], () => {
      // Its owner may give a file to itself, which changes nothing.
      const isOthers = action.do === 'chown' && action.owner !== file.owner
      if (user !== 'root' && (isOthers || user !== file.owner)) return failure(Errno.EPERM)
      if (action.do === 'chown') file.owner = action.owner
      else file.mode = action.mode
      return ok()
    })
  }

  /** The directory is locked first, and stays so while the file's own lock is waited for. */
  #changeName(call: Call, action: ActionOf<'rename' | 'unlink'>, file: ModelFile): Result {
    const locks: readonly KernelLock[] = [file.directoryLock, file.inodeLock]
    return this.#kernel.withLocks(call, locks, () => {
      if (!file.isLinked) return failure(Errno.ENOENT)
      if (action.do === 'unlink') file.isLinked = false
      return ok()
    })
  }

  // Leases and pins

  #setLease(call: Call, action: ActionOf<'lease' | 'change'>, open: OpenFile): Result {
    const { process } = call
    const terms: LeaseTerms = action
    const common = {
      ofd: open.id,
      process: process.key,
      mode: terms.mode,
      level: terms.level,
      mayDelayOthers: mayDelayOthers(process, open),
      whenBusy: terms.whenBusy,
      breakTimeMs: terms.breakTimeMs,
    }
    const granted = (lease: LeaseId | undefined) => {
      if (action.do === 'lease' && lease !== undefined) this.#nameLease(action.as, lease)
      return ok()
    }
    const resume = (errno: Errno | 0, lease: LeaseId | undefined) => {
      const outcome = errno === 0 ? granted(lease) : failure(errno)
      this.#kernel.later(() => this.#kernel.returned(call, outcome))
    }
    const asked = this.#kernel.holdfast.ask(
      (request) =>
        action.do === 'change'
          ? { kind: 'change', request, lease: this.#leaseId(action.lease), ...common }
          : {
              kind: 'acquire',
              request,
              file: open.file.id,
              user: uidOf(process.user),
              range: rangeOf(action.bytes),
              ...common,
            },
      resume,
    )
    if (typeof asked === 'object') return asked.errno === 0 ? granted(asked.lease) : failure(asked.errno)
    call.place = 'holdfast'
    call.request = asked
    return null
  }

  #nameLease(name: Name, id: LeaseId): void {
    this.#kernel.leaseIds.set(name, id)
    this.#kernel.leaseNames.set(id, name)
  }

  #own(process: ModelProcess, action: ActionOf<'own'>, ofd: Ofd): Outcome {
    const lease = this.#leaseId(action.lease)
    if (this.#kernel.holdfast.rules.lease(lease)?.ofd !== ofd) return failure(Errno.ENOENT)
    const owner = action.who === 'self' ? process : process.parent
    if (owner === null || owner.state === 'dead') return failure(Errno.ESRCH)
    if (action.operation === 'remove') {
      return this.#stepped({ kind: 'remove-owner', ofd, lease, owner: owner.key })
    }
    const { signal, value } = action
    const wanted =
      signal === null ? null : { signo: signalNumber(signal), value, registrar: uidOf(process.user) }
    return this.#stepped({ kind: 'set-owner', ofd, lease, owner: owner.key, signal: wanted })
  }

  #pin(process: ModelProcess, action: ActionOf<'pin'>, through: Description): Outcome {
    if (through.kind === 'file' && through.isPast) return failure(Errno.ENOTTY)
    const lease = this.#kernel.holdfast.rules.lease(this.#leaseId(action.lease))
    if (lease === undefined || (through.kind === 'file' && lease.file !== through.file.id)) {
      return failure(Errno.ENOENT)
    }
    const { answer } = this.#kernel.holdfast.step({
      kind: 'pin',
      lease: lease.id,
      range: rangeOf(action.bytes),
      process: process.key,
      user: uidOf(process.user),
      holder: holderOf(process, through),
    })
    if (answer.status === 'failed') return failure(answer.errno)
    if (answer.status === 'done' && answer.pin !== undefined) this.#kernel.pinIds.set(action.as, answer.pin)
    return ok(answer.status === 'done' ? (answer.pinCount ?? 0) : 0)
  }

  #query(process: ModelProcess, action: ActionOf<'query'>, open: OpenFile): Outcome {
    const operation = action.change === 'truncate' ? 'truncate' : OPERATIONS[action.change]
    const range = rangeOf(action.bytes)
    if (operation === 'truncate' && range.start >= open.file.bytes.sizeBytes) return ok()
    const { errno } = this.#kernel.holdfast.rules.query(open.file.id, open.id, process.key, operation, range)
    return errno === 0 ? ok() : failure(errno)
  }

  #poll(description: Description): Outcome {
    if (description.kind === 'context') return ok()
    const { priority, error } = this.#kernel.holdfast.rules.pollState(description.id)
    return ok([...(priority ? ['PRI'] : []), ...(error ? ['ERR'] : [])].join(' '))
  }

  /** X4: who may is judged here, as `ctl` does it. */
  #revoke(process: ModelProcess, action: ActionOf<'revoke'>): Outcome {
    const { rules } = this.#kernel.holdfast
    const lease = rules.lease(this.#leaseId(action.lease))
    const uid = uidOf(process.user)
    const file = [...this.#kernel.files.values()].find(({ id }) => id === lease?.file)
    if (lease === undefined || file === undefined) return failure(Errno.ENOENT)
    if (uid !== 0 && uid !== uidOf(file.owner)) {
      const isSeen = uid === lease.user || lease.owners.some((key) => this.#uidOf(key) === uid)
      return failure(isSeen ? Errno.EPERM : Errno.ENOENT)
    }
    if (action.kill) {
      const pinners = [...rules.pins()].flatMap(({ lease: pinned, holder }) =>
        pinned === lease.id && holder.kind === 'process' ? [holder.process] : [],
      )
      const victims = [...lease.owners, ...pinners].map((key) => this.#kernel.processOf(key))
      if (!victims.every((victim) => maySignal(uid, victim))) return failure(Errno.EPERM)
    }
    return this.#stepped({ kind: 'revoke', lease: lease.id, kill: action.kill })
  }

  #uidOf(key: Parameters<Kernel['processOf']>[0]): number {
    return uidOf(this.#kernel.processOf(key).user)
  }

  /** R2, as far as the one who asks may see it (R1). */
  #pinsReport(viewer: ModelProcess, name: Name): Outcome {
    const process = this.#kernel.processes.get(name)
    if (process === undefined || process.state === 'dead') return failure(Errno.ENOENT)
    const uid = uidOf(viewer.user)
    const own: Name[] = []
    const byContext = new Map<number, Name[]>()
    for (const pin of this.#kernel.holdfast.rules.pins()) {
      const file = [...this.#kernel.files.values()].find(({ id }) => id === pin.file)
      if (file === undefined || !(uid === 0 || uid === pin.user || uid === uidOf(file.owner))) continue
      if (pin.holder.kind === 'process') {
        if (pin.holder.process === process.key) own.push(file.name)
      } else {
        byContext.set(pin.holder.context, [...(byContext.get(pin.holder.context) ?? []), file.name])
      }
    }
    const parts: string[] = []
    for (const [fd, description] of [...process.descriptors].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const files = description.kind === 'context' ? byContext.get(description.id) : undefined
      if (files !== undefined) parts.push(`${fd}: ${files.sort().join(' ')}`)
    }
    if (own.length > 0) parts.push(own.sort().join(' '))
    return parts.length === 0 ? failure(Errno.ENOENT) : ok(parts.join('; '))
  }

  // Processes

  #send(process: ModelProcess, { fd, to, as }: ActionOf<'send'>): Result {
    return this.#withDescription(process, fd, (description) => {
      const receiver = this.#kernel.processes.get(to)
      if (receiver === undefined || receiver.state === 'dead') return failure(Errno.ESRCH)
      this.#kernel.install(receiver, as, description)
      return ok()
    })
  }

  #fork(process: ModelProcess, name: Name): Outcome {
    const child = this.#kernel.addProcess(name, process.user, process)
    for (const [fd, description] of process.descriptors) this.#kernel.install(child, fd, description)
    return ok()
  }

  #kill(process: ModelProcess, action: ActionOf<'kill'>): Outcome {
    const target = this.#kernel.processes.get(action.process)
    if (target === undefined || target.state === 'dead') return failure(Errno.ESRCH)
    if (target === process) throw new Error(`'${process.name}' cannot 'kill' itself: let it 'exit'`)
    if (!maySignal(uidOf(process.user), target)) return failure(Errno.EPERM)
    this.#kernel.later(() => this.#kernel.kill(target, action.signal, 0))
    return ok()
  }
}

function rangeOf({ start, end }: Bytes): Range {
  return { start, end: end ?? Number.POSITIVE_INFINITY }
}

/** Where the page ends that the byte before `offset` is on. */
function pageEnd(offset: number): number {
  return Math.ceil(offset / PAGE_BYTES) * PAGE_BYTES
}

function touch(process: ModelProcess, action: ActionOf<'touch'>): Outcome {
  const mapping = process.mappings.get(action.mapping)
  if (mapping === undefined) return failure(Errno.EINVAL)
  const { file, range } = mapping
  if (action.offset < range.start || action.offset >= range.end) return failure(Errno.EINVAL)
  if (action.offset >= pageEnd(file.bytes.sizeBytes)) return { is: 'killed', signal: 'SIGBUS' }
  return ok(file.bytes.kindOf({ start: action.offset, end: action.offset + 1 }))
}

function read({ offset, countBytes }: ActionOf<'read'>, open: OpenFile): Outcome {
  if (!open.canRead) return failure(Errno.EBADF)
  const { bytes } = open.file
  const end = Math.min(offset + countBytes, bytes.sizeBytes)
  return ok(end <= offset ? '0' : `${end - offset} ${bytes.kindOf({ start: offset, end })}`)
}

function copyBytes(action: ActionOf<'copy'>, from: ModelFile, to: ModelFile): Outcome {
  const { fromOffset, toOffset } = action
  const count = Math.max(0, Math.min(action.countBytes, from.bytes.sizeBytes - fromOffset))
  if (from === to && fromOffset < toOffset + count && toOffset < fromOffset + count) {
    return failure(Errno.EINVAL)
  }
  const source = { start: fromOffset, end: fromOffset + count }
  const data = from.bytes.data.map(({ start, end }) => ({
    start: Math.max(start, source.start) - fromOffset + toOffset,
    end: Math.min(end, source.end) - fromOffset + toOffset,
  }))
  to.bytes.setSize(Math.max(to.bytes.sizeBytes, count === 0 ? 0 : toOffset + count))
  to.bytes.clear({ start: toOffset, end: toOffset + count })
  for (const range of data) to.bytes.fill(range)
  return ok(count)
}

function carryOut(file: ModelFile, change: RangeChange | null, range: Range): void {
  const { bytes } = file
  if (change === null) bytes.setSize(Math.max(bytes.sizeBytes, range.end))
  else if (change === 'collapse') bytes.collapse(range)
  else if (change === 'insert') bytes.insert(range)
  else if (change !== 'unshare') bytes.clear(range)
}

function mayDelayOthers(process: ModelProcess, open: OpenFile): boolean {
  return open.canWrite || process.user === 'root' || process.user === open.file.owner
}

function holderOf(process: ModelProcess, through: Description): PinHolder {
  return through.kind === 'context'
    ? { kind: 'context', context: through.id }
    : { kind: 'process', process: process.key }
}
