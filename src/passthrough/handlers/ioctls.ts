/** IOCTL: inode flags (lsattr, chattr) go to the backing file, the rest to the gate. */
import type { Answer, IoctlArgs, IoctlReply, RequestInfo } from '../../fuse/api.js'
import { Errno } from '../../lib/errno.js'
import type { Core } from '../core.js'
import { atOnce, type Calls, type Steps } from '../io/calls.js'
import type { Handle } from '../open-files.js'
import type { Directories } from './directories.js'

/** Commands with which the kernel reads and writes flags for lsattr(1) and chattr(1), after its own checks. */
const FS_IOC_GETFLAGS = 0x80086601
const FS_IOC_SETFLAGS = 0x40086602
const FS_IOC_FSGETXATTR = 0x801c581f
const FS_IOC_FSSETXATTR = 0x401c5820
const FLAG_COMMANDS = new Set([FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR])
const FLAG_BYTES_MAX = 32

export function ioctl(
  core: Core,
  directories: Directories,
  request: RequestInfo,
  args: IoctlArgs,
): Answer<IoctlReply> {
  const { calls, files, gate, tree } = core
  const { fh } = args
  if (FLAG_COMMANDS.has(args.cmd)) {
    const argument = new Uint8Array(FLAG_BYTES_MAX)
    argument.set(args.input)
    const inode = tree.inode(request.nodeid)
    const fd = directories.has(fh) ? atOnce(directories.fd(fh)) : files.dataFd(files.get(fh))
    return calls.serve(request, tree, flags(calls, fd, args.cmd, argument, args.outSize), inode)
  }
  // Other ioctls on directories do not reach us: FUSE_HAS_IOCTL_DIR is not asked for.
  if (directories.has(fh)) return -Errno.ENOTTY
  const file = files.get(fh)
  if (!calls.isRemote) return gate.ioctl(request, file, args)
  // The request's bytes are overwritten by the next request.
  const kept = { ...args, input: Buffer.from(args.input) }
  return calls.serve(request, tree, askGate(core, request, file, kept), file.node)
}

/** Asks the gate when everything is known that it may want to know of the file. */
function* askGate(
  { tree, gate }: Core,
  request: RequestInfo,
  file: Handle,
  args: IoctlArgs,
): Steps<Answer<IoctlReply>> {
  const fd = yield* tree.pathFd(file.node)
  const looked = fd < 0 ? fd : yield* tree.statFd(fd)
  if (looked < 0) return looked
  return tree.knowing(file.node, () => gate.ioctl(request, file, args))
}

function* flags(
  calls: Calls,
  opening: Steps<number>,
  command: number,
  argument: Uint8Array,
  outSize: number,
): Steps<Answer<IoctlReply>> {
  const fd = yield* opening
  if (fd < 0) return fd
  const job = { kind: 'flags', fd, command, argument } as const
  const { result, data } = calls.here(job) ?? (yield job)
  return data === undefined ? result : { result, output: Buffer.from(data.subarray(0, outSize)) }
}
