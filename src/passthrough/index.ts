/** A FUSE file system over a backing directory, or over one regular file. */
import type { FuseFileSystem, LostState, Negotiated } from '../fuse/api.js'
import type { NegotiationOptions } from '../fuse/index.js'
import { FATTR_FLAGS } from '../fuse/wire/flags.js'
import { OPCODES } from '../fuse/wire/opcodes.js'
import { Statx } from '../linux/stat.js'
import { BackingIds } from './backing-ids.js'
import type { Core } from './core.js'
import { type Features, featuresOf } from './features.js'
import type { FileNode, LayoutGate, OpenFile } from './gate.js'
import { Creating } from './handlers/creating.js'
import { Data } from './handlers/data.js'
import { Directories } from './handlers/directories.js'
import { ioctl } from './handlers/ioctls.js'
import { Names } from './handlers/names.js'
import { Opening } from './handlers/opening.js'
import { SettingAttributes } from './handlers/setting-attributes.js'
import { Xattrs } from './handlers/xattrs.js'
import { BackingTree } from './inodes/backing-tree.js'
import { backingKind } from './io/backing-kind.js'
import { Calls } from './io/calls.js'
import { threadIdentity } from './io/identity.js'
import type { IoThreads } from './io/jobs.js'
import { OpenFiles } from './open-files.js'
import { DEFAULT_OPTIONS, type PassthroughOptions, wantedInit } from './options.js'

export { FEATURES, type FeatureName, type Features, featuresOf } from './features.js'
export type * from './gate.js'
export { threadIdentity } from './io/identity.js'
export { InlineIo, type IoThreads, type Job, type JobResult } from './io/jobs.js'
export { createIoThreads, ThreadedIo } from './io/threads.js'
export {
  CACHE_MODES,
  type CacheMode,
  DEFAULT_OPTIONS,
  type PassthroughOptions,
  wantedInit,
} from './options.js'

export interface PassthroughParts {
  /** O_PATH descriptor of the backing root, in a mount of its own (open_tree(2)) that nothing is mounted on. */
  readonly rootFd: number
  readonly gate: LayoutGate
  readonly io: IoThreads
  /** /dev/fuse of the session that serves this file system. */
  readonly fuseFd: number
  readonly options?: Partial<PassthroughOptions>
}

/** A file system for a session, and what the engine may ask of it besides. */
export interface Passthrough extends FuseFileSystem {
  readonly wantedInit: NegotiationOptions
  /** What of FUSE is in use. Settled by INIT, but for passthrough. */
  readonly features: Features
  /** Does I/O go past the daemon? Settled by INIT; false too once the kernel has refused it. */
  readonly isPassthrough: boolean
  /** Files that are open through the mount. */
  openFiles(): Iterable<OpenFile>
  openFile(fh: number): OpenFile | undefined
  nodeOf(nodeid: number): FileNode | undefined
  readonly inodeCount: number
  readonly openCount: number
  /** Lets go of files that are kept only to be quick when they are opened again. */
  dropIdle(): void
  /** Closes all descriptors. Call it when the session has ended. */
  close(): void
}

