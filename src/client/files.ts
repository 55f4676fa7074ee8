/** What can be asked and done about the leases of a file without having one. */
import * as abi from '../control/formats/abi.js'
import { Errno, errnoName } from '../lib/errno.js'
import * as c from '../linux/constants.js'
import { close, open } from '../linux/files.js'
import * as raw from '../linux/raw.js'
import { asHoldfastError, HoldfastError } from './error.js'
import {
  controlOf,
  type FileSource,
  type RangeOption,
  readInfo,
  request,
  toRange,
  withSource,
} from './request.js'

export interface QueryOptions extends RangeOption {
  /** Default: `truncate`, whose `start` is the new size. */
  readonly operation?: 'truncate' | 'punch-hole' | 'zero-range'
}

export interface QueryAnswer {
  /** What the change would meet: null, ETXTBSY, EDEADLK, or EAGAIN for "it would wait". */
  readonly code: string | null
  /** Because of which lease, 0 for none, and of which process. */
  readonly lease: number
  readonly pid: number
  readonly command: string
}

/** Would this change of the file be refused or wait, and because of whom? Asking changes nothing (R4). */
export async function query(file: FileSource, options: QueryOptions = {}): Promise<QueryAnswer> {
  const bytes = abi.encodeQuery({ operation: options.operation ?? 'truncate', range: toRange(options) })
  withSource(file, ({ fd, name }) => request('QUERY', fd, abi.QUERY, bytes, name))
  const { errno, ...because } = abi.decodeQueryReply(bytes)
  return { code: errno === 0 ? null : errnoName(errno), ...because }
}

export interface Info {
  readonly version: number
  readonly features: number
  /** Number of the engine. */
  readonly mount: number
  /** Path of the control directory. */
  readonly control: string
}

/** What serves a file. Throws ENOTTY if it is not under Holdfast. */
export async function info(file: FileSource): Promise<Info> {
  return withSource(file, (source) => {
    const found = readInfo(source)
    return { ...found, control: found.control.toString() }
  })
}

/** The leases of an open file description, by id. Of a path there are none: it is opened anew for the question. */
export async function leasesOn(file: FileSource): Promise<abi.LeaseReply[]> {
  return withSource(file, ({ fd, name }) => {
    const leases: abi.LeaseReply[] = []
    for (;;) {
      const bytes = Buffer.alloc(abi.LEASE_SIZE)
      bytes.writeBigUInt64LE(BigInt(leases.at(-1)?.id ?? 0), 0)
      try {
        request('GETLEASE', fd, abi.GETLEASE, bytes, name)
      } catch (error) {
        if (error instanceof HoldfastError && error.errno === Errno.ENOENT) return leases
        throw error
      }
      leases.push(abi.decodeLease(bytes))
    }
  })
}

/** Releases all leases of an open file description, or none: EBUSY while pins need one of them. */
export async function releaseAll(file: FileSource): Promise<void> {
  withSource(file, ({ fd, name }) => request('RELEASE', fd, abi.RELEASE, abi.encodeU64(0), name))
}

export interface RevokeOptions {
  /** Kill its owners, and the processes with pins under it. */
  readonly kill?: boolean
}

/**
 * Takes a lease away, on the mount that `file` belongs to. With `kill` it is over when those processes have ended,
 * which they may not have yet when this resolves.
 * @throws HoldfastError ENOENT if there is none with this id that may be seen, EPERM if it is not on a file
 *   of this user's, EBUSY while it is pinned.
 */
export async function revoke(
  file: FileSource,
  lease: number | { readonly id: number },
  options: RevokeOptions = {},
): Promise<void> {
  await revokeAt(controlOf(file), typeof lease === 'number' ? lease : lease.id, options)
}

/** The same for a control directory. */
export async function revokeAt(control: string, id: number, options: RevokeOptions): Promise<void> {
  const path = `${control}/ctl`
  const fd = asHoldfastError('open', path, () => open(path, c.O_WRONLY))
  try {
    const line = Buffer.from(`revoke ${id}${options.kill === true ? ' kill' : ''}\n`)
    const result = raw.write(fd, line, line.length)
    if (result < 0) throw new HoldfastError(-result, 'revoke', path)
  } finally {
    close(fd)
  }
}
