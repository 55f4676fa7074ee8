/** IOCTL: inode flags (lsattr, chattr) go to the backing file, the rest to the gate. */
import type { Answer, IoctlArgs, IoctlReply, RequestInfo } from '../fuse/api.js'
import { Errno } from '../lib/errno.js'
import * as raw from '../linux/raw.js'
import type { Core } from './core.js'
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
  const { files, gate } = core
  if (FLAG_COMMANDS.has(args.cmd)) {
    const fd = directories.has(args.fh) ? directories.fd(args.fh) : files.dataFd(files.get(args.fh))
    return fd < 0 ? fd : flags(fd, args)
  }
  // Other ioctls on directories do not reach us: FUSE_HAS_IOCTL_DIR is not asked for.
  return directories.has(args.fh) ? -Errno.ENOTTY : gate.ioctl(request, files.get(args.fh), args)
}

function flags(fd: number, args: IoctlArgs): Answer<IoctlReply> {
  const argument = Buffer.alloc(FLAG_BYTES_MAX)
  args.input.copy(argument)
  const result = raw.ioctl(fd, args.cmd, argument)
  return result < 0 ? result : { result, output: argument.subarray(0, args.outSize) }
}
