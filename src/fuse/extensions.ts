import type { SecurityContext } from './api.js'
import { ProtocolError } from './wire/errors.js'
import { EXTENSION_TYPES } from './wire/flags.js'
import { extHeader, secctx, secctxHeader, suppGroups } from './wire/structs.js'

export interface Extensions {
  readonly supplementaryGroup: number | null
  readonly securityContexts: readonly SecurityContext[]
}

export const NO_EXTENSIONS: Extensions = { supplementaryGroup: null, securityContexts: [] }

/**
 * Decodes the extensions at the end of a request (7.38, fuse.h above `struct fuse_ext_header`): each starts with
 * its size and type, and types up to FUSE_MAX_NR_SECCTX are the number of security contexts in it.
 * An unknown type is skipped: the kernel sends only what INIT agreed on, so it would be harmless.
 * @throws ProtocolError if sizes or counts do not match the bytes.
 */
export function decodeExtensions(buffer: Buffer, start: number, end: number): Extensions {
  let supplementaryGroup: number | null = null
  let securityContexts: readonly SecurityContext[] = NO_EXTENSIONS.securityContexts
  let at = start
  while (at < end) {
    const { size, type } = extHeader.decode(buffer, at, end)
    if (size < extHeader.size || size % 8 !== 0 || at + size > end) {
      throw new ProtocolError(`extension of ${size} bytes where ${end - at} are left`)
    }
    const body = at + extHeader.size
    if (type === EXTENSION_TYPES.FUSE_EXT_GROUPS) supplementaryGroup = decodeGroup(buffer, body, at + size)
    else if (type <= EXTENSION_TYPES.FUSE_MAX_NR_SECCTX) {
      securityContexts = decodeSecurityContexts(buffer, at, at + size)
    }
    at += size
  }
  return { supplementaryGroup, securityContexts }
}

/** The kernel sends one group, the parent directory's, if the caller belongs to it. */
function decodeGroup(buffer: Buffer, at: number, end: number): number | null {
  const { nr_groups } = suppGroups.decode(buffer, at, end)
  const groups = at + suppGroups.size
  if (groups + nr_groups * 4 > end) throw new ProtocolError(`${nr_groups} groups do not fit`)
  return nr_groups === 0 ? null : buffer.readUInt32LE(groups)
}

function decodeSecurityContexts(buffer: Buffer, start: number, end: number): SecurityContext[] {
  const { nr_secctx } = secctxHeader.decode(buffer, start, end)
  const contexts: SecurityContext[] = []
  let at = start + secctxHeader.size
  for (let index = 0; index < nr_secctx; index++) {
    const { size } = secctx.decode(buffer, at, end)
    const name = at + secctx.size
    const nul = buffer.indexOf(0, name)
    if (nul < 0 || nul + 1 + size > end) throw new ProtocolError('a security context does not fit')
    contexts.push({ name: buffer.subarray(name, nul), value: buffer.subarray(nul + 1, nul + 1 + size) })
    at = nul + 1 + size
  }
  return contexts
}
