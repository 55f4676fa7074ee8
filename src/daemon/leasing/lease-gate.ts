/** The gate of one data mount: puts the lease table behind what the file system asks (LayoutGate). */
import type { Answer, IoctlArgs, IoctlReply, Notifier, PollArgs, RequestInfo } from '../../fuse/api.js'
import { POLL_FLAGS } from '../../fuse/index.js'
import type { FileId, Ofd } from '../../lib/ids.js'
import type { Range } from '../../lib/range.js'
import { POLLERR, POLLIN, POLLOUT, POLLPRI, POLLRDNORM, POLLWRNORM } from '../../linux/constants.js'
import type { FileNode, LayoutChange, LayoutGate, OpenFile, Proceed } from '../../passthrough/gate.js'
import type { Ioctls, IoctlTarget } from './ioctls.js'
import type { LeaseService, ProtectedFile } from './lease-service.js'

/** nodeids and handles of one mount are counters below this; with the mount's index they are unique. */
const PER_MOUNT = 2 ** 40

export class LeaseGate implements LayoutGate {
  readonly #service: LeaseService
  readonly #ioctls: Ioctls
  readonly #index: number
  readonly #notifier: () => Notifier
  readonly #mountpoint: () => Buffer
  readonly #openFiles = new Map<Ofd, OpenFile>()

  /** @param index tells this mount from the others of the same engine. */
  constructor(options: {
    service: LeaseService
    ioctls: Ioctls
    index: number
    notifier: () => Notifier
    mountpoint: () => Buffer
  }) {
    this.#service = options.service
    this.#ioctls = options.ioctls
    this.#index = options.index
    this.#notifier = options.notifier
    this.#mountpoint = options.mountpoint
  }

  fileId(node: FileNode): FileId {
    return (this.#index * PER_MOUNT + node.nodeid) as FileId
  }

  ofd(file: OpenFile): Ofd {
    return (this.#index * PER_MOUNT + file.fh) as Ofd
  }

  protectedFile(node: FileNode): ProtectedFile {
    return { id: this.fileId(node), node, mountpoint: this.#mountpoint }
  }

  /** Files of this mount that are open now, by the thread that opened them. */
  openFiles(): Iterable<OpenFile> {
    return this.#openFiles.values()
  }

  target(file: OpenFile): IoctlTarget {
    return {
      ofd: this.ofd(file),
      id: this.fileId(file.node),
      file,
      protectedFile: this.protectedFile(file.node),
    }
  }

  ask(request: RequestInfo, change: LayoutChange, proceed: Proceed): null | (() => void) {
    const service = this.#service
    const id = service.nextRequestId()
    const file = this.fileId(change.node)
    const isLeased = service.files.has(file)
    if (isLeased) service.takeExits()
    const { operation, range } = change
    // Whose change it is matters only to leases that are there.
    const process = isLeased ? (service.processes.identify(request.pid)?.key ?? null) : null
    const { answer } = service.step({
      kind: 'layout-change',
      request: id,
      file,
      ofd: change.file === null ? null : this.ofd(change.file),
      process,
      operation,
      range,
      nonBlocking: change.nonBlocking,
    })
    const done = () => {
      service.step({ kind: 'layout-change-done', request: id })
      service.bypasses.end(file)
    }
    const allow = () => {
      service.bypasses.begin(file)
      proceed(0, done)
    }
    if (answer.status === 'failed') {
      proceed(answer.errno, () => {})
      return null
    }
    if (answer.status === 'done') {
      allow()
      return null
    }
    service.wait(id, { file, process, operation, range }, (errno) => {
      if (errno === 0) allow()
      else proceed(errno, () => {})
    })
    return () => service.interrupt(id)
  }

  isProtected(node: FileNode, range: Range): boolean {
    const file = this.fileId(node)
    if (!this.#service.files.has(file)) return false
    this.#service.takeExits()
    return this.#service.rules.isProtected(file, range)
  }

  opened(_request: RequestInfo, file: OpenFile): void {
    this.#openFiles.set(this.ofd(file), file)
  }

  released(file: OpenFile): void {
    const ofd = this.ofd(file)
    this.#openFiles.delete(ofd)
    this.#service.closed(ofd, file, this.fileId(file.node))
  }

  ioctl(request: RequestInfo, file: OpenFile, args: IoctlArgs): Answer<IoctlReply> {
    return this.#ioctls.onFile(request, this.target(file), args)
  }

  poll(_request: RequestInfo, file: OpenFile, args: PollArgs): Answer<{ revents: number }> {
    const ofd = this.ofd(file)
    if ((args.flags & POLL_FLAGS.FUSE_POLL_SCHEDULE_NOTIFY) !== 0)
      this.#service.addPoller(ofd, args.kh, this.#notifier())
    const { priority, error } = this.#service.rules.pollState(ofd)
    const always = args.events & (POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM)
    return { revents: always | (priority ? POLLPRI & args.events : 0) | (error ? POLLERR : 0) }
  }
}