/** Makes the file system. Call it, and everything it returns, in the thread that serves the session. */
export function createPassthrough(parts: PassthroughParts): Passthrough {
  const options: PassthroughOptions = { ...DEFAULT_OPTIONS, ...parts.options }
  const { gate, io } = parts
  const identity = threadIdentity()
  const kind = options.remote ? 'remote' : backingKind(parts.rootFd)
  const { nowMs } = options
  const stat = new Statx()
  const calls = new Calls({ io, identity, stat, nowMs, kind })
  const tree: BackingTree = new BackingTree(parts.rootFd, options.pathFdCountMax, calls, (inode) =>
    backingIds.dropIdle(inode),
  )
  const backingIds: BackingIds = new BackingIds(
    parts.fuseFd,
    calls,
    tree,
    identity,
    options.idleBackingCountMax,
  )
  const files = new OpenFiles(calls, tree, backingIds, options.keepsData)
  const core: Core = {
    tree,
    calls,
    backingIds,
    files,
    gate,
    options,
    stat,
    features: new Set(),
  }
  const names = new Names(core)
  const creating = new Creating(core)
  const attributes = new SettingAttributes(core)
  const opening = new Opening(core, attributes)
  const data = new Data(core, kind === 'memory')
  const directories = new Directories(core)
  const xattrs = new Xattrs(core)

  return {
    wantedInit: wantedInit(options),
    get features() {
      if (backingIds.isEnabled) return core.features
      return new Set([...core.features].filter((name) => name !== 'passthrough'))
    },
    get isPassthrough() {
      return backingIds.isEnabled
    },
    openFiles: () => files.values(),
    openFile: (fh) => files.tryGet(fh),
    nodeOf: (nodeid) => tree.inodes.tryGet(nodeid),
    get inodeCount() {
      return tree.inodes.size
    },
    get openCount() {
      return files.size
    },
    dropIdle: () => backingIds.dropAllIdle(),
    close() {
      backingIds.dropAllIdle()
      tree.close()
    },

    init(negotiated: Negotiated) {
      core.features = files.features = featuresOf(negotiated, options.without)
      backingIds.isEnabled = core.features.has('passthrough')
    },
    replyLost(opcode: number, lost: LostState) {
      for (const nodeid of lost.nodeids) names.forget(nodeid, 1)
      if (lost.fh === null) return
      if (opcode === OPCODES.OPENDIR.code) directories.releasedir(lost.fh)
      else opening.release(lost.fh)
    },

    lookup: (request, nameZ) => names.lookup(request, nameZ),
    forget: (nodeid, nlookup) => names.forget(nodeid, nlookup),
    unlink: (request, nameZ) => names.unlink(request, nameZ),
    rmdir: (request, nameZ) => names.rmdir(request, nameZ),
    rename: (request, oldNameZ, newParent, newNameZ, flags) =>
      names.rename(request, oldNameZ, newParent, newNameZ, flags),
    link: (request, oldNodeid, newNameZ) => names.link(request, oldNodeid, newNameZ),

    mkdir: (request, nameZ, mode, umask) => creating.mkdir(request, nameZ, mode, umask),
    mknod: (request, nameZ, mode, rdev, umask) => creating.mknod(request, nameZ, mode, rdev, umask),
    symlink: (request, nameZ, targetZ) => creating.symlink(request, nameZ, targetZ),
    create: (request, nameZ, flags, mode, umask) => creating.create(request, nameZ, flags, mode, umask),
    tmpfile: (request, flags, mode, umask) => creating.tmpfile(request, flags, mode, umask),

    getattr: (request) => attributes.getattr(request),
    setattr: (request, args) =>
      (args.valid & FATTR_FLAGS.FATTR_SIZE) !== 0
        ? opening.truncate(request, args)
        : attributes.setattr(request, args),
    readlink: (request) => attributes.readlink(request),
    statfs: (request) => attributes.statfs(request),

    open: (request, flags, openFlags) => opening.open(request, flags, openFlags),
    release: (_request, fh) => opening.release(fh),
    read: (request, fh, offset, size) => data.read(request, fh, offset, size),
    write: (request, fh, offset, bytes, flags, writeFlags) =>
      data.write(request, fh, offset, bytes, flags, writeFlags),
    fsync: (request, fh, dataOnly) => data.fsync(request, fh, dataOnly),
    fallocate: (request, fh, offset, length, mode) => data.fallocate(request, fh, offset, length, mode),
    lseek: (request, fh, offset, whence) => data.lseek(request, fh, offset, whence),
    copyFileRange: (request, args) => data.copyFileRange(request, args),
    syncfs: (request) => data.syncfs(request),

    opendir: (request, flags) => directories.opendir(request, flags),
    readdir: (request, fh, offset, writer) => directories.readdir(request, fh, offset, writer),
    readdirplus: (request, fh, offset, writer) => directories.readdirplus(request, fh, offset, writer),
    releasedir: (_request, fh) => directories.releasedir(fh),
    fsyncdir: (request, fh, dataOnly) => directories.fsyncdir(request, fh, dataOnly),

    setxattr: (request, nameZ, value, flags, setxattrFlags) =>
      xattrs.set(request, nameZ, value, flags, setxattrFlags),
    getxattr: (request, nameZ, size) => xattrs.get(request, nameZ, size),
    listxattr: (request, size) => xattrs.list(request, size),
    removexattr: (request, nameZ) => xattrs.remove(request, nameZ),

    ioctl: (request, args) => ioctl(core, directories, request, args),
    poll: (request, args) => gate.poll(request, files.get(args.fh), args),
  }
}
