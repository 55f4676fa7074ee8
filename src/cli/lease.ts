/** `holdfast lease --fd N`: takes a lease on an inherited descriptor and gives it to the calling shell. */
import * as abi from '../control/formats/abi.js'
import { Errno } from '../lib/errno.js'
import { WHOLE_FILE } from '../lib/range.js'
import { check, LinuxError } from '../linux/error.js'
import * as raw from '../linux/raw.js'
import { CommandError } from './errors.js'
import { print, printJson } from './output.js'

export interface LeaseOptions {
  readonly fd: string
  readonly exclusive?: boolean | undefined
  readonly write?: boolean | undefined
  readonly json?: boolean | undefined
}

export function lease(options: LeaseOptions): void {
  if (!/^\d{1,9}$/.test(options.fd)) throw new CommandError(`--fd ${options.fd}: not a descriptor number`, 2)
  const fd = Number(options.fd)
  const request = abi.encodeLeaseRequest({
    id: 0,
    range: WHOLE_FILE,
    mode: options.write === true ? 'write' : 'read',
    level: options.exclusive === true ? 'exclusive' : 'normal',
    whenBusy: 'fail',
    breakTimeMs: 0,
  })
  ask(fd, abi.SETLEASE, request)
  const taken = abi.decodeLease(request)
  const owner = { lease: taken.id, signo: 0, value: 0 }
  // The shell that holds the descriptor becomes the owner; this process is about to end.
  ask(fd, abi.SETOWN, abi.encodeOwnerRequest({ ...owner, operation: 'add', pid: process.ppid }))
  ask(fd, abi.SETOWN, abi.encodeOwnerRequest({ ...owner, operation: 'remove', pid: 0 }))
  if (options.json === true)
    printJson({ lease: taken.id, fd, mode: taken.mode, level: taken.level, owner: process.ppid })
  else print(`lease ${taken.id}`)
}

function ask(fd: number, request: number, argument: Buffer): void {
  try {
    check(raw.ioctl(fd, request, argument), 'ioctl')
  } catch (error) {
    if (!(error instanceof LinuxError)) throw error
    throw new CommandError(`descriptor ${fd}: ${error.message.replace('ioctl: ', '')} (${reason(error)})`)
  }
}

function reason(error: LinuxError): string {
  switch (error.errno) {
    case Errno.EBADF:
      return "it is not open: open the file first, as in 'exec 3<FILE'"
    case Errno.ENOTTY:
    case Errno.EOPNOTSUPP:
      return "it is not a file under a Holdfast mount: see 'holdfast mount'"
    case Errno.EPERM:
      return 'an exclusive lease needs the owner of the file, root, or a descriptor open for writing'
    case Errno.ETXTBSY:
      return "another process has an exclusive lease on it: see 'holdfast who'"
    case Errno.EAGAIN:
      return "a conflicting lease or change is there: see 'holdfast who', and try again"
    default:
      return "see 'holdfast who'"
  }
}
