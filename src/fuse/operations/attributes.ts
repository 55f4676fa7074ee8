/** Operations on attributes, extended attributes and the file system as a whole. */
import { assert } from '../../lib/assert.js'
import { Errno } from '../../lib/errno.js'
import type { AttrReply, SetattrArgs, Statfs, StatxReply } from '../api.js'
import { putAttrReply, putPadded32, putStatfs, putStatx } from '../encode-body.js'
import { BODY, type ReplyBuffer } from '../reply-buffer.js'
import type { Request } from '../request.js'
import { ProtocolError } from '../wire/errors.js'
import { FATTR_FLAGS, GETATTR_FLAGS } from '../wire/flags.js'
import * as s from '../wire/structs.js'
import { emptyOperation, NOT_IMPLEMENTED, type Operation, operation } from './operation.js'

function attrOperation(call: Operation<AttrReply>['call']): Operation<AttrReply> {
  return {
    call,
    encode(reply, value) {
      reply.bodySize = putAttrReply(reply.bytes, BODY, value)
    },
  }
}

function xattrOperation(
  call: Operation<Buffer | { size: number }>['call'],
): Operation<Buffer | { size: number }> {
  return { call, encode: encodeXattr }
}

/** The size where it was asked for (getxattr(2) with size 0), else the bytes. */
function encodeXattr(reply: ReplyBuffer, value: Buffer | { size: number }, request: Request): void {
  if (request.sizeMax === 0) {
    reply.bodySize = putPadded32(reply.bytes, BODY, value instanceof Uint8Array ? value.length : value.size)
    return
  }
  assert(value instanceof Uint8Array, 'a size answered where the value was asked for')
  // ERANGE is what getxattr(2) promises, and a handler can hardly know better than its own answer.
  if (value.length > request.sizeMax)
    throw new ProtocolError('the value is larger than asked for', Errno.ERANGE)
  reply.data = value
}

function decodeSetattr(value: ReturnType<typeof s.setattrIn.decode>): SetattrArgs {
  return {
    valid: value.valid,
    fh: (value.valid & FATTR_FLAGS.FATTR_FH) === 0 ? null : value.fh,
    size: value.size,
    atime: value.atime,
    mtime: value.mtime,
    ctime: value.ctime,
    atimeNsec: value.atimensec,
    mtimeNsec: value.mtimensec,
    ctimeNsec: value.ctimensec,
    mode: value.mode,
    uid: value.uid,
    gid: value.gid,
  }
}

export const ATTRIBUTE_OPERATIONS = {
  GETATTR: attrOperation((fs, request, body) => {
    const { fh, getattr_flags } = body.decode(s.getattrIn)
    const hasFh = (getattr_flags & GETATTR_FLAGS.FUSE_GETATTR_FH) !== 0
    return fs.getattr?.(request, hasFh ? fh : null) ?? NOT_IMPLEMENTED
  }),
  SETATTR: attrOperation(
    (fs, request, body) => fs.setattr?.(request, decodeSetattr(body.decode(s.setattrIn))) ?? NOT_IMPLEMENTED,
  ),
  STATX: operation<StatxReply>({
    call(fs, request, body) {
      const { fh, getattr_flags, sx_flags, sx_mask } = body.decode(s.statxIn)
      const hasFh = (getattr_flags & GETATTR_FLAGS.FUSE_GETATTR_FH) !== 0
      return fs.statx?.(request, hasFh ? fh : null, sx_flags, sx_mask) ?? NOT_IMPLEMENTED
    },
    encode(reply, value) {
      reply.bodySize = putStatx(reply.bytes, BODY, value)
    },
  }),
  READLINK: operation<Buffer>({
    call: (fs, request) => fs.readlink?.(request) ?? NOT_IMPLEMENTED,
    encode(reply, value) {
      reply.data = value
    },
  }),
  STATFS: operation<Statfs>({
    call: (fs, request) => fs.statfs?.(request) ?? NOT_IMPLEMENTED,
    encode(reply, value) {
      reply.bodySize = putStatfs(reply.bytes, BODY, value)
    },
  }),
  SYNCFS: emptyOperation((fs, request) => fs.syncfs?.(request) ?? NOT_IMPLEMENTED),
  ACCESS: emptyOperation(
    (fs, request, body) => fs.access?.(request, body.decode(s.accessIn).mask) ?? NOT_IMPLEMENTED,
  ),
  SETXATTR: emptyOperation((fs, request, body, context) => {
    const { size, flags, setxattr_flags } = body.decodePrefix(s.setxattrIn, context.setxattrInSize())
    return fs.setxattr?.(request, body.nameZ(), body.data(size), flags, setxattr_flags) ?? NOT_IMPLEMENTED
  }),
  GETXATTR: xattrOperation((fs, request, body) => {
    const { size } = body.decode(s.getxattrIn)
    request.sizeMax = size
    return fs.getxattr?.(request, body.lastNameZ(), size) ?? NOT_IMPLEMENTED
  }),
  LISTXATTR: xattrOperation((fs, request, body) => {
    const { size } = body.decode(s.getxattrIn)
    request.sizeMax = size
    return fs.listxattr?.(request, size) ?? NOT_IMPLEMENTED
  }),
  REMOVEXATTR: emptyOperation(
    (fs, request, body) => fs.removexattr?.(request, body.lastNameZ()) ?? NOT_IMPLEMENTED,
  ),
}
